/* core/fork.c - "pbx.fork/1": what legs say and hear, which the media driver sends on from their streams */
#include "calls_inner.h"
#include "overlap.h"
#include <pbx/fork.h>

#define MOST_CNAME 255u /* an item of SDES has one octet for its length */

/* What an older plugin does not know reads as zero. */
static struct pbx_fork_spec whole_spec(const struct pbx_fork_spec *spec)
{
	struct pbx_fork_spec whole = { 0 };

	core_copy_overlap(&whole, sizeof whole, spec, spec->size);
	whole.size = sizeof whole;
	whole.cname = whole.cname ? whole.cname : "";
	return whole;
}

static bool is_good(const struct pbx_fork_spec *spec)
{
	return (spec->what == PBX_FORK_SAYS || spec->what == PBX_FORK_HEARS) &&
	       (spec->ip_version == 0 || spec->ip_version == 4 || spec->ip_version == 6) && strlen(spec->cname) <= MOST_CNAME;
}

static int fork_open(struct pbx_host *host, pbx_leg handle, const struct pbx_fork_spec *spec, const struct pbx_fork_watcher *watcher,
		     void *self, pbx_fork *ret_fork)
{
	const struct core_leg *leg;
	int err = core_leg_with_stream(handle, &leg);
	const struct pbx_fork_spec whole = whole_spec(spec);
	struct pbx_fork_watcher known = { 0 };

	if (!is_good(&whole))
		return PBX_EINVAL;
	if (err != PBX_OK)
		return err;
	core_copy_overlap(&known, sizeof known, watcher, watcher->size);
	return core_media->fork_open ? core_media->fork_open(host, leg->stream, handle, &whole, &known, self, ret_fork) : PBX_ENOTSUP;
}

static int fork_local(pbx_fork fork, struct pbx_fork_local *ret_local)
{
	struct pbx_fork_local local = { .size = (uint32_t)core_overlap(ret_local->size, sizeof local) };
	int err = core_media && core_media->fork_local ? core_media->fork_local(fork, &local) : PBX_ENOENT;

	if (err == PBX_OK)
		memcpy(ret_local, &local, local.size);
	return err;
}

static int fork_aim(pbx_fork fork, const struct pbx_fork_target *target)
{
	struct pbx_fork_target known = { 0 };

	if (!core_media || !core_media->fork_aim)
		return PBX_ENOENT;
	if (!target)
		return core_media->fork_aim(fork, NULL);
	core_copy_overlap(&known, sizeof known, target, target->size);
	return known.address ? core_media->fork_aim(fork, &known) : PBX_EINVAL;
}

static int fork_state(pbx_fork fork, struct pbx_fork_state *ret_state)
{
	struct pbx_fork_state state = { .size = (uint32_t)core_overlap(ret_state->size, sizeof state) };
	int err = core_media && core_media->fork_state ? core_media->fork_state(fork, &state) : PBX_ENOENT;

	if (err == PBX_OK)
		memcpy(ret_state, &state, state.size);
	return err;
}

static int fork_adopt(struct pbx_host *host, pbx_fork fork, const struct pbx_fork_watcher *watcher, void *self)
{
	struct pbx_fork_watcher known = { 0 };

	core_copy_overlap(&known, sizeof known, watcher, watcher->size);
	return core_media && core_media->fork_adopt ? core_media->fork_adopt(host, fork, &known, self) : PBX_ENOENT;
}

static int fork_close(pbx_fork fork)
{
	return core_media && core_media->fork_close ? core_media->fork_close(fork) : PBX_ENOENT;
}

const struct pbx_forks core_forks_service = {
	.header = PBX_HEADER(struct pbx_forks),
	.open = fork_open,
	.local = fork_local,
	.aim = fork_aim,
	.state = fork_state,
	.adopt = fork_adopt,
	.close = fork_close,
};
