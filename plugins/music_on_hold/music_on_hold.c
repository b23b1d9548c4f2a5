/*
 * music_on_hold - music for anyone who is held, queued, parked or alone
 *
 * Offers pbx.music/1: the source behind a class. Every folder below settings.directory, and below the plugin's own data folder, is a
 * class; the folders are looked at every rescan_s seconds, in the pool. What a class adds to its files (order, gain, a stream,
 * announcements) is a row in music_on_hold_classes. One decoder a class, one encoder a codec, however many listen: that is the media
 * engine's doing.
 */
#include "music.h"
#include <stdlib.h>
#include <string.h>

static const struct pbx_setting settings[] = {
	PBX_TEXT(struct music_settings, directory, .initial_text = MUSIC_DIR, .help = "Folder whose sub-folders are music classes"),
	PBX_TEXT(struct music_settings, default_class, .initial_text = "default", .least = 1, .most = MUSIC_NAME_LENGTH,
		 .help = "Class that is heard when none, or an unknown one, is asked for"),
	PBX_CHOICE(struct music_settings, sort, .initial_text = "randstart", .choices = PBX_CHOICES("alpha", "random", "randstart"),
		   .help = "Order of the files of a class that has no order of its own"),
	PBX_UINT(struct music_settings, rescan_s, .initial = 10, .least = 1, .most = 3600, .unit = "s",
		 .help = "How often the folders are looked at for new and changed files"),
	PBX_UINT(struct music_settings, hold_timeout_s, .initial = 0, .least = 0, .most = 86400, .unit = "s",
		 .help = "Who holds a call for so long is rung again, and takes it up by answering; 0: never"),
	PBX_UINT(struct music_settings, hold_ring_s, .initial = 30, .least = 5, .most = 600, .unit = "s",
		 .help = "How long that phone rings; unanswered, it rings again after hold_timeout_s"),
	PBX_BOOL(struct music_settings, trim_silence, .initial = 1, .help = "Leave out the silence at the beginning and the end of a tune"),
};

static const struct pbx_migration migrations[] = {
	{ 1, "classes",
	  "CREATE TABLE music_on_hold_classes (name TEXT PRIMARY KEY, sort TEXT NOT NULL, gain_cdb INTEGER NOT NULL DEFAULT 0,"
	  " created_at INTEGER NOT NULL, updated_at INTEGER NOT NULL)" },
	{ 2, "streams, announcements, playlists",
	  "ALTER TABLE music_on_hold_classes ADD COLUMN mode TEXT NOT NULL DEFAULT 'files';"
	  "ALTER TABLE music_on_hold_classes ADD COLUMN position TEXT NOT NULL DEFAULT 'shared';"
	  "ALTER TABLE music_on_hold_classes ADD COLUMN url TEXT NOT NULL DEFAULT '';"
	  "ALTER TABLE music_on_hold_classes ADD COLUMN announcement TEXT NOT NULL DEFAULT '';"
	  "ALTER TABLE music_on_hold_classes ADD COLUMN announce_every_s INTEGER NOT NULL DEFAULT 0;"
	  "ALTER TABLE music_on_hold_classes ADD COLUMN levels INTEGER NOT NULL DEFAULT 0;"
	  "ALTER TABLE music_on_hold_classes ADD COLUMN playlist TEXT NOT NULL DEFAULT ''" },
};

/* ---- pbx.music/1 ---------------------------------------------------------------------- */

static int service_source(void *self, const char *music_class, pbx_source *ret_source)
{
	struct music *music = self;
	struct music_class *class = music_class && music_class[0] ? music_find(music, music_class) : NULL;

	if (class && music_source(music, class, ret_source) == PBX_OK)
		return PBX_OK;
	class = music_find(music, music->settings->default_class);
	return class ? music_source(music, class, ret_source) : PBX_ENOENT;
}

static const void *music_offer(void *self, const char *id)
{
	struct music *music = self;

	(void)id; /* the only one we offer */
	music->service = (struct pbx_music){ .header = PBX_HEADER(struct pbx_music), .self = music, .source = service_source };
	return &music->service;
}

