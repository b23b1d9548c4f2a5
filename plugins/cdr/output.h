/* cdr/output.h - records to other places: what the outputs share. [loop] but for what says otherwise.
 *
 * Each output follows our own event cdr.created under a name of its own and acknowledges what has arrived, so that neither a restart nor
 * a receiver that is away loses a record; one that was on its way in a crash comes twice, with the same id. */
#pragma once
#include "cdr.h"

/* A record on its way. */
struct outgoing {
	struct outgoing *next;
	int64_t seq;      /* of the event that told it */
	int64_t ended_us; /* when that was */
	char id[48];
	char day[12];  /* UTC, on which the call began: "2026-11-22" */
	char *text;    /* JSON on one line */
	bool is_away;  /* sent, no answer yet */
	bool has_come; /* the receiver has it; waits for those before it */
	uint32_t refusals;
	struct output *output;
	pbx_transfer transfer;
};

struct output {
	struct cdr *cdr;
	const struct output_kind *kind;
	pbx_subscription follower;
	struct outgoing *first, **end; /* oldest first; the bus shows no more than its window */
	uint32_t waiting, away;        /* records; of these, or jobs, sent and not answered */
	pbx_timer retry;
	uint32_t failures; /* in a row */
	int64_t failing_since_us, last_sent_us;
	uint64_t sent;
	char reason[200]; /* of the last failure */
	int64_t lost_seq; /* found no memory: nothing from it on is taken until it is shown again */
	int fd;           /* syslog: the connection, -1: none */
};

struct output_kind {
	const char *name; /* its follower is "to-NAME" */
	bool (*is_on)(const struct cdr_settings *settings);
	/* Sends some or all of what waits; ends in output_arrived or output_failed. */
	void (*send)(struct output *output);
};

extern const struct output_kind output_csv, output_jsonl, output_http, output_syslog;

/* `count` records from the first on have arrived. */
void output_arrived(struct output *output, uint32_t count);
/* None has: later again, by and by less often. Said once until something arrives. */
void output_failed(struct output *output, const char *reason);
/* Goes on with what waits, unless it waits for better times. */
void output_wake(struct output *output);

/* What waits becomes a job's, which gives it back or frees it. */
struct outgoing *output_take(struct output *output, uint32_t *ret_count);
void output_give_back(struct output *output, struct outgoing *records);
void output_drop_first(struct output *output);
void output_drop_idle(struct output *output); /* all, unless one is away */
void output_count(const struct output *output, const char *result, uint32_t count);
void outgoing_free_all(struct outgoing *records);
/* All of it, to a file or a connection. PBX_OK, PBX_EIO (errno). [any] */
int output_write(int fd, const char *bytes, size_t size);

/* ---- settings, checked before they are accepted ---- */

/* "udp:host:port", "tcp:[::1]:601", "local", "local:/path". */
struct syslog_target {
	char scheme[8], host[256], port[8];
};
int syslog_parse(const char *text, struct syslog_target *ret_target);
int outputs_check(const struct cdr_settings *settings, struct pbx_diag *diag);

/* ---- life ---- */
struct outputs *outputs_new(struct cdr *cdr); /* NULL: no memory */
int outputs_apply(struct outputs *outputs);   /* starts those that are switched on, forgets those that are not */
void outputs_stop(struct outputs *outputs);   /* a successor goes on */
void outputs_free(struct outputs *outputs);
struct pbx_json *outputs_json(const struct outputs *outputs);
void files_retire(struct cdr *cdr); /* old daily files are removed */
