/* rtp/fax.h - faxes as the loop sees them: pbx/fax.h for streams, and gateways between two of them. All of it: [loop]. */
#pragma once
#include "worker.h"
#include <core/media_driver.h>

struct rtp_stream;

void rtp_faxes_start(struct rtp_common *common); /* the thread begins with the first fax */
void rtp_faxes_stop(void);                       /* streams are closed */

void rtp_fax_leave(struct rtp_stream *stream); /* it is about to be closed */
void rtp_fax_part(struct rtp_stream *stream);  /* it is about to lose its peer: a gateway between them ends */
/* It was configured or connected: what its fax goes by may have changed, a gateway may be wanted, or no more. */
void rtp_fax_settle(struct rtp_stream *stream);
void rtp_fax_line_returned(struct rtp_command *command);
void rtp_fax_returned(struct rtp_command *command);

/* Of the driver. */
int rtp_fax_begin(struct pbx_host *owner, core_stream stream, const struct pbx_fax_spec *spec, const struct pbx_fax_watcher *watcher,
		  void *self, pbx_fax *ret_fax);
int rtp_fax_stop(pbx_fax fax);
int rtp_fax_pages(pbx_fax fax, uint32_t *ret_pages);
bool rtp_fax_ends_at(core_stream stream);
