/* fax/fax.h - what the plugin's files share. All of it: [loop], but what says otherwise.
 *
 *   a number of an inbox is dialled ──▶ receive.c ─┐
 *                                                   ├──▶ pbx.fax/1 ──▶ rows.c ──▶ requests.c, pages.c
 *   REST, pbxctl ──▶ requests.c ──▶ send.c ────────┘ */
#pragma once
#include <pbx/bus.h>
#include <pbx/calls.h>
#include <pbx/fax.h>
#include <pbx/metrics.h>
#include <pbx/programs.h>
#include <pbx/requests.h>
#include <pbx/route.h>
#include <pbx/store.h>
#include <pbx/timers.h>

#define ID_SIZE 27u
#define NUMBER_SIZE 64u
#define PATH_SIZE 4096u
#define REASON_SIZE 128u
#define MOST_PAGES 500

#define METRIC_FAXES 0u
#define METRIC_PAGES 1u

struct inbox_row {
	const char *number, *name, *station;
};

struct fax_settings {
	struct pbx_objects inboxes; /* struct inbox_row */
	const char *station, *header;
	bool ecm, t38;
	uint32_t bit_rate, attempts, retry_s, ring_s, most_mib;
};

/* A fax that is being received or sent, or waits to be sent. */
struct job {
	struct job *next;
	struct plugin *plugin;
	bool sends, cancelled, over;
	uint32_t legs; /* ours whose last word has not come yet */
	char id[ID_SIZE], inbox[NUMBER_SIZE], from[NUMBER_SIZE], to[NUMBER_SIZE], station[21];
	char path[PATH_SIZE];
	uint32_t attempts;
	pbx_dial dial;
	pbx_leg leg;
	pbx_fax fax;
	pbx_timer timer;
	int lock_fd; /* of its file, while the fax is ours to send; -1: none */
};

/* A number that is ours until the plugin stops, whether there is an inbox for it now or not. */
struct claimed {
	struct claimed *next;
	char number[NUMBER_SIZE];
};

struct plugin {
	PBX_INSTANCE(struct fax_settings);
	const struct pbx_calls *calls;
	const struct pbx_routing *routing;
	const struct pbx_faxes *faxes;
	const struct pbx_store *store;
	const struct pbx_requests *requests;
	const struct pbx_jsons *json;
	const struct pbx_bus *bus;
	const struct pbx_timers *timers;
	const struct pbx_metrics *metrics;
	const struct pbx_programs *programs;
	const char *folder;
	struct job *jobs;
	struct claimed *claimed;
	bool draining; /* another version of us goes on */
};

/* ---- job.c ---- */

struct job *job_new(struct plugin *plugin, bool sends, const char *id); /* id NULL: a new one. NULL: no memory */
/* Nothing more will be done for it: it is freed when its legs have said their last word. */
void job_finish(struct job *job);
/* The leg is ours from now on, and the job's. */
int job_control(struct job *job, pbx_leg leg, const struct pbx_controller *controller);
/* The last word of a leg. False: there is no job any more, it was its last one. */
bool job_leg_gone(struct job *job, pbx_leg leg);
struct job *job_find(struct plugin *plugin, const char *id);
void jobs_free(struct plugin *plugin);
/* Its leg is answered and ours: pages go over. An error: it has not begun. */
int job_begin(struct job *job, const struct pbx_fax_watcher *watcher);
void job_on_page(void *self, pbx_fax fax, uint32_t pages); /* of both watchers */
/* One that will not go on: hangs up what there is of its call. */
void job_hang_up(struct job *job);

/* ---- receive.c, send.c ---- */

void fax_on_dialled(void *self, pbx_leg leg);
/* Takes the numbers of these inboxes that are not ours yet. PBX_OK, PBX_EEXIST and so on with a sentence: somebody else has one. */
int inboxes_claim(struct plugin *plugin, const struct pbx_objects *inboxes, struct pbx_diag *diag);
void inboxes_give_back(void *self, void *data); /* those that the settings do not name any more; posted, data NULL */
/* From here on it is ours to send, and nobody else's: an old version of the plugin beside a new one holds what it has begun. PBX_OK, PBX_EBUSY
 * (somebody has it), PBX_EIO (its file is gone). */
int send_claim(struct job *job);
void send_begin(struct job *job);
/* Looks for faxes that nobody sends, now and every minute: those of before a restart, or of an older version that has gone. PBX_OK, PBX_ENOMEM. */
int send_start(struct plugin *plugin);
void send_drain(struct plugin *plugin); /* what waits is left to others */

/* ---- rows.c ---- */

#define ROW_COLUMNS                                                                                                                        \
	"id, direction, state, inbox, from_number, to_number, station, pages, bit_rate, ecm, t38, attempts, reason, path, created_at, "    \
	"finished_at"
#define ROW_PATH 13u

void row_begin(struct job *job, const char *state);
void row_end(struct job *job, const char *state, const struct pbx_fax_result *result);
/* It waits for another attempt. */
void row_wait(struct job *job, const char *reason);
struct pbx_json *row_json(const struct plugin *plugin, const struct pbx_rows *rows, uint32_t at);
/* fax.received, fax.sent or fax.failed. */
void row_tell(struct job *job, const char *type, const struct pbx_fax_result *result);

/* Pages have gone over while it lasts: its row and fax.page. */
void row_page(struct job *job, uint32_t pages);

/* ---- pages.c: [any] ---- */

/* Whether a file may be faxed: black and white, 1 to 500 pages of a width that fax has. PBX_OK, PBX_EINVAL with a sentence. */
int pages_check(const char *path, char ret_reason[REASON_SIZE]);
/* The same pages as a PDF, for a TIFF in T.6 as it was received; owned. PBX_OK, PBX_ENOTSUP (another compression), PBX_EIO, PBX_ENOMEM. */
int pages_to_pdf(const char *path, char **ret_pdf, size_t *ret_size);

/* ---- convert.c ---- */

/* Fax pages of a PDF: done follows, and asks convert_judge. PBX_OK, PBX_ENOSPC (many are being drawn), PBX_ENOMEM. */
int convert_pdf(struct plugin *plugin, const char *pdf, const char *tiff,
		void (*done)(void *self, pbx_program program, const struct pbx_program_result *result), void *self);
/* What came of it. PBX_OK, PBX_EINVAL with a sentence, PBX_ENOTSUP with one (nobody here can). */
int convert_judge(const struct pbx_program_result *result, const char *tiff, char ret_reason[REASON_SIZE]);

/* ---- requests.c ---- */

void on_list(void *self, pbx_request request);
void on_show(void *self, pbx_request request);
void on_file(void *self, pbx_request request);
void on_send(void *self, pbx_request request);
void on_send_file(void *self, pbx_request request);
void on_delete(void *self, pbx_request request);
void on_inboxes(void *self, pbx_request request);
