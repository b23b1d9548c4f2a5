/* conference/conference.h - what the plugin's files share. All of it: [loop].
 *
 *                 pin, or none            wait_for_moderator
 *   dialled ──▶ PIN ──────────▶ (admitted) ───────────▶ WAITING (music)
 *    invited ─▶ INVITED ──"1"──────▲  │                    │ a moderator is there
 *                                     ▼                    ▼
 *                    NAME (says it) ──▶ COUNT (hears how many) ──▶ IN the room ──▶ LEAVING (hears why) ──▶ hung up
 *
 * A room is known by the settings, by REST (kept in the store), or is made by the first who dials it. While somebody is there it
 * has a session: an id, a start, a peak, and a mixing room of the core's. */
#pragma once
#include <pbx/bus.h>
#include <pbx/metrics.h>
#include <pbx/notifier.h>
#include <pbx/prompts.h>
#include <pbx/recorder.h>
#include <pbx/recordings.h>
#include <pbx/requests.h>
#include <pbx/rooms.h>
#include <pbx/route.h>
#include <pbx/secrets.h>
#include <pbx/store.h>
#include <pbx/timers.h>

#define PIN_MOST 12u
#define TRIES 3u /* to type a PIN, or to take an invitation */
#define NUMBER_TEXT 32u
#define VOLUME_STEP_CDB 300
#define VOLUME_MOST_CDB 1200

enum room_origin { ROOM_DYNAMIC, ROOM_STORED, ROOM_OF_SETTINGS };
enum member_state { MEMBER_PIN, MEMBER_INVITED, MEMBER_WAITING, MEMBER_NAME, MEMBER_COUNT, MEMBER_IN, MEMBER_LEAVING };

/* A room in the settings. */
struct room_row {
	const char *number, *name, *pin, *moderator_pin, *language, *music_class;
	uint32_t max_participants, max_duration_s;
	bool wait_for_moderator, end_when_moderator_leaves, start_muted, moh_when_alone, announce_count, announce, record, announce_names,
		dtmf_passthrough;
};

struct conference_settings {
	const char *numbers, *music_class, *language;
	uint32_t max_participants, pin_timeout_s, max_duration_s, ring_s;
	bool allow_dynamic, reject_early, announce, announce_count, announce_names, moh_when_alone;
	struct pbx_objects rooms; /* struct room_row */
};

/* What a room is like. */
struct rules {
	char number[NUMBER_TEXT], name[64], pin[PIN_MOST + 1], moderator_pin[PIN_MOST + 1], language[16], music_class[41];
	uint32_t max_participants, max_duration_s; /* 0: without a limit of time */
	bool wait_for_moderator, end_when_moderator_leaves, start_muted, moh_when_alone, announce_count, announce, record, announce_names,
		dtmf_passthrough;
};

struct conference;
struct room;

/* Of who has left: a file. */
struct spoken_name {
	struct spoken_name *next;
	char *path;
};

struct member {
	struct member *next; /* of the room, in order of coming */
	struct room *room;
	pbx_leg leg;
	enum member_state state;
	char id[27], number[64], name[128], call_id[32];
	bool moderator, muted, deaf, talking;
	bool asked_name;      /* it was asked who it is */
	pbx_recording saying; /* and says it */
	char *spoken_name;    /* the file; NULL: its number is said */
	int32_t talk_cdb, hear_cdb;
	int64_t joined_wall_us; /* 0: not yet */
	int64_t star_wall_us;   /* when it typed * last */
	const char *reason;     /* why it leaves: "left", "kicked", "ended", "refused", "transferred" */
	pbx_leg replaces;       /* invited by this one's transfer: hung up when it has come */
};

struct room {
	struct room *next;
	struct conference *conference;
	struct rules rules;
	enum room_origin origin;
	bool gone; /* taken out of the settings or the store while in use */
	struct member *members;
	bool locked, all_muted, recording;
	pbx_leg recorded; /* whose leg carries that; none: a rule's */
	/* The session; session "" while nobody is in. */
	pbx_room mix;
	char session[27];
	int64_t started_wall_us;
	uint32_t peak;
	pbx_timer limit;
	char speaker[27]; /* id of who spoke last */
	struct spoken_name *names;
};

/* Somebody is being called into a room. */
struct invitation {
	struct invitation *next;
	struct conference *conference;
	char room[NUMBER_TEXT], number[NUMBER_TEXT];
	pbx_dial dial;
	bool confirm, moderator;
	pbx_leg replaces;
};

/* Between two versions of us during an upgrade: who is where. Offered as "conference.rooms/1". */
struct carried_member {
	pbx_leg leg;
	uint32_t state;
	const char *id;
	bool moderator, muted, deaf;
	int32_t talk_cdb, hear_cdb;
	int64_t joined_wall_us;
	const char *spoken_name; /* NULL: none. Its file is the successor's from then on */
};
struct carried_room {
	uint32_t size;
	const struct rules *rules;
	bool dynamic, locked, all_muted;
	pbx_room mix;
	const char *session;
	int64_t started_wall_us;
	uint32_t peak;
	const struct carried_member *members;
	uint32_t member_count;
	bool recording;
	pbx_leg recorded;
};
struct conference_rooms {
	struct pbx_header header;
	void *self;
	/* Takes the room and control of its legs. PBX_OK, PBX_ENOMEM, PBX_ENOENT. */
	int (*take)(void *self, const struct carried_room *room);
};

