/* core/io.c - descriptors on the loop, each with an owner: one uv_poll_t a watch
 *
 * libuv lets go of a descriptor that has an error pending. For a datagram socket that is one lost packet told by ICMP, so the owner is told,
 * reads the error away, and the watch goes on. */
#include "io.h"
#include "handle.h"
#include "loop.h"
#include "owner.h"
#include <assert.h>
#include <fcntl.h>
#include <stdlib.h>

struct watch {
	struct core_charge charge; /* first: a charge is its watch */
	uv_poll_t poll;
	uint64_t id;
	uint32_t what;
	pbx_io_fn fn;
	void *self;
};

static struct core_handles watches = { .kind = 'I', .free_head = UINT32_MAX };

/* ---- letting go ----------------------------------------------------------------------- */

static void on_closed(uv_handle_t *handle)
{
	free(handle->data);
}

/* The descriptor is free at once, the memory when libuv is done with it. */
static void let_go(struct watch *watch)
{
	core_handle_free(&watches, watch->id);
	core_charge_remove(&watch->charge);
	(void)uv_poll_stop(&watch->poll); /* cannot fail for an open handle */
	uv_close((uv_handle_t *)&watch->poll, on_closed);
}

static void on_revoked(struct core_charge *charge)
{
	let_go((struct watch *)charge);
}

/* ---- watching ------------------------------------------------------------------------- */

static void on_ready(uv_poll_t *poll, int status, int events);

static int begin(struct watch *watch)
{
	int events = (watch->what & PBX_IO_READ ? UV_READABLE : 0) | (watch->what & PBX_IO_WRITE ? UV_WRITABLE : 0);

	return uv_poll_start(&watch->poll, events, on_ready) == 0 ? PBX_OK : PBX_EINVAL;
}

static void on_ready(uv_poll_t *poll, int status, int events)
{
	struct watch *watch = poll->data;
	const uint64_t id = watch->id;
	const uint32_t what = status < 0 ? PBX_IO_FAILED | watch->what
					 : (events & UV_READABLE ? PBX_IO_READ : 0u) | (events & UV_WRITABLE ? PBX_IO_WRITE : 0u);

	CORE_INTO(watch->charge.owner, watch->fn(watch->self, (pbx_io_watch){ id }, what));
	if (status < 0 && core_handle_find(&watches, id))
		(void)begin(watch); /* its descriptor was good before */
}

static bool is_wanted(uint32_t what)
{
	return what && !(what & ~(PBX_IO_READ | PBX_IO_WRITE));
}

static int io_watch(struct pbx_host *host, int32_t descriptor, uint32_t what, pbx_io_fn fn, void *self, pbx_io_watch *ret_watch)
{
	core_assert_loop();
	assert(fn && ret_watch);
	if (descriptor < 0 || !is_wanted(what) || fcntl(descriptor, F_GETFD) < 0)
		return PBX_EINVAL;

	struct watch *watch = calloc(1, sizeof *watch);
	uint64_t id = watch ? core_handle_new(&watches, watch) : 0;
	if (!id) {
		free(watch);
		return PBX_ENOMEM;
	}
	int err = uv_poll_init(core_loop_uv(), &watch->poll, descriptor);
	if (err) {
		core_handle_free(&watches, id);
		free(watch);
		return err == UV_EEXIST ? PBX_EEXIST : PBX_EINVAL;
	}
	watch->poll.data = watch;
	watch->id = id;
	watch->what = what;
	watch->fn = fn;
	watch->self = self;
	core_charge_add(host, &watch->charge, "descriptor", false, on_revoked);
	if (begin(watch) != PBX_OK) {
		let_go(watch);
		return PBX_EEXIST;
	}
	ret_watch->id = id;
	return PBX_OK;
}

static int io_change(pbx_io_watch handle, uint32_t what)
{
	core_assert_loop();
	struct watch *watch = core_handle_find(&watches, handle.id);

	if (!watch)
		return PBX_ENOENT;
	if (!is_wanted(what))
		return PBX_EINVAL;
	watch->what = what;
	return begin(watch);
}

static int io_stop(pbx_io_watch handle)
{
	core_assert_loop();
	struct watch *watch = core_handle_find(&watches, handle.id);

	if (!watch)
		return PBX_ENOENT;
	let_go(watch);
	return PBX_OK;
}

void core_io_drop(void)
{
	assert(!core_handles_count(&watches));
	core_handles_fini(&watches);
}

const struct pbx_io core_io_service = {
	.header = PBX_HEADER(struct pbx_io),
	.watch = io_watch,
	.change = io_change,
	.stop = io_stop,
};
