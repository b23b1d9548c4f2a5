/* music_on_hold/music.h - what the plugin's files share
 *
 * A class is a name, what it plays (struct music_plan, a row of music_on_hold_classes when somebody has decided anything), and its files:
 * those of settings.directory/NAME (shipped, read only) and of data_dir/NAME (uploaded). Files whose names begin with "announce-" are
 * announcements, not tunes. scan.c looks at the folders in the pool; classes.c keeps what was found; sources.c has it played;
 * requests.c answers people, plan.c reads and writes what they decide. [loop] but for scan_run. */
#pragma once
#include <pbx/bus.h>
#include <pbx/calls.h>
#include <pbx/media.h>
#include <pbx/music.h>
#include <pbx/requests.h>
#include <pbx/store.h>
#include <pbx/timers.h>

#define MUSIC_MOST_CLASSES 200u
#define MUSIC_MOST_FILES 500u /* in one class */
#define MUSIC_NAME_LENGTH 40u
#define MUSIC_MOST_CALLERS 64u /* of one class that each hear it from the beginning; those beyond share */
#define MUSIC_MOST_PLAYLIST 500u
#define MUSIC_URL_BYTES 1024u
#define MUSIC_ANNOUNCE "announce-"

struct music_settings {
	const char *directory, *default_class, *sort;
	uint32_t rescan_s, hold_timeout_s, hold_ring_s;
	bool trim_silence;
};

/* What a scan found in one class: full paths in order of name. */
struct music_files {
	char **paths;
	uint32_t count;
	uint64_t print; /* changes when a file comes, goes or changes */
};

/* What people decide about a class. Plain values: a change works on a copy. */
struct music_plan {
	char mode[12];     /* "files", "playlist", "stream" */
	char sort[12];     /* "alpha", "random", "randstart" */
	char position[12]; /* "shared", "caller" */
	char url[MUSIC_URL_BYTES];
	char announcement[128]; /* a prompt's name; "" for none */
	uint32_t announce_every_s;
	int32_t gain_cdb;
	bool levels;
	char playlist[8192]; /* a JSON array of file names; "" for none */
};

struct music_class {
	struct music_class *next;
	char name[MUSIC_NAME_LENGTH + 1];
	struct music_plan plan;
	bool stored; /* has a row of its own */
	struct music_files files;
	pbx_source source;  /* that all share; none until somebody is to hear it */
	pbx_source *caller; /* MUSIC_MOST_CALLERS, each for one who hears it from the beginning; NULL until there was one */
};

struct music {
	PBX_INSTANCE(struct music_settings);
	const struct pbx_media *media;
	const struct pbx_store *store;
	const struct pbx_jsons *json;
	const struct pbx_requests *requests;
	const struct pbx_timers *timers;
	const struct pbx_calls *calls;
	const struct pbx_bus *bus;
	struct reminder *reminders; /* of those who are held */
	pbx_timer rescan;
	struct pbx_music service;
	struct music_class *classes; /* by name */
	char *uploads;               /* data_dir; NULL when there is none */
	struct file_job *jobs;       /* of files.c: those that are not done with */
	bool scanning, scan_again;
	bool loaded;
};

/* ---- scan.c ---- */
struct scan_found {
	char name[MUSIC_NAME_LENGTH + 1];
	struct music_files files;
};
struct scan {
	char *roots[2];
	struct scan_found found[MUSIC_MOST_CLASSES];
	uint32_t count;
};
struct scan *scan_new(const char *directory, const char *uploads);
void scan_run(void *scan); /* [work] */
void scan_free(struct scan *scan);
void music_files_clear(struct music_files *files);
bool music_is_name(const char *text);      /* [A-Za-z0-9_-]+, not too long */
bool music_is_file_name(const char *text); /* no path, a suffix that we play */

/* ---- classes.c ---- */
struct music_class *music_find(struct music *music, const char *name);
struct music_class *music_add(struct music *music, const char *name); /* finds or makes; NULL: no memory, or too many */
void music_remove(struct music *music, struct music_class *class);
void music_clear(struct music *music);
void music_take_scan(struct music *music, struct scan *scan);
void music_rescan(struct music *music); /* in music_on_hold.c: looks at the folders soon */

/* ---- sources.c: what the media engine is told to play ---- */
int music_source(struct music *music, struct music_class *class,
		 pbx_source *ret_source);                           /* for one more listener; PBX_ENOENT: nothing to play */
void music_refresh(struct music *music, struct music_class *class); /* its plan or files have changed */
void music_close(struct music *music, struct music_class *class);   /* listeners hear silence: their music is gone */
void music_close_idle(struct music *music);                         /* sources of callers who have left */
void music_state(const struct music *music, const struct music_class *class, struct pbx_source_state *ret_state); /* of all its sources */

/* ---- plan.c ---- */
#define PLAN_COLUMNS 10u
extern const char plan_columns[]; /* in the order of the two below, after name */
void plan_default(const struct music *music, struct music_plan *ret_plan);
void plan_from_row(const struct pbx_rows *rows, uint32_t row, struct music_plan *ret_plan);
void plan_values(const struct music_plan *plan, struct pbx_value ret_values[PLAN_COLUMNS - 1]);
/* What a request says over what was before. False: it has been refused. */
bool plan_from_request(const struct music *music, pbx_request request, struct music_plan *plan);
void plan_describe(const struct music *music, const struct music_plan *plan, struct pbx_json *object);

/* ---- multipart.c ---- */
/* The first file of a form (RFC 7578): borrowed from the body. False: there is none. */
struct part {
	const char *bytes;
	size_t size;
	char name[256];
};
bool multipart_first_file(const char *content_type, const char *body, size_t size, struct part *ret_part);

/* ---- reminder.c: who is held for long ---- */
int reminder_start(struct music *music);
void reminder_drain(struct music *music); /* a newer version reminds from now on; phones that ring already are seen through */
void reminder_clear(struct music *music);

/* ---- requests.c: handlers of the tables in music_on_hold.c ---- */
void music_on_list(void *self, pbx_request request);
void music_on_show(void *self, pbx_request request);
void music_on_set(void *self, pbx_request request);
void music_on_create(void *self, pbx_request request);
void music_on_remove(void *self, pbx_request request);
void music_on_rescan(void *self, pbx_request request);

/* ---- files.c: uploads, downloads and removals, in the pool ---- */
void music_on_upload(void *self, pbx_request request);
void music_on_upload_form(void *self, pbx_request request);
void music_on_remove_file(void *self, pbx_request request);
void music_on_download(void *self, pbx_request request);
void music_jobs_clear(struct music *music); /* downloads whose askers were waiting when we were stopped */