struct conference {
	PBX_INSTANCE(struct conference_settings);
	const struct pbx_calls *calls;
	const struct pbx_rooms *rooms;
	const struct pbx_routing *routing;
	const struct pbx_store *store;
	const struct pbx_requests *requests;
	const struct pbx_jsons *json;
	const struct pbx_bus *bus;
	const struct pbx_timers *timers;
	const struct pbx_metrics *metrics;
	const struct pbx_secrets *secrets;
	const struct pbx_notifier *notifier;
	const struct pbx_recorder *recorder;
	const struct pbx_recordings *recordings;  /* functions are NULL while nobody keeps any */
	const struct conference_rooms *successor; /* our own, or after an upgrade the next one's */
	struct conference_rooms rooms_service;
	struct room *first;
	struct invitation *invitations;
	char *document; /* that roster.c has written last */
};

#define METRIC_ACTIVE 0u
#define METRIC_PARTICIPANTS 1u
#define METRIC_JOINS 2u

/* ---- rooms.c: which rooms there are ---- */
int rooms_check(const struct conference_settings *settings, struct pbx_diag *diag);
int rooms_take_settings(struct conference *conference, const struct conference_settings *settings);        /* PBX_ENOMEM */
int rooms_load(struct conference *conference);                                                             /* PBX_ELATER, PBX_ENOMEM */
void room_number(const struct conference *conference, const char *argument, char ret_number[NUMBER_TEXT]); /* of what was dialled */
struct room *room_find(struct conference *conference, const char *number);                                 /* NULL */
struct rules rules_usual(const struct conference_settings *settings, const char *number);
struct room *room_new(struct conference *conference, const struct rules *rules, enum room_origin origin); /* NULL: no memory */
int room_store(struct room *room); /* PBX_OK, PBX_ENOMEM, PBX_ENOSPC */
int room_unstore(struct room *room);
void room_forget_if_over(struct room *room); /* frees one that nobody is in and nobody has declared */
void rooms_free(struct conference *conference);
uint32_t room_in(const struct room *room); /* how many are in */
bool room_has_moderator(const struct room *room);

/* ---- members.c: coming, being there, going ---- */
struct member *member_of(struct conference *conference, pbx_leg leg);
struct member *member_find(struct room *room, const char *id_or_number); /* who is in, or waits; NULL */
void conference_on_dialled(void *self, pbx_leg leg);
int member_bring(struct room *room, pbx_leg leg, bool moderator, bool confirm, struct member **ret_member); /* an answered leg */
void member_settle(struct member *member); /* tells the mixer what it does */
void member_set_muted(struct member *member, bool muted);
void member_send_off(struct member *member, const char *prompt, const char *reason); /* hears it, then is hung up */
void member_named(struct member *member);                                            /* it has said its name, or none */
void member_go_on(struct member *member);                                            /* what it heard alone is over */
void room_end(struct room *room, const char *reason);                                /* sends everybody off */
void room_set_locked(struct room *room, bool locked);
void room_mute_all(struct room *room, bool muted);
int members_take(struct conference *conference, const struct carried_room *carried);
void members_hand_over(struct conference *conference);
extern const struct pbx_room_watch conference_watch;

/* ---- keys.c ---- */
void keys_typed(struct member *member, char digit);
void pin_ask(struct member *member);
void invitation_ask(struct member *member);
void member_admit(struct member *member);

/* ---- names.c ---- */
bool name_is_asked(const struct member *member); /* it is to say its name first */
void name_ask(struct member *member);            /* member_named follows */
void name_listen(struct member *member);         /* it has been asked */
void name_typed(struct member *member, char digit);
void name_announce(const struct member *member, bool comes); /* to the room */
void name_leaves(struct member *member);                     /* the room may hear it a while longer */
void names_forget(struct room *room);
void names_sweep(struct conference *conference); /* what a crash has left behind */

/* ---- record.c ---- */
/* Tells the room. PBX_OK, PBX_ESTATE (nobody is in), PBX_ENOTSUP (nobody keeps recordings), PBX_EPERM (they are forbidden), PBX_ENOMEM. */
int room_record(struct room *room, bool on);
void room_record_goes_on(struct room *room, pbx_leg without); /* that one is in no more */

/* ---- invite.c ---- */
int invite(struct room *room, const char *number, bool confirm, bool moderator, pbx_leg replaces);
void invitations_cancel(struct conference *conference);

/* ---- telling.c ---- */
void tell_started(const struct room *room);
void tell_ended(const struct room *room, const char *reason);
void tell_joined(const struct member *member);
void tell_left(const struct member *member);
void tell_changed(const struct member *member);
void tell_locked(const struct room *room);

/* ---- roster.c ---- */
int roster_start(struct conference *conference); /* PBX_OK, PBX_EEXIST, PBX_ENOMEM */
void roster_changed(const struct room *room);

/* ---- requests.c ---- */
#define CONFERENCE_ROUTES 20
#define CONFERENCE_COMMANDS 13
extern const struct pbx_route conference_routes[CONFERENCE_ROUTES];
extern const struct pbx_command conference_commands[CONFERENCE_COMMANDS];
