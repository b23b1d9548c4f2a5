/* call_recording/call_recording.h - what the plugin's files share. All of it: [loop], but what says otherwise.
 *
 *   events, keys, REST ──▶ policy.c ──▶ record.c ──▶ pbx.recorder/1
 *                                          │
 *                                          ▼
 *                         finish.c (hash, seal) ──▶ rows.c ──▶ requests.c, audio.c */
#pragma once
#include "seal.h"
#include <pbx/bus.h>
#include <pbx/calls.h>
#include <pbx/metrics.h>
#include <pbx/recorder.h>
#include <pbx/recordings.h>
#include <pbx/requests.h>
#include <pbx/secrets.h>
#include <pbx/store.h>

#define ID_SIZE 27u
#define TEXT_SIZE 64u
#define PATH_SIZE 1024u
#define KEY_TEXT_SIZE 256u /* sealed, as a row has it */

#define METRIC_ACTIVE 0u
#define METRIC_RECORDED 1u
#define METRIC_SECONDS 2u
#define METRIC_GAPS 3u

struct rule {
	const char *name;
	struct pbx_list extensions, trunks; /* empty: any */
	const char *direction, *record;
	uint32_t percent;
};

struct recording_settings {
	bool enabled, auto_record, stereo, announce, encrypt;
	struct pbx_objects rules; /* struct rule */
	const char *storage_path, *format, *rate, *key_record, *key_pause, *pause_mode, *announcement;
	uint32_t min_duration_s, max_duration_s, min_free_mb, beep_s;
};

#define WISH_NEVER 0u
#define WISH_ON_DEMAND 1u
#define WISH_ALWAYS 2u

/* A recording that lasts, or that is being put away. */
struct active {
	struct active *next;
	struct plugin *plugin;
	char id[ID_SIZE], call_id[ID_SIZE], group_id[ID_SIZE];
	char from[TEXT_SIZE], to[TEXT_SIZE], direction[12], trigger[12], trunk[TEXT_SIZE], rule[TEXT_SIZE];
	char path[PATH_SIZE], format[12]; /* path: below the storage folder */
	pbx_leg leg;
	pbx_recording recording;
	int64_t started_us;
	bool paused, ended, by_rule; /* by_rule: parties may not stop it */
	const char *discarded;       /* why it is not to be kept; NULL: it is */
};

/* Calls whose later parts are recorded too. */
struct group {
	struct group *next;
	char group_id[ID_SIZE], call_id[ID_SIZE];
};

/* "call_recording.active/1": a version that leaves gives those that last to the one that comes. */
struct takers {
	struct pbx_header header;
	void *self;
	int (*take)(void *self, const struct active *given);
};

struct plugin {
	PBX_INSTANCE(struct recording_settings);
	const struct pbx_calls *calls;
	const struct pbx_recorder *recorder;
	const struct pbx_store *store;
	const struct pbx_requests *requests;
	const struct pbx_jsons *json;
	const struct pbx_bus *bus;
	const struct pbx_metrics *metrics;
	const struct pbx_secrets *secrets;
	const struct takers *successor;
	struct takers service;
	struct pbx_recordings recordings;
	char storage[PATH_SIZE];
	struct active *active;
	struct group *groups;
	bool draining;
};

/* ---- policy.c ---- */

struct conversation {
	pbx_leg caller, called; /* of this conversation, oldest first when nobody called the other */
	char call_id[ID_SIZE], other_call_id[ID_SIZE], group_id[ID_SIZE];
	char from[TEXT_SIZE], to[TEXT_SIZE], trunk[TEXT_SIZE];
	const char *direction; /* internal, inbound, outbound */
	bool caller_is_ours, called_is_ours;
	bool is_mixed; /* all of it in one channel */
};
/* PBX_OK, PBX_ENOENT: one of them has gone. */
int conversation_of(struct plugin *plugin, pbx_leg one, pbx_leg other, struct conversation *ret_conversation);
/* Of one party with a room of many, which is called as the room is: what it says and hears is the whole conversation. PBX_OK, PBX_ENOENT. */
int conversation_in_room(struct plugin *plugin, pbx_leg leg, const char *room, struct conversation *ret_conversation);
/* WISH_…, and whose rule it is ("" none). is_ours: whether a party is ours is asked of the rule: which leg is recorded. */
uint32_t policy_of(const struct plugin *plugin, const struct conversation *conversation, const char **ret_rule, pbx_leg *ret_leg);
bool policy_takes_share(uint32_t percent); /* by chance */
int policy_check(const struct recording_settings *settings, struct pbx_diag *diag);