/* ---- looking at the folders ----------------------------------------------------------- */

static void on_scanned(void *self, void *job, int status)
{
	struct music *music = self;

	music->scanning = false;
	if (status == PBX_OK) {
		music_take_scan(music, job);
		if (!music->loaded) {
			music->loaded = true;
			music->host->ready(music->host, PBX_OK, NULL);
		}
		if (music->scan_again)
			music_rescan(music);
	}
	scan_free(job);
}

void music_rescan(struct music *music)
{
	struct scan *scan;

	if (music->scanning) {
		music->scan_again = true;
		return;
	}
	music->scan_again = false;
	scan = scan_new(music->settings->directory, music->uploads);
	if (scan && music->host->work(music->host, scan_run, on_scanned, scan) == PBX_OK)
		music->scanning = true;
	else
		scan_free(scan); /* no memory now; the next round may have some */
}

static void on_rescan(void *self, pbx_timer timer)
{
	(void)timer;
	music_close_idle(self);
	music_rescan(self);
}

/* ---- life ----------------------------------------------------------------------------- */

static void on_rows(void *self, const struct pbx_rows *rows)
{
	struct music *music = self;

	if (rows->status != PBX_OK) {
		music->host->ready(music->host, rows->status, rows->error);
		return;
	}
	for (uint32_t row = 0; row < rows->count; row++) {
		struct music_class *class = music_add(music, pbx_cell_text(rows, row, 0));

		if (!class)
			break;
		class->stored = true;
		plan_from_row(rows, row, &class->plan);
	}
	music_rescan(music);
}

static int music_load(void *self)
{
	struct music *music = self;
	const char *uploads = music->host->data_dir(music->host);

	music->media = pbx_media(music->host);
	music->store = pbx_store(music->host);
	music->json = pbx_jsons(music->host);
	music->requests = pbx_requests(music->host);
	music->timers = pbx_timers(music->host);
	music->calls = pbx_calls(music->host);
	music->bus = pbx_bus(music->host);
	if (uploads && !(music->uploads = strdup(uploads)))
		return PBX_ENOMEM;
	char sql[300];

	(void)snprintf(sql, sizeof sql, "SELECT name, %s FROM music_on_hold_classes ORDER BY name", plan_columns);
	int err = music->store->run(music->host, sql, NULL, 0, on_rows, music);
	return err == PBX_OK ? PBX_ELATER : err;
}

static int watch_folders(struct music *music)
{
	const uint64_t every_ms = (uint64_t)music->settings->rescan_s * 1000;

	(void)music->timers->stop(music->rescan);
	return music->timers->start(music->host, every_ms, every_ms, on_rescan, music, &music->rescan);
}

static int music_start(void *self)
{
	int err = watch_folders(self);

	return err == PBX_OK ? reminder_start(self) : err;
}

static void music_drain(void *self)
{
	reminder_drain(self);
}

/* The folder may be another one now: look at once. The order of a class without a row follows the setting. A source takes all else from
 * the end of its tune on. */
static void apply_settings(void *self, void *data)
{
	struct music *music = self;

	(void)data;
	for (struct music_class *class = music->classes; class; class = class->next) {
		if (!class->stored)
			plan_default(music, &class->plan);
		music_refresh(music, class);
	}
	(void)watch_folders(music); /* rescan_s may have changed; without memory the old rhythm is lost, and the log tells why */
	music_rescan(music);
}

static int music_reload(void *self, const void *proposed, struct pbx_diag *diag)
{
	struct music *music = self;

	(void)proposed, (void)diag;
	return music->host->post(music->host, apply_settings, NULL, NULL);
}

static void music_unload(void *self)
{
	struct music *music = self;

	reminder_clear(music);
	music_jobs_clear(music);
	music_clear(music);
	free(music->uploads);
}

/* ---- what people may ask -------------------------------------------------------------- */

