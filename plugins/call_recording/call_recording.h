/* call_recording/call_recording.h - what the plugin's files share. All of it: [loop], but what says otherwise.
 *
 *   events, keys, REST ──▶ policy.c ──▶ record.c, remote.c, upgrade.c ──▶ pbx.recorder/1
 *                                          │                └──▶ siprec.c, parties.c, recorders.c, unrecorded.c ──▶ pbx.session/1, pbx.fork/1
 *                                          ▼                                                (metadata.c, session_sdp.c)   room.c: who shows it
 *                         finish.c (hash, seal) ──▶ rows.c ──▶ requests.c, audio.c, export.c
 *                                                                 │
 *                     stored.c, convert.c, zip.c (in the pool) ◀── forms.c */
#pragma once
#include "convert.h"
#include <pbx/bus.h>
#include <pbx/calls.h>
#include <pbx/fork.h>
#include <pbx/metrics.h>
#include <pbx/recorder.h>
#include <pbx/recordings.h>
#include <pbx/requests.h>
#include <pbx/rooms.h>
#include <pbx/secrets.h>
#include <pbx/session.h>
#include <pbx/sip.h>
#include <pbx/store.h>
#include <pbx/timers.h>

#define ID_SIZE 27u
#define TEXT_SIZE 64u
#define PATH_SIZE 1024u
#define PAUSES_SIZE 1024u
#define KEY_TEXT_SIZE 256u /* sealed, as a row has it */

#define METRIC_ACTIVE 0u
#define METRIC_RECORDED 1u
#define METRIC_SECONDS 2u
#define METRIC_GAPS 3u
#define METRIC_SESSIONS 4u
#define METRIC_SESSIONS_FAILED 5u

#define MOST_RECORDERS 8u /* in one list */
#define URI_SIZE 256u

struct rule {
	const char *name;
	struct pbx_list extensions, trunks; /* empty: any */
	struct pbx_list siprec;
	const char *direction, *record, *siprec_srtp;
	uint32_t percent;
	bool heed_wishes, siprec_required, file;
};

/* A recorder elsewhere (RFC 7866) that has more to it than an address. */
struct recorder {
	const char *name, *uri, *user, *realm, *secret;
};

struct recording_settings {
	bool enabled, auto_record, heed_wishes, stereo, announce, encrypt, siprec_required, file;
	struct pbx_objects rules;     /* struct rule */
	struct pbx_objects recorders; /* struct recorder */
	struct pbx_list siprec;
	const char *siprec_srtp;
	const char *storage_path, *format, *rate, *key_record, *key_pause, *pause_mode, *hold_mode, *announcement;
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
	pbx_leg leg, told;                /* told: who else shows that it is recorded */
	pbx_recording recording;
	int64_t started_us;
	char pauses[PAUSES_SIZE];                      /* when it has ended */
	bool heeds, by_wish;                           /* its parties' wishes count; it is paused because of one */
	bool by_hold;                                  /* or because a party is on hold */
	uint32_t holds;                                /* by how many of them */
	bool paused, ended, by_rule;                   /* by_rule: parties may not stop it */
	bool stopped;                                  /* somebody has ended it */
	bool has_file;                                 /* it is recorded into a file of ours; else only elsewhere */
	struct siprec *siprec;                         /* NULL: only here */
	char recorder[URI_SIZE];                       /* the last one elsewhere that took it; "" none */
	uint64_t began_at_ms, paused_at_ms, paused_ms; /* without a file nobody else counts */
	pbx_timer limit;                               /* likewise */
	char leg_id[TEXT_SIZE];                        /* likewise */
	const char *discarded;                         /* why it is not to be kept; NULL: it is */
};

/* Calls whose later parts are recorded too. */
struct group {
	struct group *next;
	char group_id[ID_SIZE], call_id[ID_SIZE];
};

/* "call_recording.active/2": a version that leaves gives those that last to the one that comes. Both have the same struct active and struct siprec: who changes them counts
 * the service on, and then the old version keeps its recordings until they end. */
struct takers {
	struct pbx_header header;
	void *self;
	int (*take)(void *self, const struct active *given);
};

