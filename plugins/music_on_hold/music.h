/* music_on_hold/music.h - what the plugin's files share
 *
 * A class is a name, how its files follow one another, and the files themselves: those of settings.directory/NAME (shipped, read only)
 * and of data_dir/NAME (uploaded). scan.c looks at the folders in the pool; classes.c keeps what was found and the sources that
 * play it; requests.c answers people. [loop] but for scan_run. */
#pragma once
#include <pbx/media.h>
#include <pbx/music.h>
#include <pbx/requests.h>
#include <pbx/store.h>
#include <pbx/timers.h>

#define MUSIC_MOST_CLASSES 200u
#define MUSIC_MOST_FILES 500u /* in one class */
#define MUSIC_NAME_LENGTH 40u

struct music_settings {
	const char *directory, *default_class, *sort;
	uint32_t rescan_s;
};

/* What a scan found in one class: full paths in order of name. */
struct music_files {
	char **paths;
	uint32_t count;
	uint64_t print; /* changes when a file comes, goes or changes */
};

struct music_class {
	struct music_class *next;
	char name[MUSIC_NAME_LENGTH + 1];
	char sort[12]; /* "alpha", "random", "randstart" */
	int32_t gain_cdb;
	bool stored; /* has a row of its own */
	struct music_files files;
	pbx_source source; /* none until somebody is to hear it */
};

struct music {
	PBX_INSTANCE(struct music_settings);
	const struct pbx_media *media;
	const struct pbx_store *store;
	const struct pbx_jsons *json;
	const struct pbx_requests *requests;
	const struct pbx_timers *timers;
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
int music_source(struct music *music, struct music_class *class, pbx_source *ret_source);
void music_refresh(struct music *music, struct music_class *class); /* after sort or gain changed */
void music_rescan(struct music *music);                             /* in music_on_hold.c: looks at the folders soon */

/* ---- requests.c: handlers of the tables in music_on_hold.c ---- */
void music_on_list(void *self, pbx_request request);
void music_on_show(void *self, pbx_request request);
void music_on_set(void *self, pbx_request request);
void music_on_remove(void *self, pbx_request request);
void music_on_rescan(void *self, pbx_request request);

/* ---- files.c: uploads, downloads and removals, in the pool ---- */
void music_on_upload(void *self, pbx_request request);
void music_on_remove_file(void *self, pbx_request request);
void music_on_download(void *self, pbx_request request);
void music_jobs_clear(struct music *music); /* downloads whose askers were waiting when we were stopped */