/* ---- record.c ---- */

struct active *active_of_leg(const struct plugin *plugin, pbx_leg leg);
struct active *active_of_call(const struct plugin *plugin, const char *call_id);
int record_begin(struct plugin *plugin, const struct conversation *conversation, pbx_leg leg, const char *trigger, const char *rule,
		 struct active **ret_active);
int record_pause(struct active *active, bool on);
void record_consider(struct plugin *plugin, pbx_leg one, pbx_leg other);         /* two parties talk now */
void record_consider_room(struct plugin *plugin, pbx_leg leg, const char *room); /* a party is in a room of many now */
int record_on_demand(struct plugin *plugin, pbx_leg leg, const char *trigger, struct active **ret_active);
extern const struct pbx_recordings record_service; /* without self */
void record_forget_group(struct plugin *plugin, const char *call_id);
void record_hand_over(struct plugin *plugin);
int record_take(struct plugin *plugin, const struct active *given);
void record_free_all(struct plugin *plugin);
/* It is in its place: row, event, figures. Takes active. */
void record_stored(struct active *active, const struct pbx_record_result *result, const char *sha256, const char *sealed_key);
void record_publish(struct plugin *plugin, const char *type, const struct active *active, const struct pbx_record_result *result);
void record_key_record(void *self, pbx_leg leg);
void record_key_pause(void *self, pbx_leg leg);
extern const struct pbx_record_watcher record_watcher;

/* ---- rows.c ---- */

#define ROW_COLUMNS                                                                                                                        \
	"id, call_id, group_id, started_at, ended_at, duration_ms, from_number, to_number, direction, reason, trunk, format, channels, "   \
	"sample_rate, size_bytes, sha256, path, file_key, paused_ms, gaps_ms, tags, legal_hold, deleted_at, deleted_by, outcome"

struct row {
	char id[ID_SIZE], from[TEXT_SIZE], to[TEXT_SIZE], format[12], sha256[65], path[PATH_SIZE], file_key[KEY_TEXT_SIZE],
		call_id[ID_SIZE], outcome[16];
	int64_t ended_us, size_bytes, deleted_us;
	bool legal_hold;
};
void row_read(const struct pbx_rows *rows, uint32_t at, struct row *ret_row);
struct pbx_json *row_json(const struct plugin *plugin, const struct pbx_rows *rows, uint32_t at);
void row_begin(const struct active *active);
void row_end(struct plugin *plugin, const char *id, const struct pbx_record_result *result, const char *sha256, const char *file_key,
	     const char *outcome);
void row_note_access(struct plugin *plugin, const char *id, const char *who, const char *action);

/* ---- finish.c ---- */

/* Hashes the file, and seals it where that is wanted; then record_stored. */
void finish_begin(struct active *active, const struct pbx_record_result *result);
void finish_recover(struct plugin *plugin); /* rows that no instance has closed */
/* The key of a file, out of its row. PBX_OK, PBX_EINVAL: it was sealed by another installation. */
int file_key_open(const struct plugin *plugin, const struct row *row, uint8_t ret_key[SEAL_KEY_BYTES]);
/* [work] SHA-256 of a file as hexadecimal. PBX_OK, PBX_EIO. */
int file_hash(const char *path, char ret_hex[65]);

/* ---- requests.c, audio.c ---- */

void on_list(void *self, pbx_request request);
void on_active(void *self, pbx_request request);
void on_show(void *self, pbx_request request);
void on_delete(void *self, pbx_request request);
void on_tags(void *self, pbx_request request);
void on_hold(void *self, pbx_request request);
void on_action(void *self, pbx_request request);
void on_accesses(void *self, pbx_request request);
void on_verify(void *self, pbx_request request);
void on_audio(void *self, pbx_request request);
/* Whether who asks may have this one; refused and noted otherwise. */
bool may_have(struct plugin *plugin, pbx_request request, const struct row *row, const char *action);
struct asked {
	struct plugin *plugin;
	pbx_request request;
	struct row row;
	int64_t limit;
	char actor[TEXT_SIZE], hash[65], path[2 * PATH_SIZE];
	int result;
	void (*found)(struct asked *asked, const struct pbx_rows *rows); /* takes asked */
};
/* Reads the row of {id}; then found. */
void ask_row(struct plugin *plugin, pbx_request request, void (*found)(struct asked *asked, const struct pbx_rows *rows));