struct plugin {
	PBX_INSTANCE(struct recording_settings);
	const struct pbx_calls *calls;
	const struct pbx_rooms *rooms;
	const struct pbx_recorder *recorder;
	const struct pbx_store *store;
	const struct pbx_requests *requests;
	const struct pbx_jsons *json;
	const struct pbx_bus *bus;
	const struct pbx_metrics *metrics;
	const struct pbx_secrets *secrets;
	const struct pbx_timers *timers;
	const struct pbx_forks *forks;
	const struct pbx_sessions *sessions;
	const struct pbx_sip *sip;
	const struct takers *successor;
	struct takers service;
	struct pbx_recordings recordings;
	char storage[PATH_SIZE];
	struct active *active;
	struct group *groups;
	struct made *made;
	struct download *downloads;
	struct export *exports;
	struct known *known; /* recorders that signalling knows through us */
	bool draining, forms_timed;
};

/* ---- policy.c ---- */

/* How a conversation is recorded. Borrowed from the settings. */
struct ways {
	const struct pbx_list *recorders; /* elsewhere, in order of preference */
	bool encrypts, is_required;       /* those recorders: SRTP; without one the call ends */
	bool file;
};

struct conversation {
	pbx_leg caller, called; /* of this conversation, oldest first when nobody called the other */
	char call_id[ID_SIZE], other_call_id[ID_SIZE], group_id[ID_SIZE];
	char from[TEXT_SIZE], to[TEXT_SIZE], trunk[TEXT_SIZE];
	const char *direction; /* internal, inbound, outbound */
	bool caller_is_ours, called_is_ours;
	bool is_mixed;    /* all of it in one channel */
	bool heeds;       /* what its parties wish counts: as the rule says that policy_of has found */
	struct ways ways; /* likewise */
};
/* PBX_OK, PBX_ENOENT: one of them has gone. */
int conversation_of(struct plugin *plugin, pbx_leg one, pbx_leg other, struct conversation *ret_conversation);
/* Of one party with a room of many, which is called as the room is: what it says and hears is the whole conversation. PBX_OK, PBX_ENOENT. */
int conversation_in_room(struct plugin *plugin, pbx_leg leg, const char *room, struct conversation *ret_conversation);
/* WISH_…, and whose rule it is ("" none). is_ours: whether a party is ours is asked of the rule: which leg is recorded. */
uint32_t policy_of(const struct plugin *plugin, struct conversation *conversation, const char **ret_rule, pbx_leg *ret_leg);
bool policy_takes_share(uint32_t percent); /* by chance */
/* rule NULL: where no rule fits. */
struct ways policy_ways(const struct recording_settings *settings, const struct rule *rule);
int policy_check(const struct recording_settings *settings, struct pbx_diag *diag);

/* ---- record.c ---- */

struct active *active_of_leg(const struct plugin *plugin, pbx_leg leg);
struct active *active_of_call(const struct plugin *plugin, const char *call_id);
int record_begin(struct plugin *plugin, const struct conversation *conversation, pbx_leg leg, const char *trigger, const char *rule,
		 struct active **ret_active);
int record_pause(struct active *active, bool on);
int record_stop(struct active *active); /* it may be gone when this returns. PBX_OK, PBX_ENOENT */
void record_count(const struct plugin *plugin);
void record_free(struct active *active);
void record_remember_group(struct plugin *plugin, const struct active *active);
uint32_t record_shown(const struct active *active); /* PBX_RECORDING_…: what its parties' phones are told */
void record_show(struct active *active);            /* its parties' phones show how it is */
/* Two parties who have talked do no more. */
void record_part(struct plugin *plugin, pbx_leg one, pbx_leg other);
void record_consider(struct plugin *plugin, pbx_leg one, pbx_leg other); /* two parties talk now */
/* Phones that show it are told whether these two are recorded. */
void record_tell(struct plugin *plugin, pbx_leg one, pbx_leg other);
void record_held(struct plugin *plugin, pbx_leg by, bool on); /* it holds the other, or does no more */
/* A party has changed its mind (RFC 7866 a=recordpref). */
void record_wished(struct plugin *plugin, pbx_leg leg, const char *wish);
void record_consider_room(struct plugin *plugin, pbx_leg leg, const char *room); /* a party is in a room of many now */
int record_on_demand(struct plugin *plugin, pbx_leg leg, const char *trigger, struct active **ret_active);
extern const struct pbx_recordings record_service; /* without self */
void record_forget_group(struct plugin *plugin, const char *call_id);
void record_free_all(struct plugin *plugin);
/* It is in its place: row, event, figures. Takes active. */
void record_stored(struct active *active, const struct pbx_record_result *result, const char *sha256, const char *sealed_key);
void record_publish(struct plugin *plugin, const char *type, const struct active *active, const struct pbx_record_result *result);
void record_key_record(void *self, pbx_leg leg);
void record_key_pause(void *self, pbx_leg leg);
extern const struct pbx_record_watcher record_watcher;