static const struct pbx_arg class_arg[] = {
	{ .name = "class", .type = PBX_TYPE_TEXT, .flags = PBX_ARG_REQUIRED, .help = "Name of the class", .completes = "moh_class" },
};
static const struct pbx_arg class_args[] = {
	{ .name = "class", .type = PBX_TYPE_TEXT, .flags = PBX_ARG_REQUIRED, .help = "Name of the class: letters, digits, - and _" },
	{ .name = "mode",
	  .type = PBX_TYPE_CHOICE,
	  .choices = PBX_CHOICES("files", "playlist", "stream"),
	  .help = "What is heard: its files, some of them in an order of its own, or a stream with the files while that cannot be heard" },
	{ .name = "sort", .type = PBX_TYPE_CHOICE, .choices = PBX_CHOICES("alpha", "random", "randstart"), .help = "Order of its files" },
	{ .name = "position",
	  .type = PBX_TYPE_CHOICE,
	  .choices = PBX_CHOICES("shared", "caller"),
	  .help = "All are in the same place of the music, or every caller begins at the beginning" },
	{ .name = "source", .type = PBX_TYPE_TEXT, .help = "Address of the stream, http or https: MP3, Ogg Vorbis or Ogg Opus" },
	{ .name = "playlist", .type = PBX_TYPE_LIST, .help = "Names of files of the class, in order; one may come twice" },
	{ .name = "gain_db", .type = PBX_TYPE_INT, .least = -40, .most = 20, .help = "Louder or softer than the files are" },
	{ .name = "levels", .type = PBX_TYPE_BOOL, .help = "Bring tunes of different loudness nearer to one another" },
	{ .name = "announcement", .type = PBX_TYPE_TEXT, .help = "A prompt that interrupts the music; files named announce-… do so too" },
	{ .name = "announce_every_s",
	  .type = PBX_TYPE_INT,
	  .least = 0,
	  .most = 3600,
	  .help = "Seconds of music between announcements; 0: none" },
};
static const struct pbx_arg file_args[] = {
	{ .name = "class", .type = PBX_TYPE_TEXT, .flags = PBX_ARG_REQUIRED, .help = "Name of the class" },
	{ .name = "file", .type = PBX_TYPE_TEXT, .flags = PBX_ARG_REQUIRED, .help = "File name: .wav .flac .ogg .opus .mp3" },
};
static const struct pbx_field class_fields[] = {
	{ "name", PBX_TYPE_TEXT, "Name of the class" },
	{ "mode", PBX_TYPE_TEXT, "files, playlist or stream" },
	{ "sort", PBX_TYPE_TEXT, "Order of its files: alpha, random, randstart" },
	{ "position", PBX_TYPE_TEXT, "shared: all are in the same place; caller: each begins at the beginning" },
	{ "gain_db", PBX_TYPE_INT, "Louder or softer than the files are" },
	{ "levels", PBX_TYPE_BOOL, "Tunes are brought nearer to one loudness" },
	{ "source", PBX_TYPE_TEXT, "Address of the stream" },
	{ "announcement", PBX_TYPE_TEXT, "The prompt that interrupts the music" },
	{ "announce_every_s", PBX_TYPE_INT, "Seconds of music between announcements" },
	{ "playlist", PBX_TYPE_LIST, "Names of files, in the order in which they are played" },
	{ "file_count", PBX_TYPE_INT, "How many files it has" },
	{ "listeners", PBX_TYPE_INT, "Legs that hear it now" },
	{ "streaming", PBX_TYPE_BOOL, "The stream is being heard" },
	{ "is_default", PBX_TYPE_BOOL, "Heard when no class, or an unknown one, is asked for" },
	{ "files", PBX_TYPE_LIST, "File names, in order of name" },
};

