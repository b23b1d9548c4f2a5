/* rtp/kernel.h - the relay's program in the kernel: loaded, on every interface that phones may reach us by, gone with us
 *
 * kernel.c with libbpf, kernel_none.c where this was built without. What goes by it is decided by handover.c. */
#pragma once
#include "kernel_flow.h"
#include <pbx/plugin.h>

struct rtp_kernel_wish {
	uint16_t port_min, port_max; /* of the range that streams have their ports from */
	bool by_filter;              /* even where there are links: as kernels before 6.6 have it */
};

/* PBX_OK; PBX_EPERM (no CAP_BPF and CAP_NET_ADMIN), PBX_EIO (this kernel does not take it), PBX_ENOMEM: then diag says what is missing. [loop] */
typedef void (*rtp_kernel_done_fn)(void *context, int result, const struct pbx_diag *diag);

/* [loop] Has it loaded in the pool; done follows, unless it is stopped before. PBX_OK; else done does not follow: PBX_ENOTSUP (built without), PBX_EIO,
 * PBX_ENOMEM, and diag. Calls go on without. */
int rtp_kernel_start(const struct rtp_kernel_wish *wish, rtp_kernel_done_fn done, void *context, struct pbx_diag *diag);
/* [loop] All flows are off before. Waits for a job that has begun. */
void rtp_kernel_stop(void);
/* [loop] The place of the stream that has this port. NULL: the program is not loaded, or not yet. */
struct rtp_flow *rtp_kernel_place(uint16_t port);
/* [loop] How many interfaces it is on. */
uint32_t rtp_kernel_interfaces(void);
/* [any] Another number: interfaces, addresses or routes have changed since. */
uint32_t rtp_kernel_generation(void);