/* ---- room.c ---- */

bool room_tell(const struct plugin *plugin, pbx_leg leg); /* all in the leg's room show what holds now; false: it is in none */
void room_entered(const struct plugin *plugin, pbx_leg leg);
void room_left(const struct plugin *plugin, pbx_leg leg, const char *room_id); /* leg none: it has ended */
/* ---- remote.c: without a file ---- */

int remote_begin(struct active *active); /* PBX_OK, PBX_ENOENT (leg has ended), PBX_ENOMEM */
/* The disk is full, or the file could not be made: its session elsewhere goes on as another recording, of the same group, which comes back;
 * file where it cannot. */
struct active *remote_go_on(struct active *file);
int remote_adopt(struct active *active, const struct active *given);
/* It has ended, and active with it. */
void record_over(struct active *active);
void record_leg_ended(struct plugin *plugin, const char *leg_id);
uint64_t record_lasts_ms(const struct active *active); /* so far, without its pauses */

/* ---- upgrade.c ---- */

void record_hand_over(struct plugin *plugin);
int record_take(struct plugin *plugin, const struct active *given);

/* ---- siprec.c: recorders elsewhere (RFC 7866) ---- */

/* Begins with active; leg is the one that active belongs to. PBX_OK, PBX_ENOMEM. What comes of it, events tell. */
int siprec_begin(struct active *active, const struct conversation *conversation);
/* Says goodbye. NULL is fine. */
void siprec_free(struct siprec *siprec);
void siprec_pause(struct siprec *siprec, bool on);
void siprec_meet(struct siprec *siprec, pbx_leg peer);      /* the party talks to this one now */
void siprec_enter(struct siprec *siprec, const char *room); /* the party is in a room of many now */
void siprec_part(struct siprec *siprec, pbx_leg peer);      /* and to this one no more */
struct siprec_state {
	const char *recorder, *state; /* connected, connecting, waiting */
	uint64_t packets;             /* sent to the one it is connected to */
};
void siprec_state(const struct siprec *siprec, struct siprec_state *ret_state);
bool siprec_is_up(const struct siprec *siprec);
/* What another version of us has begun, for active of ours; the other one only lets go. NULL: no memory. */
struct siprec *siprec_take(struct active *active, const struct siprec *given);
void siprec_let_go(struct siprec *siprec);
void siprec_move(struct siprec *siprec, struct active *active); /* it is this one's from now on */

/* ---- recorders.c: who they are ---- */

#define RECORDER_NAME 64u

/* A recorder as a list has it. */
struct recorder_way {
	char peer[RECORDER_NAME];            /* under which signalling knows it */
	char uri[URI_SIZE], shown[URI_SIZE]; /* shown: as the settings call it */
	uint32_t ip_version;                 /* 4, 6; 0: a name */
};
/* PBX_OK, PBX_EINVAL: it is neither a name of settings->recorders nor a SIP URI; diag, when given, says what is wrong. */
int recorder_find(const struct recording_settings *settings, const char *text, struct recorder_way *ret_way, struct pbx_diag *diag);
int recorders_check(const struct recording_settings *settings, struct pbx_diag *diag);
/* Signalling learns of those in use, and forgets the others. PBX_OK, or why one of them cannot be; the others are known all the same. */
int recorders_publish(struct plugin *plugin, const struct recording_settings *settings, struct pbx_diag *diag);
void recorders_free(struct plugin *plugin);

/* ---- unrecorded.c ---- */

/* A call that must not go on unrecorded: both parties are told, and hung up. */
void unrecorded_end(struct plugin *plugin, pbx_leg one, pbx_leg other);

/* ---- rows.c ---- */

#define ROW_COLUMNS                                                                                                                        \
	"id, call_id, group_id, started_at, ended_at, duration_ms, from_number, to_number, direction, reason, trunk, format, channels, "   \
	"sample_rate, size_bytes, sha256, path, file_key, paused_ms, gaps_ms, tags, legal_hold, deleted_at, deleted_by, outcome, pauses, " \
	"recorder"