static const struct pbx_route routes[] = {
	{ .method = "GET",
	  .path = "/moh/classes",
	  .handle = music_on_list,
	  .scope = "moh:read",
	  .summary = "List the music classes",
	  .reply = PBX_TABLE(class_fields) },
	{ .method = "GET",
	  .path = "/moh/classes/{class}",
	  .handle = music_on_show,
	  .scope = "moh:read",
	  .summary = "One class with its files",
	  .args = PBX_TABLE(class_arg),
	  .reply = PBX_TABLE(class_fields) },
	{ .method = "POST",
	  .path = "/moh/classes",
	  .handle = music_on_create,
	  .scope = "moh:write",
	  .summary = "Make a class",
	  .flags = PBX_ROUTE_WRITES,
	  .args = PBX_TABLE(class_args),
	  .reply = PBX_TABLE(class_fields) },
	{ .method = "PUT",
	  .path = "/moh/classes/{class}",
	  .handle = music_on_set,
	  .scope = "moh:write",
	  .summary = "Make or change a class",
	  .flags = PBX_ROUTE_WRITES,
	  .args = PBX_TABLE(class_args),
	  .reply = PBX_TABLE(class_fields) },
	{ .method = "DELETE",
	  .path = "/moh/classes/{class}",
	  .handle = music_on_remove,
	  .scope = "moh:write",
	  .summary = "Remove a class and its uploaded files",
	  .flags = PBX_ROUTE_WRITES,
	  .args = PBX_TABLE(class_arg) },
	{ .method = "POST",
	  .path = "/moh/classes/{class}/files",
	  .handle = music_on_upload_form,
	  .scope = "moh:write",
	  .summary = "Upload a tune as a form does: the first file of multipart/form-data",
	  .flags = PBX_ROUTE_WRITES | PBX_ROUTE_RAW_BODY,
	  .args = PBX_TABLE(class_arg) },
	{ .method = "PUT",
	  .path = "/moh/classes/{class}/files/{file}",
	  .handle = music_on_upload,
	  .scope = "moh:write",
	  .summary = "Upload a tune: the body is the file",
	  .flags = PBX_ROUTE_WRITES | PBX_ROUTE_RAW_BODY,
	  .args = PBX_TABLE(file_args) },
	{ .method = "DELETE",
	  .path = "/moh/classes/{class}/files/{file}",
	  .handle = music_on_remove_file,
	  .scope = "moh:write",
	  .summary = "Remove an uploaded tune",
	  .flags = PBX_ROUTE_WRITES,
	  .args = PBX_TABLE(file_args) },
	{ .method = "GET",
	  .path = "/moh/classes/{class}/files/{file}/audio",
	  .handle = music_on_download,
	  .scope = "moh:read",
	  .summary = "A tune as it is stored",
	  .args = PBX_TABLE(file_args) },
};

static const struct pbx_command commands[] = {
	{ .words = "moh list",
	  .handle = music_on_list,
	  .help = "List the music classes",
	  .columns = "name,mode,sort,gain_db,file_count,listeners,streaming,is_default" },
	{ .words = "moh show", .handle = music_on_show, .help = "One class with its files", .args = PBX_TABLE(class_arg) },
	{ .words = "moh set", .handle = music_on_set, .help = "Make a class, or change what it plays", .args = PBX_TABLE(class_args) },
	{ .words = "moh remove", .handle = music_on_remove, .help = "Remove a class and its uploaded files", .args = PBX_TABLE(class_arg) },
	{ .words = "moh rescan", .handle = music_on_rescan, .help = "Look at the folders now" },
};

PBX_PLUGIN(music_on_hold)
= {
	PBX_PLUGIN_HEADER,
	.name = "music_on_hold",
	.version = "1.0.0",
	.summary = "Music for those who wait, in classes",
	.needs = PBX_NEEDS("pbx.media/1", "pbx.store/1", "pbx.json/1", "pbx.requests/1", "pbx.timers/1", "pbx.calls/1", "pbx.bus/1"),
	.offers = PBX_OFFERS("pbx.music/1"),
	.instance_size = sizeof(struct music),
	PBX_SETTINGS(struct music_settings, settings),
	.migrations = PBX_TABLE(migrations),
	.routes = PBX_TABLE(routes),
	.commands = PBX_TABLE(commands),
	.load = music_load,
	.start = music_start,
	.reload = music_reload,
	.drain = music_drain,
	.unload = music_unload,
	.offer = music_offer,
};
