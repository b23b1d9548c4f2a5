/* tests/fake/media_fax.c - faxes: begun, and over when a test, their owner or the leg says so */
#include "handle.h"
#include "loop.h"
#include "media.h"
#include "owner.h"
#include <stdlib.h>
#include <string.h>

struct fax {
	struct core_charge charge; /* first */
	pbx_fax handle;
	core_stream stream;
	struct pbx_host *owner;
	struct pbx_fax_watcher watcher;
	void *self;
	uint32_t what;
	char *path, *reason;
	struct pbx_fax_result result;
	bool ending;
	struct fax *next;
};

static struct core_handles table;
static struct fax *faxes;

static void fax_over(void *context, void *data)
{
	struct fax *fax = data, **at = &faxes;
	struct pbx_host *owner = fax->owner;

	(void)context;
	while (*at != fax)
		at = &(*at)->next;
	*at = fax->next;
	core_handle_free(&table, fax->handle.id);
	core_charge_remove(&fax->charge);
	if (owner && fax->watcher.done)
		CORE_INTO(owner, fax->watcher.done(fax->self, fax->handle, &fax->result));
	free(fax->path);
	free(fax->reason);
	free(fax);
}

static void fax_end(struct fax *fax, int32_t error, const char *reason, uint32_t pages)
{
	if (fax->ending)
		return;
	fax->ending = true;
	fax->reason = strdup(reason);
	fax->result = (struct pbx_fax_result){
		.size = sizeof fax->result, .error = error, .reason = fax->reason, .station = "555 0100", .pages = pages, .bit_rate = 14400
	};
	ck_assert_int_eq(core_post(NULL, fax_over, NULL, fax, NULL), PBX_OK);
}

static void on_owner_stopped(struct core_charge *charge)
{
	struct fax *fax = (struct fax *)charge;

	core_charge_remove(charge);
	fax->owner = NULL;
	fax_end(fax, PBX_ESTATE, "stopped", 0);
}

static struct fax *fax_at(core_stream stream)
{
	struct fax *fax = faxes;

	while (fax && (fax->ending || fax->stream.id != stream.id))
		fax = fax->next;
	return fax;
}

void fake_faxes_end(core_stream stream)
{
	struct fax *fax = fax_at(stream);

	if (fax)
		fax_end(fax, PBX_ESTATE, "the leg has ended", 0);
}

static int begin(struct pbx_host *owner, core_stream stream, const struct pbx_fax_spec *spec, const struct pbx_fax_watcher *watcher,
		 void *self, pbx_fax *ret_fax)
{
	struct fax *fax = calloc(1, sizeof *fax);

	ck_assert_ptr_nonnull(fax);
	ck_assert_ptr_null(fax_at(stream));
	fax->handle.id = core_handle_new(&table, fax);
	fax->stream = stream;
	fax->owner = owner;
	fax->watcher = *watcher;
	fax->self = self;
	fax->what = spec->what;
	fax->path = strdup(spec->path);
	fax->next = faxes;
	faxes = fax;
	core_charge_add(owner, &fax->charge, "fax", false, on_owner_stopped);
	*ret_fax = fax->handle;
	return PBX_OK;
}

static int stop(pbx_fax handle)
{
	struct fax *fax = core_handle_find(&table, handle.id);

	if (!fax)
		return PBX_ENOENT;
	fax_end(fax, PBX_ESTATE, "stopped", 0);
	return PBX_OK;
}

static int pages(pbx_fax handle, uint32_t *ret_pages)
{
	*ret_pages = 0;
	return core_handle_find(&table, handle.id) ? PBX_OK : PBX_ENOENT;
}

static bool ends_at(core_stream stream)
{
	return fax_at(stream) != NULL;
}

void fake_fax_finish(core_stream stream, int32_t error, const char *reason, uint32_t count)
{
	struct fax *fax = fax_at(stream);

	ck_assert_msg(fax != NULL, "there is no fax at this leg");
	if (fax->what == PBX_FAX_RECEIVE && count > 0) {
		FILE *file = fopen(fax->path, "wx");

		ck_assert_ptr_nonnull(file);
		ck_assert_int_gt(fprintf(file, "%s", fax->path), 0);
		ck_assert_int_eq(fclose(file), 0);
	}
	fax_end(fax, error, reason, count);
}

void fake_faxes_init(struct core_media_driver *driver)
{
	core_handles_init(&table, 'F');
	driver->fax_begin = begin;
	driver->fax_stop = stop;
	driver->fax_pages = pages;
	driver->fax_ends_at = ends_at;
}

void fake_faxes_fini(void)
{
	ck_assert_msg(!faxes, "a fax is left");
	core_handles_fini(&table);
}