struct row {
	char id[ID_SIZE], from[TEXT_SIZE], to[TEXT_SIZE], format[12], sha256[65], path[PATH_SIZE], file_key[KEY_TEXT_SIZE],
		call_id[ID_SIZE], outcome[20], pauses[PAUSES_SIZE], recorder[URI_SIZE];
	uint32_t channels;
	int64_t started_us, ended_us, size_bytes, deleted_us;
	bool legal_hold;
};
void row_read(const struct pbx_rows *rows, uint32_t at, struct row *ret_row);
struct pbx_json *row_json(const struct plugin *plugin, const struct pbx_rows *rows, uint32_t at);
void row_begin(const struct active *active);
void row_recorder(const struct active *active);
void row_end(struct plugin *plugin, const char *id, const struct pbx_record_result *result, const char *sha256, const char *file_key,
	     const char *outcome, const char *pauses);
/* As the table has them: "" none. */
void row_write_pauses(const struct pbx_record_result *result, char ret_text[PAUSES_SIZE]);
uint32_t row_marks(const struct row *row, struct pbx_record_mark ret_marks[PBX_RECORD_MOST_MARKS]);
/* What it is called when it is handed out, with its folders: "2026/01/31/1001_to_1002_….wav". */
void row_file_name(const struct row *row, struct form form, char *ret_name, size_t size);
/* How its file is to be read, before stored_open. PBX_OK, PBX_EPERM: it was sealed by another installation. */
int row_open(const struct plugin *plugin, const struct row *row, struct stored *stored);
void row_note_access(struct plugin *plugin, const char *id, const char *who, const char *action);

/* ---- finish.c ---- */

/* Hashes the file, and seals it where that is wanted; then record_stored. */
void finish_begin(struct active *active, const struct pbx_record_result *result);
void finish_recover(struct plugin *plugin); /* rows that no instance has closed */
/* The key of a file, out of its row. PBX_OK, PBX_EINVAL: it was sealed by another installation. */
int file_key_open(const struct plugin *plugin, const struct row *row, uint8_t ret_key[SEAL_KEY_BYTES]);
/* Two digits each, and a zero. [any] */
void write_hex(const uint8_t *bytes, size_t count, char *ret_text);
/* [work] SHA-256 of a file as hexadecimal, and of one that is open, which stays where it is. PBX_OK, PBX_EIO. */
int file_hash(const char *path, char ret_hex[65]);
int descriptor_hash(int fd, char ret_hex[65]);

/* ---- forms.c ---- */

struct made;
/* Waits for a recording in another form. */
struct form_waiter {
	struct form_waiter *next;
	/* Once, perhaps at once. PBX_OK: made is to be released. PBX_ENOENT, PBX_EINVAL (it was changed), PBX_ENOTSUP (it is no sound), PBX_ENOSPC, PBX_EIO,
	 * PBX_EPERM (key), PBX_EBUSY (ask later), PBX_ENOMEM, PBX_ECANCELLED (we are being stopped). */
	void (*ready)(struct form_waiter *waiter, int result, struct made *made);
};
void form_ask(struct plugin *plugin, const struct row *row, struct form form, struct form_waiter *waiter);
/* Good until it is released. tag: no two makings have the same. */
const struct stored *form_sound(const struct made *made, const char **ret_tag);
void form_release(struct made *made);
void forms_forget(struct plugin *plugin, const char *id); /* of a recording that is deleted */
void forms_keep_time(struct plugin *plugin);
void forms_free_all(struct plugin *plugin);

/* ---- requests.c, audio.c, export.c ---- */

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
void on_export(void *self, pbx_request request);
void downloads_free_all(struct plugin *plugin);
void exports_free_all(struct plugin *plugin);
/* Whether there is a file to hand out; refused otherwise. */
bool is_whole(const struct plugin *plugin, pbx_request request, const struct row *row);
/* What ?format= and ?channel= make of it; refused when it cannot be had so. */
bool form_of(const struct plugin *plugin, pbx_request request, const struct row *row, struct form *ret_form);
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
#define MOST_ASKED 100u
/* Reads the rows of these ids, at most MOST_ASKED, oldest first; then found. */
void ask_rows(struct plugin *plugin, pbx_request request, const struct pbx_json *ids,
	      void (*found)(struct asked *asked, const struct pbx_rows *rows));
/* Reads the row of {id}; then found. */
void ask_row(struct plugin *plugin, pbx_request request, void (*found)(struct asked *asked, const struct pbx_rows *rows));
