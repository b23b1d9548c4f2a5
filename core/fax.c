/* core/fax.c - "pbx.fax/1": faxes of legs, which are the media driver's of their streams */
#include "calls_inner.h"
#include "overlap.h"
#include <pbx/fax.h>

static int fax_begin(struct pbx_host *host, pbx_leg handle, const struct pbx_fax_spec *spec, const struct pbx_fax_watcher *watcher,
		     void *self, pbx_fax *ret_fax)
{
	struct core_leg *leg = core_leg_alive(handle);
	struct pbx_fax_spec whole = { 0 }; /* what an older plugin does not know reads as zero */

	core_copy_overlap(&whole, sizeof whole, spec, spec->size);
	if (!leg)
		return PBX_ENOENT;
	if (leg->state != PBX_LEG_ANSWERED || !leg->has_stream || leg->bridge)
		return PBX_ESTATE;
	if (!core_media->fax_begin)
		return PBX_ENOTSUP;
	core_leg_stop_play(leg);
	int err = core_media->fax_begin(host, leg->stream, &whole, watcher, self, ret_fax);

	if (err == PBX_OK && whole.what == PBX_FAX_RECEIVE && !whole.no_t38)
		(void)core_fax_ask(leg); /* who may not have it, or does not want it, sends by its modem */
	return err;
}

static int fax_stop(pbx_fax fax)
{
	return core_media && core_media->fax_stop ? core_media->fax_stop(fax) : PBX_ENOENT;
}

static int fax_pages(pbx_fax fax, uint32_t *ret_pages)
{
	return core_media && core_media->fax_pages ? core_media->fax_pages(fax, ret_pages) : PBX_ENOENT;
}

const struct pbx_faxes core_faxes_service = {
	.header = PBX_HEADER(struct pbx_faxes),
	.begin = fax_begin,
	.stop = fax_stop,
	.pages = fax_pages,
};
