/* filter - the plugin's side of a filter, and how long that plugin has to stay */
#include "filter.h"

#include <core/owner_internal.h>
#include <stdlib.h>

int rtp_filter_new(const struct core_filter *from, uint32_t rate_hz, struct rtp_filter **ret_filter)
{
	struct rtp_filter *filter = calloc(1, sizeof *filter);
	int err;

	if (!filter)
		return PBX_ENOMEM;
	filter->from = *from;
	filter->rate_hz = rate_hz;
	CORE_INTO(from->owner, err = from->table.open(from->context, rate_hz, &filter->state));
	if (err != PBX_OK) {
		free(filter);
		return err;
	}
	core_owner_job_begin(core_owner_of(from->owner)); /* its code stays until this is closed */
	*ret_filter = filter;
	return PBX_OK;
}

void rtp_filter_free(struct rtp_filter *filter)
{
	if (!filter)
		return;
	CORE_INTO(filter->from.owner, filter->from.table.close(filter->state));
	core_owner_job_done(core_owner_of(filter->from.owner));
	free(filter);
}

bool rtp_filter_takes(const struct rtp_filter *filter, uint32_t rate_hz)
{
	return filter && filter->rate_hz == rate_hz;
}

void rtp_filter_said(struct rtp_filter *filter, int16_t *samples, uint32_t count)
{
	if (filter->from.table.said)
		filter->from.table.said(filter->state, samples, count);
}

void rtp_filter_heard(struct rtp_filter *filter, int16_t *samples, uint32_t count)
{
	if (filter->from.table.heard)
		filter->from.table.heard(filter->state, samples, count);
}
