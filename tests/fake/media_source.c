/* tests/fake/media_source.c - sources of music that nobody plays, and files that are looked at before they are */
#include "handle.h"
#include "loop.h"
#include "media.h"
#include "owner.h"
#include <stdlib.h>
#include <string.h>

struct source {
	struct core_charge charge; /* first */
	pbx_source handle;
	char *name, *files, *url, *announcements;
	uint32_t announce_every_s;
	bool levels, trims_silence;
	struct source *next;
};

static struct core_handles table;
static struct source *sources;

static struct source *find_source_named(const char *name)
{
	struct source *source = sources;

	while (source && strcmp(source->name, name))
		source = source->next;
	return source;
}

static char *join(const char *const *texts, uint32_t count)
{
	char *text = NULL;
	size_t size;
	FILE *out = open_memstream(&text, &size);

	for (uint32_t i = 0; i < count; i++)
		(void)fprintf(out, "%s%s", i ? "\n" : "", texts[i]);
	(void)fclose(out); /* memory */
	return text;
}

static void forget_spec(struct source *source)
{
	free(source->files);
	free(source->url);
	free(source->announcements);
}

static void take_spec(struct source *source, const struct pbx_source_spec *spec)
{
	source->files = join(spec->files, spec->file_count);
	source->announcements = join(spec->announcements, spec->announcement_count);
	source->url = strdup(spec->url ? spec->url : "");
	source->announce_every_s = spec->announce_every_s;
	source->levels = spec->levels;
	source->trims_silence = spec->trims_silence;
}

static void source_free(struct source *source)
{
	struct source **at = &sources;

	for (struct fake_stream *stream = fake_streams; stream; stream = stream->next)
		if (stream->plays == CORE_PLAY_SOURCE && stream->source.id == source->handle.id)
			fake_stream_play_over(stream, PBX_MEDIA_FINISHED);
	while (*at != source)
		at = &(*at)->next;
	*at = source->next;
	core_charge_remove(&source->charge);
	core_handle_free(&table, source->handle.id);
	free(source->name);
	forget_spec(source);
	free(source);
}

static void source_revoke(struct core_charge *charge)
{
	source_free((struct source *)charge);
}

static int source_open(struct pbx_host *owner, const struct pbx_source_spec *spec, pbx_source *ret_source)
{
	if (!spec->file_count && (!spec->url || !*spec->url))
		return PBX_EINVAL;
	struct source *source = calloc(1, sizeof *source);
	ck_assert_ptr_nonnull(source);

	source->handle.id = core_handle_new(&table, source);
	source->name = strdup(spec->name);
	take_spec(source, spec);
	source->next = sources;
	sources = source;
	core_charge_add(owner, &source->charge, "source", false, source_revoke);
	*ret_source = source->handle;
	return PBX_OK;
}

static int source_update(pbx_source handle, const struct pbx_source_spec *spec)
{
	struct source *source = core_handle_find(&table, handle.id);

	if (!source)
		return PBX_ENOENT;
	if (!spec->file_count && (!spec->url || !*spec->url))
		return PBX_EINVAL;
	forget_spec(source);
	take_spec(source, spec);
	return PBX_OK;
}

static int source_close(pbx_source handle)
{
	struct source *source = core_handle_find(&table, handle.id);

	if (!source)
		return PBX_ENOENT;
	source_free(source);
	return PBX_OK;
}

static int source_listeners(pbx_source handle, uint32_t *ret_listeners)
{
	if (!core_handle_find(&table, handle.id))
		return PBX_ENOENT;
	*ret_listeners = 0;
	for (const struct fake_stream *stream = fake_streams; stream; stream = stream->next)
		*ret_listeners += stream->plays == CORE_PLAY_SOURCE && stream->source.id == handle.id;
	return PBX_OK;
}

static int source_state(pbx_source handle, struct pbx_source_state *ret_state)
{
	const struct source *source = core_handle_find(&table, handle.id);

	if (!source)
		return PBX_ENOENT;
	(void)source_listeners(handle, &ret_state->listeners); /* it is there */
	ret_state->running = ret_state->listeners > 0;
	ret_state->streaming = ret_state->running && *source->url;
	return PBX_OK;
}

const char *fake_source_files(struct fake_pbx *pbx, const char *name)
{
	const struct source *source = find_source_named(name);

	(void)pbx;
	return source ? fake_format("%s", source->files) : NULL;
}

const char *fake_source_wishes(struct fake_pbx *pbx, const char *name)
{
	const struct source *source = find_source_named(name);

	(void)pbx;
	if (!source)
		return NULL;
	return fake_format("%s announce:%s/%u%s%s", source->url, source->announcements, source->announce_every_s,
			   source->levels ? " levels" : "", source->trims_silence ? " trims" : "");
}

uint32_t fake_source_listeners(struct fake_pbx *pbx, const char *name)
{
	const struct source *source = find_source_named(name);
	uint32_t listeners;

	(void)pbx;
	ck_assert_msg(source != NULL, "there is no source %s", name);
	ck_assert_int_eq(source_listeners(source->handle, &listeners), PBX_OK);
	return listeners;
}

/* ---- probing: a file that begins as WAV does can be played ---- */

struct probe {
	char *path;
	void (*done)(void *self, int result, const struct pbx_file_info *info);
	void *self;
	int result;
	struct pbx_file_info info;
};

static void probe_work(void *job)
{
	struct probe *probe = job;
	char begin[44] = "";
	FILE *file = fopen(probe->path, "rb");

	probe->result = !file                                                                              ? PBX_ENOENT
			: fread(begin, 1, sizeof begin, file) == sizeof begin && !memcmp(begin, "RIFF", 4) ? PBX_OK
													   : PBX_EINVAL;
	if (!file)
		return;
	(void)fseek(file, 0, SEEK_END);
	probe->info = (struct pbx_file_info){
		.size = sizeof probe->info, .rate_hz = 8000, .channels = 1, .duration_ms = (uint64_t)(ftell(file) - 44) / 16
	};
	(void)fclose(file); /* was only read */
}

static void probe_worked(void *context, void *job, int status)
{
	struct probe *probe = job;

	(void)context;
	probe->done(probe->self, status == PBX_OK ? probe->result : status, &probe->info);
	free(probe->path);
	free(probe);
}

static int media_probe(struct pbx_host *host, const char *path, void (*done)(void *self, int result, const struct pbx_file_info *info),
		       void *self)
{
	struct probe *probe = calloc(1, sizeof *probe);

	ck_assert_ptr_nonnull(probe);
	*probe = (struct probe){ .path = strdup(path), .done = done, .self = self };
	return core_work(host, probe_work, probe_worked, NULL, probe);
}

/* ---- beginning and end ---- */

const char *fake_source_name(pbx_source handle)
{
	const struct source *source = core_handle_find(&table, handle.id);

	return source ? source->name : NULL;
}

uint32_t fake_media_sources(void)
{
	return core_handles_count(&table);
}

void fake_sources_init(struct core_media_driver *driver)
{
	core_handles_init(&table, 'P');
	driver->source_open = source_open;
	driver->source_update = source_update;
	driver->source_close = source_close;
	driver->source_listeners = source_listeners;
	driver->source_state = source_state;
	driver->probe = media_probe;
}

void fake_sources_fini(void)
{
	ck_assert_msg(!sources, "a source is left open: %s", sources ? sources->name : "");
	core_handles_fini(&table);
}
