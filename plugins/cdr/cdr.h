/* cdr/cdr.h - what the plugin's files share. All of it: [loop].
 *
 * A record (segment) is a conversation of two parties: hold, and a park that the same party fetches, do not break it; a transfer or a
 * fetch by somebody else closes it and begins the next, same linked_id, next sequence. Of two calls that meet one writes the next record. Time in a slot belongs to the record of whoever
 * parked, so that the records of a call add up to its length. Records are made from events and from nothing else. */
#pragma once
#include <pbx/bus.h>
#include <pbx/calls.h>
#include <pbx/fetch.h>
#include <pbx/metrics.h>
#include <pbx/requests.h>
#include <pbx/store.h>
#include <pbx/timers.h>
#include <stdio.h>

#define CDR_TEXT 128u
#define CDR_NAME 64u
#define CDR_NOTE 512u
#define CDR_BUCKETS 1024u

struct cdr_settings {
	uint32_t retention_days, anonymise_days;
	bool legs;
	bool csv, jsonl;
	struct pbx_list csv_fields;
	const char *directory;
	uint32_t files_days;
	const char *http_url, *http_token;
	uint32_t http_parallel, http_timeout_s;
	const char *syslog, *syslog_facility;
};

/* One row of cdr_segments. */
struct segment {
	char id[48]; /* CALL-sequence */
	char call_id[32], linked_id[32];
	uint32_t sequence;
	char direction[12], from_number[CDR_TEXT], from_name[CDR_TEXT], to_number[CDR_TEXT], dialled[CDR_TEXT], device[CDR_TEXT];
	int64_t started_us, answered_us, ended_us, parked_us; /* 0: not yet; not parked now */
	char disposition[16], cause[32], hangup_by[12];
	int64_t sip_code, q850_cause, ring_ms, duration_ms, billsec_ms, hold_ms, park_ms, pdd_ms;
	char trunk_id[CDR_NAME], trunk_from[CDR_TEXT], trunk_to[CDR_TEXT]; /* "" when no SIP system is part of it */
	char account_code[CDR_NOTE], user_field[CDR_NOTE];                 /* given while the call lasts, they go along with the record */
	const char *fields;          /* others' own (fields.c), JSON; NULL or "" none. The open call's, or of the row it was read from */
	char from_account[CDR_TEXT]; /* whose phone called, for rights: never shown, since the number may be withheld */
};

/* A leg of another SIP system (a trunk), and the numbers as they went over the line. */
struct trunk_leg {
	char leg_id[48], trunk_id[CDR_NAME], from[CDR_TEXT], to[CDR_TEXT];
};

/* A call in progress. */
struct open_call {
	struct open_call *next;
	char call_id[32];
	struct segment segment;  /* the conversation that goes on now */
	int64_t earlier_talk_ms; /* of segments that are closed */
	int64_t held_us;         /* since when a party is on hold; 0: none is */
	struct trunk_leg came;   /* the caller's, when they are outside */
	struct trunk_leg went;   /* the latest that was called */
	bool conversed;          /* its own legs have talked with each other */
	char from_leg[48];       /* from whose side the record is written */
	char to_leg[48];         /* who that talks with; "" nobody yet */
	bool absorbed;           /* went into another call: has no record any more */
	bool closed;             /* its party has, and its last record is closed */
	char into[32];           /* that one's id */
	char *fields;            /* what segment.fields points to; owned */
};

/* Between two versions of us during a reload: the calls in progress, and how far into the event log they are told. Offered as
 * "cdr.calls/5"; whoever changes struct open_call offers "/6", and the rows are read instead, as after a crash. */
struct cdr_handover {
	struct pbx_header header;
	void *self;
	/* take(context, call) for each, which is to be copied. The last event they know. */
	int64_t (*each)(void *self, void (*take)(void *context, const struct open_call *call), void *context);
};

/* An event that closed a record, until the cdr.created of its call is in the log. */
struct awaited {
	int64_t seq;
	char call_id[32];
	bool is_told;
};

#define PLACE_AWAITED 512u /* an event closes one record, or a conversation and with it a call */
struct place {
	pbx_subscription follower;
	int64_t safe_seq;
	struct awaited awaited[PLACE_AWAITED]; /* a ring */
	uint32_t first, count, shown;
};

struct untold;
/* Records whose cdr.created may be in the log, since what closed them happened before we began. */
struct told {
	int64_t before_us; /* when we began; 0: another version of us goes before */
	int64_t from_seq;  /* the first event of before then that has come again; 0: none has */
	bool is_asked, is_known;
	char (*ids)[48]; /* those that are told */
	uint32_t count, room;
	struct untold *waiting; /* until that is known */
};

struct cdr {
	PBX_INSTANCE(struct cdr_settings);
	const struct pbx_store *store;
	const struct pbx_bus *bus;
	const struct pbx_jsons *json;
	const struct pbx_requests *requests;
	const struct pbx_timers *timers;
	const struct pbx_metrics *metrics;
	const struct pbx_fetch *fetch;
	struct outputs *outputs;
	const struct cdr_handover *predecessor; /* what it hands over; our own once we run */
	struct cdr_handover handover;
	pbx_subscription follower;
	struct place place;
	struct told told;
	int64_t seen_seq; /* the last event that was made into records */
	struct open_call *open[CDR_BUCKETS];
	struct tail *tails; /* who watches */
};

#define METRIC_RECORDS 0u
#define METRIC_OUTPUT 1u
#define METRIC_WAITING 2u

/* ---- segments.c: events to records ---- */
void segments_on_event(void *self, const struct pbx_event *event);
/* A record whose call began before we did goes on. */
void segments_resume(struct cdr *cdr, const struct segment *segment, int64_t earlier_talk_ms);
/* Of a record that is open: NULL leaves it as it is. */
void segments_note(struct cdr *cdr, const char *id, const char *account_code, const char *user_field);
/* The calls in progress of a version before us, and of us for the one after. */
void segments_take_over(struct cdr *cdr);
int64_t segments_each(void *self, void (*take)(void *context, const struct open_call *call), void *context);
void segments_clear(struct cdr *cdr);

/* ---- fields.c: what others note in a record ---- */
/* The changes of call.fields_set; only_new: those of a call that went into this one, which replace nothing. PBX_OK, PBX_ENOMEM. */
int fields_change(struct cdr *cdr, struct open_call *call, const struct pbx_json *changes, bool only_new);
int fields_keep(struct open_call *call, const char *fields); /* a copy of it is the call's. PBX_OK, PBX_ENOMEM */
void fields_forget(struct open_call *call);
struct pbx_json *fields_json(const struct cdr *cdr, const struct segment *segment); /* owned; an empty object for none */
/* The condition that a record has a field "case", or one with a text, "case=4711"; parameter "$". PBX_OK, PBX_EINVAL (no such name can be). */
#define FIELDS_SOUGHT 2048u
int fields_sought(const struct pbx_jsons *json, const char *asked, char ret_param[FIELDS_SOUGHT]);
bool fields_is_name(const char *name); /* as pbx_calls.set_field takes it */

/* ---- rows.c: records to tables ---- */
/* Each write is journalled while the database is away. seq: acknowledged to the bus when the row is safe, 0: nothing to acknowledge. */
void row_write(struct cdr *cdr, const struct segment *segment, int64_t seq);
void row_write_fields(struct cdr *cdr, const struct segment *segment, bool account_code, bool user_field,
		      int64_t seq); /* of those, what changed */
void row_remove(struct cdr *cdr, const char *id, int64_t seq);
void row_close_unseen(struct cdr *cdr, const struct segment *closing, int64_t seq); /* we did not see it begin; tells of it too */
void row_write_leg(struct cdr *cdr, const struct pbx_event *event);
int rows_restore(struct cdr *cdr); /* open rows: of calls that go on, or to be closed. PBX_ELATER; host->ready when done */
void rows_retire(struct cdr *cdr); /* old ones are anonymised, older ones removed */
struct pbx_json *segment_json(const struct cdr *cdr, const struct segment *segment);

/* ---- place.c: how far into the event log we are done ---- */
void place_safe(struct cdr *cdr, int64_t seq); /* its row is safe, or it needs none */
void place_await(struct cdr *cdr, int64_t seq, const char *call_id);
void place_told(struct cdr *cdr, const char *call_id);
int place_start(struct cdr *cdr);

/* ---- told.c: each closed record is told of once ---- */
/* Tells of a closed record; the event that closed it is done with when that is safe. */
void segment_tell(struct cdr *cdr, const struct segment *segment, const struct pbx_event *event);
/* The same of what happened before our start, unless the log tells of it; place_await() has been called. */
void told_or_tell(struct cdr *cdr, const struct segment *segment);
void told_look_at(struct cdr *cdr, const struct pbx_event *event); /* each that comes, in order */
void told_end(struct cdr *cdr);                                    /* nobody comes back from the log any more: what waits is told */
void told_fini(struct cdr *cdr);

/* ---- tail.c: records for who watches ---- */
void cdr_on_tail(void *self, pbx_request request);
void tails_tell(struct cdr *cdr, const struct pbx_json *record);
void tails_end(struct cdr *cdr);

/* ---- query.c: what is asked of the tables ---- */
extern const char segment_columns[];
#define SEGMENT_COLUMNS 34u
#define COLUMN_NOTES 26u
#define COLUMN_LEGAL_HOLD 28u
/* Whether a person limited to this account may see the record: they called, or were called. */
bool segment_is_of(const struct segment *segment, const char *account);
void segment_from_row(struct segment *segment, const struct pbx_rows *rows, uint32_t row);

#define FILTER_PARAMS 16u
struct filter {
	char sql[2048];
	char texts[FILTER_PARAMS][CDR_TEXT + 4], field[FIELDS_SOUGHT]; /* what params point to */
	struct pbx_value params[FILTER_PARAMS];
	uint32_t count;
};
/* WHERE and its parameters from a request's arguments; PBX_EINVAL when it has been refused. */
int filter_make(struct cdr *cdr, pbx_request request, struct filter *ret_filter);
/* One more condition, "name op $n". */
void filter_add(struct filter *filter, const char *condition, struct pbx_value value);

/* ---- csv.c [any] ---- */
#define CSV_COLUMNS_MOST 40u
extern const char *const csv_columns[]; /* all there are; ends with NULL, as do those given below */
bool csv_has_column(const char *name);  /* one of these, or "fields.case": one field of others */
void csv_write_head(FILE *out, const char *const *columns);
void csv_write_record(FILE *out, const char *const *columns, const struct pbx_jsons *json, const struct pbx_json *record);

/* ---- requests.c ---- */
void cdr_on_list(void *self, pbx_request request);
void cdr_on_show(void *self, pbx_request request);
void cdr_on_change(void *self, pbx_request request);
void cdr_on_legs(void *self, pbx_request request);
void cdr_on_events(void *self, pbx_request request);
void cdr_on_export(void *self, pbx_request request);
void cdr_on_outputs(void *self, pbx_request request);
