/*
 * call_recording - calls as sound files: by rule, by key, by request
 *
 * Whenever two parties begin to talk, the rules are asked; what is recorded gets a row at once and a file that is whole at every moment. This
 * file is the card: settings, tables, routes, commands, events, and the wires between them.
 */
#include "call_recording.h"
#include "metadata.h"
#include <string.h>

#define SIPREC_HELP                                                                                                                        \
	"names of recorders, or SIP URIs (sip:192.0.2.7), the preferred one first; the next one is asked when one refuses, is silent or "  \
	"leaves; empty: none"
#define SRTP_HELP "Whether what recorders are sent is encrypted (SRTP, RFC 4568): a recorder that cannot take it so is passed over"
#define REQUIRED_HELP                                                                                                                      \
	"Without any of these recorders a call does not go on: both parties hear that (prompt recording_unavailable), and it ends"
#define FILE_HELP "Recorded into a file here as well; off: only by the recorders of siprec"

static const struct pbx_setting rule_rows[] = {
	PBX_TEXT(struct rule, name, .initial_text = "", .least = 1, .most = 60, .flags = PBX_SETTING_NEEDED,
		 .help = "What it is called in records"),
	PBX_LIST(struct rule, extensions, .initial_text = "",
		 .help = "One of the parties is such an extension, 10* for all that begin with 10; empty: any"),
	PBX_LIST(struct rule, trunks, .initial_text = "",
		 .help = "The call comes or goes by such a trunk; empty: any call, by a trunk or not"),
	PBX_CHOICE(struct rule, direction, .initial_text = "any", .choices = PBX_CHOICES("any", "inbound", "outbound", "internal"),
		   .help = "Which calls"),
	PBX_CHOICE(struct rule, record, .initial_text = "always", .choices = PBX_CHOICES("always", "on_demand", "never"),
		   .help = "Recorded from the first word on, when a party or a request asks for it, or not even then"),
	PBX_UINT(struct rule, percent, .initial = 100, .least = 0, .most = 100, .unit = "%",
		 .help = "Of record always: the share of calls, chosen by chance; the others are on demand"),
	PBX_BOOL(struct rule, heed_wishes, .initial = 0,
		 .help = "Of record always: a party whose phone asks not to be recorded, or for a pause, gets what it asks for (RFC 7866 "
			 "a=recordpref)"),
	PBX_LIST(struct rule, siprec, .initial_text = "", .help = "Recorders elsewhere that are sent these calls (SIPREC): " SIPREC_HELP),
	PBX_CHOICE(struct rule, siprec_srtp, .initial_text = "off", .choices = PBX_CHOICES("off", "required"), .help = SRTP_HELP),
	PBX_BOOL(struct rule, siprec_required, .initial = 0, .help = REQUIRED_HELP),
	PBX_BOOL(struct rule, file, .initial = 1, .help = FILE_HELP),
};

static const struct pbx_setting recorder_rows[] = {
	PBX_TEXT(struct recorder, name, .initial_text = "", .least = 1, .most = 40, .flags = PBX_SETTING_NEEDED,
		 .help = "What it is called in lists, records and events: a-z, 0-9, _ and -"),
	PBX_TEXT(struct recorder, uri, .initial_text = "", .least = 1, .most = URI_SIZE - 1, .flags = PBX_SETTING_NEEDED,
		 .help = "Where it is: sip:recorder@192.0.2.7:5070;transport=tcp; sips: for TLS"),
	PBX_TEXT(struct recorder, user, .initial_text = "", .most = 255, .help = "Who we are there (digest), when it asks"),
	PBX_TEXT(struct recorder, realm, .initial_text = "", .most = 255, .help = "The only realm that gets the secret; empty: any"),
	PBX_SECRET(struct recorder, secret, .initial_text = "", .most = 255, .help = "And our secret there"),
};

static const struct pbx_setting settings[] = {
	PBX_BOOL(struct recording_settings, enabled, .initial = 1, .help = "Calls may be recorded; off: none is begun"),
	PBX_BOOL(struct recording_settings, auto_record, .initial = 0, .help = "Calls that no rule is about are recorded, all of them"),
	PBX_BOOL(struct recording_settings, heed_wishes, .initial = 0,
		 .help = "Of calls that no rule is about: a party whose phone asks not to be recorded, or for a pause, gets what it asks "
			 "for "
			 "(RFC 7866 a=recordpref)"),
	PBX_OBJECTS(struct recording_settings, rules, .fields = PBX_TABLE(rule_rows), .object_size = sizeof(struct rule),
		    .help = "Whose calls are recorded: the first that fits decides"),
	PBX_OBJECTS(
		struct recording_settings, recorders, .fields = PBX_TABLE(recorder_rows), .object_size = sizeof(struct recorder),
		.help = "Recorders elsewhere (SIPREC, RFC 7866) that want a name, or credentials; others need only their URI in siprec"),
	PBX_LIST(struct recording_settings, siprec, .initial_text = "",
		 .help = "Of calls that no rule is about, the recorders elsewhere that are sent them: " SIPREC_HELP),
	PBX_CHOICE(struct recording_settings, siprec_srtp, .initial_text = "off", .choices = PBX_CHOICES("off", "required"),
		   .help = "Of calls that no rule is about: " SRTP_HELP),
	PBX_BOOL(struct recording_settings, siprec_required, .initial = 0, .help = "Of calls that no rule is about: " REQUIRED_HELP),
	PBX_BOOL(struct recording_settings, file, .initial = 1, .help = "Of calls that no rule is about: " FILE_HELP),
	PBX_TEXT(struct recording_settings, storage_path, .initial_text = "recordings", .most = 500, .flags = PBX_SETTING_RESTART,
		 .help = "Folder of the files; one without / at its beginning is below the plugin's data folder"),
	PBX_CHOICE(
		struct recording_settings, format, .initial_text = "wav", .choices = PBX_CHOICES("wav", "flac", "ogg-opus", "mp3"),
		.help = "Of the files: 16-bit WAV, the same without loss in half the space (FLAC), Ogg Opus or MP3 at 24 kbit/s a channel"),
	PBX_BOOL(struct recording_settings, stereo, .initial = 1,
		 .help = "The caller left, the called party right; off: both in one channel"),
	PBX_CHOICE(struct recording_settings, rate, .initial_text = "auto", .choices = PBX_CHOICES("auto", "8000", "16000", "48000"),
		   .unit = "Hz", .help = "Samples a second; auto: 16000 where a codec of the call carries as much, else 8000"),
	PBX_UINT(struct recording_settings, min_duration_s, .initial = 3, .least = 0, .most = 600, .unit = "s",
		 .help = "Shorter recordings are not kept"),
	PBX_UINT(struct recording_settings, max_duration_s, .initial = 14400, .least = 0, .most = 86400, .unit = "s",
		 .help = "A recording ends when it is so long; 0: never"),
	PBX_UINT(struct recording_settings, min_free_mb, .initial = 1024, .least = 0, .most = 100000000, .unit = "MiB",
		 .help = "With less space on the disk no recording is begun, and recording.failed tells"),
	PBX_UINT(struct recording_settings, beep_s, .initial = 0, .least = 0, .most = 3600, .unit = "s",
		 .help = "Both parties hear a short beep each so many seconds (15 is usual), in calls in G.711; 0: none"),
	PBX_CHOICE(struct recording_settings, pause_mode, .initial_text = "silence", .choices = PBX_CHOICES("silence", "cut"),
		   .help = "A pause is silent in the file, or left out of it"),
	PBX_CHOICE(struct recording_settings, hold_mode, .initial_text = "keep", .choices = PBX_CHOICES("keep", "pause"),
		   .help = "While a party is on hold the recording goes on, or is paused (pause_mode)"),
	PBX_TEXT(struct recording_settings, key_record, .initial_text = "*1", .most = 8, .flags = PBX_SETTING_RESTART,
		 .help = "Keys by which an extension begins and ends a recording during a call; empty: none"),
	PBX_TEXT(struct recording_settings, key_pause, .initial_text = "*2", .most = 8, .flags = PBX_SETTING_RESTART,
		 .help = "Keys by which an extension pauses it and goes on (card numbers); empty: none"),
	PBX_BOOL(struct recording_settings, encrypt, .initial = 0,
		 .help = "Files are encrypted when they are over (AES-256-GCM, a key each, kept under the installation's key) and handed "
			 "out in "
			 "clear to who may hear them"),
	PBX_BOOL(struct recording_settings, announce, .initial = 0, .help = "Both parties hear the announcement when a recording begins"),
	PBX_TEXT(struct recording_settings, announcement, .initial_text = "recording_announcement", .least = 1, .most = 500,
		 .help = "Prompt, or absolute path of a sound file, that tells of the recording"),
};

static const struct pbx_migration migrations[] = {
	{ 1, "recordings",
	  "CREATE TABLE call_recordings (id TEXT PRIMARY KEY, call_id TEXT NOT NULL, group_id TEXT NOT NULL, started_at INTEGER NOT NULL,"
	  " ended_at INTEGER, duration_ms INTEGER NOT NULL DEFAULT 0, from_number TEXT NOT NULL, to_number TEXT NOT NULL, direction TEXT "
	  "NOT NULL,"
	  " reason TEXT NOT NULL, trunk TEXT NOT NULL DEFAULT '', format TEXT NOT NULL, channels INTEGER NOT NULL DEFAULT 0,"
	  " sample_rate INTEGER NOT NULL DEFAULT 0, size_bytes INTEGER NOT NULL DEFAULT 0, sha256 TEXT NOT NULL DEFAULT '', path TEXT NOT "
	  "NULL,"
	  " file_key TEXT NOT NULL DEFAULT '', paused_ms INTEGER NOT NULL DEFAULT 0, gaps_ms INTEGER NOT NULL DEFAULT 0,"
	  " tags TEXT NOT NULL DEFAULT '', legal_hold INTEGER NOT NULL DEFAULT 0, deleted_at INTEGER, deleted_by TEXT NOT NULL DEFAULT '',"
	  " outcome TEXT NOT NULL DEFAULT '');"
	  "CREATE INDEX call_recordings_by_call ON call_recordings (call_id);"
	  "CREATE INDEX call_recordings_by_group ON call_recordings (group_id);"
	  "CREATE INDEX call_recordings_by_end ON call_recordings (ended_at);"
	  "CREATE TABLE call_recording_access (id TEXT PRIMARY KEY, recording_id TEXT NOT NULL, actor TEXT NOT NULL, action TEXT NOT NULL,"
	  " at INTEGER NOT NULL);"
	  "CREATE INDEX call_recording_access_by_recording ON call_recording_access (recording_id)" },
	{ 2, "where recordings were paused", "ALTER TABLE call_recordings ADD COLUMN pauses TEXT NOT NULL DEFAULT ''" },
	{ 3, "recorders elsewhere", "ALTER TABLE call_recordings ADD COLUMN recorder TEXT NOT NULL DEFAULT ''" },
};

static const struct pbx_metric metrics[] = {
	[METRIC_ACTIVE] = { .name = "pbx_recordings_active", .kind = PBX_METRIC_GAUGE, .help = "Calls that are being recorded" },
	[METRIC_RECORDED] = { .name = "pbx_recordings_total",
			      .kind = PBX_METRIC_COUNTER,
			      .help = "Recordings by what became of them",
			      .labels = "outcome" },
	[METRIC_SECONDS] = { .name = "pbx_recordings_seconds_total", .kind = PBX_METRIC_COUNTER, .help = "How much was recorded" },
	[METRIC_GAPS] = { .name = "pbx_recordings_gaps_seconds_total",
			  .kind = PBX_METRIC_COUNTER,
			  .help = "Sound in recordings that was lost" },
	[METRIC_SESSIONS] = { .name = "pbx_recording_sessions_active",
			      .kind = PBX_METRIC_GAUGE,
			      .help = "Recordings that a recorder elsewhere is being sent" },
	[METRIC_SESSIONS_FAILED] = { .name = "pbx_recording_sessions_failed_total",
				     .kind = PBX_METRIC_COUNTER,
				     .help = "Recorders elsewhere that did not take a recording, or left amid one",
				     .labels = "recorder" },
};

#define EVENT_FIELDS                                                                                                                       \
	{ "recording_id", PBX_TYPE_TEXT, "Of the recording" }, { "recorded_call_id", PBX_TYPE_TEXT, "The call it is of" },                 \
		{ "group_id", PBX_TYPE_TEXT, "The same for all parts of a conversation that was transferred" },                            \
		{ "from", PBX_TYPE_TEXT, "The caller" }, { "to", PBX_TYPE_TEXT, "Who was called" },                                        \
		{ "reason", PBX_TYPE_TEXT, "Why it is recorded: rule, transfer, key, request; restart: it was found after a crash" },      \
		{ "path", PBX_TYPE_TEXT, "The file, below the storage folder; empty: there is none" },                                     \
	{                                                                                                                                  \
		"recorder", PBX_TYPE_TEXT, "Who has it elsewhere, so far; empty: nobody"                                                   \
	}
static const struct pbx_field event_fields[] = { EVENT_FIELDS };
static const struct pbx_field end_fields[] = {
	EVENT_FIELDS,
	{ "duration_ms", PBX_TYPE_INT, "Of the file" },
	{ "size_bytes", PBX_TYPE_INT, "Of the file" },
	{ "gaps_ms", PBX_TYPE_INT, "Sound that was lost" },
	{ "outcome", PBX_TYPE_TEXT, "Why it is not kept (too_short, empty, failed, lost); empty: it is" },
};
#define SESSION_FIELDS                                                                                                                     \
	{ "recording_id", PBX_TYPE_TEXT, "Of the recording" }, { "recorded_call_id", PBX_TYPE_TEXT, "The call it is of" },                 \
		{ "group_id", PBX_TYPE_TEXT, "The same for all parts of a conversation that was transferred" },                            \
	{                                                                                                                                  \
		"recorder", PBX_TYPE_TEXT, "As siprec names it"                                                                            \
	}
static const struct pbx_field session_fields[] = { SESSION_FIELDS };
static const struct pbx_field session_end_fields[] = {
	SESSION_FIELDS,
	{ "sip_code", PBX_TYPE_INT, "What it answered; 408: nothing; 200: it has hung up; 0: it could not be asked" },
	{ "why", PBX_TYPE_TEXT, "In words" },
	{ "lasted", PBX_TYPE_BOOL, "It had taken the recording and has left; else it never did" },
};
static const struct pbx_event_type events[] = {
	{ "recording.started", "A call is being recorded", PBX_TABLE(event_fields) },
	{ "recording.paused", "It is paused", PBX_TABLE(event_fields) },
	{ "recording.resumed", "It goes on", PBX_TABLE(event_fields) },
	{ "recording.stopped", "It is over, and the file is whole", PBX_TABLE(end_fields) },
	{ "recording.failed", "It could not be begun, or not be gone on with (the disk); what there was until then is kept",
	  PBX_TABLE(end_fields) },
	{ "recording.deleted", "Its file was deleted", PBX_TABLE(event_fields) },
	{ "recording.session_started", "A recorder elsewhere (SIPREC) has taken it and is sent both parties", PBX_TABLE(session_fields) },
	{ "recording.session_failed", "A recorder elsewhere did not take it, or has left; the next one is asked",
	  PBX_TABLE(session_end_fields) },
};

static const struct pbx_field row_fields[] = {
	{ "id", PBX_TYPE_TEXT, "Of the recording" },
	{ "call_id", PBX_TYPE_TEXT, "The call it is of" },
	{ "group_id", PBX_TYPE_TEXT, "The same for all parts of a conversation that was transferred" },
	{ "from", PBX_TYPE_TEXT, "The caller: the left channel" },
	{ "to", PBX_TYPE_TEXT, "Who was called: the right channel" },
	{ "direction", PBX_TYPE_TEXT, "internal, inbound, outbound" },
	{ "reason", PBX_TYPE_TEXT, "Why it was recorded: rule, transfer, key, request" },
	{ "trunk", PBX_TYPE_TEXT, "By which trunk the call came or went" },
	{ "started_at", PBX_TYPE_TIME, "When it began" },
	{ "ended_at", PBX_TYPE_TIME, "When it was over, null while it lasts" },
	{ "duration_ms", PBX_TYPE_INT, "Of the file" },
	{ "format", PBX_TYPE_TEXT, "wav, flac, ogg-opus, mp3; none: there is no file" },
	{ "channels", PBX_TYPE_INT, "1 or 2" },
	{ "sample_rate", PBX_TYPE_INT, "Samples a second" },
	{ "size_bytes", PBX_TYPE_INT, "Of the file" },
	{ "sha256", PBX_TYPE_TEXT, "Of the file, as it was when it was recorded" },
	{ "paused_ms", PBX_TYPE_INT, "How long it was paused" },
	{ "gaps_ms", PBX_TYPE_INT, "Sound that was lost" },
	{ "pauses", PBX_TYPE_OBJECTS,
	  "Where it was paused: at_ms in the file, for_ms, left_out; a WAV file has a cue point each. None after a crash" },
	{ "tags", PBX_TYPE_LIST, "As people have set them" },
	{ "legal_hold", PBX_TYPE_BOOL, "It may not be deleted" },
	{ "outcome", PBX_TYPE_TEXT,
	  "stored; cut_short: the disk was full; stored_remotely: only recorder has it; too_short, empty, failed, lost: no file is kept" },
	{ "recorder", PBX_TYPE_TEXT, "The last recorder elsewhere that took it, as siprec names it; null: none" },
	{ "deleted_at", PBX_TYPE_TIME, "When it was deleted, or null" },
	{ "deleted_by", PBX_TYPE_TEXT, "By whom" },
};
static const struct pbx_field active_fields[] = {
	{ "id", PBX_TYPE_TEXT, "Of the recording" },
	{ "call_id", PBX_TYPE_TEXT, "The call it is of" },
	{ "from", PBX_TYPE_TEXT, "The caller" },
	{ "to", PBX_TYPE_TEXT, "Who was called" },
	{ "reason", PBX_TYPE_TEXT, "rule, transfer, key, request" },
	{ "started_at", PBX_TYPE_TIME, "When it began" },
	{ "paused", PBX_TYPE_BOOL, "It is paused" },
	{ "duration_ms", PBX_TYPE_INT, "Of the file so far" },
	{ "level_left_db", PBX_TYPE_NUMBER, "How loud the left channel is now, dB of full scale" },
	{ "level_right_db", PBX_TYPE_NUMBER, "And the right one" },
	{ "recorder", PBX_TYPE_TEXT, "The recorder elsewhere that has it, or is asked now or next; null: none is wanted" },
	{ "recorder_state", PBX_TYPE_TEXT, "connected; connecting; waiting: all have refused, and are asked again later" },
	{ "recorder_packets", PBX_TYPE_INT, "RTP packets that it was sent" },
};
static const struct pbx_field access_fields[] = {
	{ "actor", PBX_TYPE_TEXT, "Who" },
	{ "action", PBX_TYPE_TEXT, "show, audio, export, verify, tags, hold, delete; with refused: in vain" },
	{ "at", PBX_TYPE_TIME, "When" },
};
static const struct pbx_field verify_fields[] = {
	{ "id", PBX_TYPE_TEXT, "Of the recording" },
	{ "path", PBX_TYPE_TEXT, "Its file" },
	{ "intact", PBX_TYPE_BOOL, "The file is what was recorded" },
	{ "found", PBX_TYPE_TEXT, "as recorded, changed, missing" },
};

#define ID_ARG                                                                                                                             \
	{                                                                                                                                  \
		.name = "id", .type = PBX_TYPE_TEXT, .flags = PBX_ARG_REQUIRED, .least = 26, .most = 26, .help = "Id of the recording"     \
	}
static const struct pbx_arg id_args[] = { ID_ARG };
static const char *const forms[] = { "wav", "flac", "opus", "mp3", NULL };
static const char *const channels[] = { "left", "right", "caller", "callee", "mix", NULL };
#define FORM_ARGS                                                                                                                          \
	{ .name = "format",                                                                                                                \
	  .type = PBX_TYPE_CHOICE,                                                                                                         \
	  .flags = PBX_ARG_QUERY,                                                                                                          \
	  .choices = forms,                                                                                                                \
	  .help = "In this format; without: as it was recorded" },                                                                         \
	{                                                                                                                                  \
		.name = "channel", .type = PBX_TYPE_CHOICE, .flags = PBX_ARG_QUERY, .choices = channels,                                   \
		.help = "One party alone (caller is left, callee right), or both in one channel; without: as it was recorded"              \
	}
static const struct pbx_arg audio_args[] = { ID_ARG, FORM_ARGS };
static const struct pbx_arg export_args[] = {
	{ .name = "ids", .type = PBX_TYPE_LIST, .flags = PBX_ARG_REQUIRED | PBX_ARG_QUERY, .help = "Ids of recordings, 100 at most" },
	FORM_ARGS,
};
static const struct pbx_arg tag_args[] = {
	ID_ARG,
	{ .name = "tags", .type = PBX_TYPE_LIST, .flags = PBX_ARG_REQUIRED, .help = "All tags it shall have" },
};
static const struct pbx_arg hold_args[] = {
	ID_ARG,
	{ .name = "hold", .type = PBX_TYPE_BOOL, .flags = PBX_ARG_REQUIRED, .help = "Whether it may not be deleted" },
};
#define LIST_ARG(name_, type_, help_, ...)                                                                                                 \
	{                                                                                                                                  \
		.name = name_, .type = type_, .flags = PBX_ARG_QUERY, .help = help_, __VA_ARGS__                                           \
	}
static const struct pbx_arg list_args[] = {
	LIST_ARG("from", PBX_TYPE_TIME, "Begun at this time or later"),
	LIST_ARG("to", PBX_TYPE_TIME, "Begun before this time"),
	LIST_ARG("extension", PBX_TYPE_TEXT, "This number was a party", .most = 60),
	LIST_ARG("call_id", PBX_TYPE_TEXT, "Of this call, or of this group", .most = 60),
	LIST_ARG("tag", PBX_TYPE_TEXT, "Has this tag", .most = 40),
	LIST_ARG("q", PBX_TYPE_TEXT, "Part of a number or of the file's name", .most = 60),
	LIST_ARG("cursor", PBX_TYPE_TEXT, "next_cursor of the page before", .most = 26),
	LIST_ARG("limit", PBX_TYPE_INT, "At most so many", .least = 1, .most = 500),
};
static const char *const actions[] = { "start", "stop", "pause", "resume", NULL };
static const struct pbx_arg action_args[] = {
	{ .name = "call_id", .type = PBX_TYPE_TEXT, .flags = PBX_ARG_REQUIRED, .most = 60, .help = "Id of the call", .completes = "call" },
	{ .name = "action", .type = PBX_TYPE_CHOICE, .flags = PBX_ARG_REQUIRED, .choices = actions, .help = "What to do" },
};

#define READS "recordings:read"
#define WRITES "recordings:write"
static const struct pbx_route routes[] = {
	{ .method = "GET",
	  .path = "/recordings",
	  .handle = on_list,
	  .scope = READS,
	  .summary = "Recordings, newest first; a user sees those of their own calls",
	  .args = PBX_TABLE(list_args),
	  .reply = PBX_TABLE(row_fields) },
	{ .method = "GET",
	  .path = "/recordings/active",
	  .handle = on_active,
	  .scope = READS,
	  .summary = "What is being recorded",
	  .reply = PBX_TABLE(active_fields) },
	{ .method = "GET",
	  .path = "/recordings/{id}",
	  .handle = on_show,
	  .scope = READS,
	  .summary = "One recording",
	  .args = PBX_TABLE(id_args),
	  .reply = PBX_TABLE(row_fields) },
	{ .method = "GET",
	  .path = "/recordings/{id}/audio",
	  .handle = on_audio,
	  .scope = READS,
	  .summary = "Its sound, or the part of it that Range names; 500 INTEGRITY when the file was changed",
	  .args = PBX_TABLE(audio_args) },
	{ .method = "GET",
	  .path = "/recordings/export",
	  .handle = on_export,
	  .scope = READS,
	  .summary =
		  "Several recordings as a ZIP file with manifest.json, which tells of each what it is, its SHA-256, and why it is missing",
	  .args = PBX_TABLE(export_args) },
	{ .method = "GET",
	  .path = "/recordings/{id}/accesses",
	  .handle = on_accesses,
	  .scope = "recordings:audit",
	  .summary = "Who has looked at it, heard it, changed it, or tried to",
	  .args = PBX_TABLE(id_args),
	  .reply = PBX_TABLE(access_fields) },
	{ .method = "GET",
	  .path = "/recordings/{id}/integrity",
	  .handle = on_verify,
	  .scope = READS,
	  .summary = "Whether its file is what was recorded",
	  .args = PBX_TABLE(id_args),
	  .reply = PBX_TABLE(verify_fields) },
	{ .method = "PUT",
	  .path = "/recordings/{id}/tags",
	  .handle = on_tags,
	  .scope = WRITES,
	  .summary = "Set its tags",
	  .flags = PBX_ROUTE_WRITES,
	  .args = PBX_TABLE(tag_args) },
	{ .method = "PUT",
	  .path = "/recordings/{id}/hold",
	  .handle = on_hold,
	  .scope = "recordings:audit",
	  .summary = "Put it on legal hold, or take it off",
	  .flags = PBX_ROUTE_WRITES,
	  .args = PBX_TABLE(hold_args) },
	{ .method = "DELETE",
	  .path = "/recordings/{id}",
	  .handle = on_delete,
	  .scope = "recordings:delete",
	  .summary = "Delete its file; the record of it stays. 409 on legal hold",
	  .flags = PBX_ROUTE_WRITES,
	  .args = PBX_TABLE(id_args) },
	{ .method = "POST",
	  .path = "/calls/{call_id}/recording",
	  .handle = on_action,
	  .scope = WRITES,
	  .summary = "Begin to record a call, pause, go on, stop",
	  .flags = PBX_ROUTE_WRITES,
	  .args = PBX_TABLE(action_args),
	  .reply = PBX_TABLE(active_fields) },
};

static const struct pbx_command commands[] = {
	{ .words = "recording list",
	  .handle = on_list,
	  .help = "Recordings, newest first",
	  .args = PBX_TABLE(list_args),
	  .columns = "id,started_at,from,to,duration_ms,reason,outcome,recorder" },
	{ .words = "recording active",
	  .handle = on_active,
	  .help = "What is being recorded",
	  .columns = "id,call_id,from,to,duration_ms,paused,reason,recorder,recorder_state" },
	{ .words = "recording show", .handle = on_show, .help = "One recording", .args = PBX_TABLE(id_args) },
	{ .words = "recording audio", .handle = on_audio, .help = "Its sound, for a file: > NAME", .args = PBX_TABLE(audio_args) },
	{ .words = "recording export",
	  .handle = on_export,
	  .help = "Several recordings (ids with commas between) as a ZIP file: > NAME.zip",
	  .args = PBX_TABLE(export_args) },
	{ .words = "recording verify", .handle = on_verify, .help = "Whether its file is what was recorded", .args = PBX_TABLE(id_args) },
	{ .words = "recording accesses",
	  .handle = on_accesses,
	  .help = "Who has looked at it, heard it, changed it, or tried to",
	  .args = PBX_TABLE(id_args),
	  .columns = "at,actor,action" },
	{ .words = "recording hold", .handle = on_hold, .help = "Put it on legal hold, or take it off", .args = PBX_TABLE(hold_args) },
	{ .words = "recording delete", .handle = on_delete, .help = "Delete its file", .args = PBX_TABLE(id_args) },
	{ .words = "recording call",
	  .handle = on_action,
	  .help = "Begin to record a call, pause, go on, stop",
	  .args = PBX_TABLE(action_args) },
};

/* ---- what happens --------------------------------------------------------------------- */

static void on_bridge(struct plugin *plugin, const struct pbx_event *event, bool entered)
{
	const char *leg_id = plugin->json->text(plugin->json->get(event->data, "leg_id"));
	const char *peer_id = plugin->json->text(plugin->json->get(event->data, "peer_leg_id"));
	pbx_leg leg, peer;

	/* One of them may have gone while the event was on its way. */
	if (!leg_id || !peer_id || plugin->calls->find_leg(leg_id, &leg) != PBX_OK || plugin->calls->find_leg(peer_id, &peer) != PBX_OK)
		return;
	if (!entered) {
		record_part(plugin, leg, peer);
		return;
	}
	record_consider(plugin, leg, peer);
	record_tell(plugin, leg, peer);
}

static void on_room(struct plugin *plugin, const struct pbx_event *event)
{
	const char *leg_id = plugin->json->text(plugin->json->get(event->data, "leg_id"));
	const char *room = plugin->json->text(plugin->json->get(event->data, "room"));
	pbx_leg leg;

	if (!leg_id || !room || plugin->calls->find_leg(leg_id, &leg) != PBX_OK)
		return;
	if (room[0])
		record_consider_room(plugin, leg, room);
	room_entered(plugin, leg);
}

static void on_room_left(struct plugin *plugin, const struct pbx_event *event)
{
	const char *leg_id = plugin->json->text(plugin->json->get(event->data, "leg_id"));
	const char *room_id = plugin->json->text(plugin->json->get(event->data, "room_id"));
	pbx_leg leg = { 0 };

	if (!leg_id || !room_id)
		return;
	if (plugin->calls->find_leg(leg_id, &leg) == PBX_OK)
		record_part(plugin, leg, leg); /* what it hears of the room is over */
	if (leg.id != 0 || plugin->active)
		room_left(plugin, leg, room_id);
}

static void on_hold_event(struct plugin *plugin, const struct pbx_event *event, bool on)
{
	const char *by = plugin->json->text(plugin->json->get(event->data, "by"));
	pbx_leg leg;

	if (by && plugin->active && plugin->calls->find_leg(by, &leg) == PBX_OK)
		record_held(plugin, leg, on);
}

static void on_wish(struct plugin *plugin, const struct pbx_event *event)
{
	const char *leg_id = plugin->json->text(plugin->json->get(event->data, "leg_id"));
	const char *wish = plugin->json->text(plugin->json->get(event->data, "wish"));
	pbx_leg leg;

	if (leg_id && wish && plugin->calls->find_leg(leg_id, &leg) == PBX_OK)
		record_wished(plugin, leg, wish);
}

static void on_event(void *self, const struct pbx_event *event)
{
	struct plugin *plugin = self;

	if (plugin->draining)
		return;
	if (strcmp(event->type, "bridge.entered") == 0)
		on_bridge(plugin, event, true);
	else if (strcmp(event->type, "bridge.left") == 0)
		on_bridge(plugin, event, false);
	else if (strcmp(event->type, "room.entered") == 0)
		on_room(plugin, event);
	else if (strcmp(event->type, "room.left") == 0)
		on_room_left(plugin, event);
	else if (strcmp(event->type, "call.hold") == 0 || strcmp(event->type, "call.resume") == 0)
		on_hold_event(plugin, event, event->type[5] == 'h');
	else if (strcmp(event->type, "leg.ended") == 0)
		record_leg_ended(plugin, plugin->json->text(plugin->json->get(event->data, "leg_id")));
	else if (strcmp(event->type, "call.record_wish") == 0)
		on_wish(plugin, event);
	else
		record_forget_group(plugin, event->call_id);
}

/* ---- life ----------------------------------------------------------------------------- */

static int take_active(void *self, const struct active *given)
{
	return record_take(self, given);
}

static const void *recording_offer(void *self, const char *id)
{
	struct plugin *plugin = self;

	if (strcmp(id, "pbx.recordings/1") == 0) {
		plugin->recordings = record_service;
		plugin->recordings.self = plugin;
		return &plugin->recordings;
	}
	plugin->service = (struct takers){ .header = PBX_HEADER(struct takers), .self = self, .take = take_active };
	return &plugin->service;
}

static int find_storage(struct plugin *plugin)
{
	const char *path = plugin->settings->storage_path, *data = plugin->host->data_dir(plugin->host);

	if (path[0] == '/')
		(void)snprintf(plugin->storage, sizeof plugin->storage, "%s", path);
	else if (data)
		(void)snprintf(plugin->storage, sizeof plugin->storage, "%s/%s", data, path);
	return plugin->storage[0] ? PBX_OK : PBX_EIO;
}

static int recording_load(void *self)
{
	struct plugin *plugin = self;
	struct pbx_host *host = plugin->host;

	plugin->calls = pbx_calls(host);
	plugin->rooms = pbx_rooms(host);
	plugin->recorder = pbx_recorder(host);
	plugin->store = pbx_store(host);
	plugin->requests = pbx_requests(host);
	plugin->json = pbx_jsons(host);
	plugin->bus = pbx_bus(host);
	plugin->metrics = pbx_metrics(host);
	plugin->secrets = pbx_secrets(host);
	plugin->timers = pbx_timers(host);
	plugin->forks = pbx_forks(host);
	plugin->sessions = pbx_sessions(host);
	plugin->sip = pbx_sip(host);
	plugin->successor = host->service(host, "call_recording.active/2", sizeof *plugin->successor);
	metadata_keep_library();
	return find_storage(plugin);
}

static int claim_keys(struct plugin *plugin, const char *keys, pbx_dialled_fn typed)
{
	return keys[0] ? plugin->calls->keys(plugin->host, keys, typed, plugin) : PBX_OK;
}

static int recording_start(void *self)
{
	struct plugin *plugin = self;
	pbx_subscription subscription;
	struct pbx_diag diag = { .text = "" };
	int err = plugin->bus->subscribe(
		plugin->host,
		"bridge.entered,bridge.left,room.entered,room.left,leg.ended,call.hold,call.resume,call.record_wish,call.ended", on_event,
		plugin, &subscription);

	if (err == PBX_OK && recorders_publish(plugin, plugin->settings, &diag) != PBX_OK)
		pbx_error(plugin->host, "recorder_refused", "why=\"%s\"", diag.text); /* the others, and files, go on */
	if (err == PBX_OK)
		err = claim_keys(plugin, plugin->settings->key_record, record_key_record);
	if (err == PBX_OK)
		err = claim_keys(plugin, plugin->settings->key_pause, record_key_pause);
	if (err == PBX_OK)
		finish_recover(plugin);
	return err;
}

static int recording_settings_check(const void *proposed, struct pbx_diag *diag)
{
	return policy_check(proposed, diag);
}

static int recording_reload(void *self, const void *proposed, struct pbx_diag *diag)
{
	struct plugin *plugin = self;
	struct pbx_diag nothing_new = { .text = "" };
	int err = recorders_publish(plugin, proposed, diag);

	if (err != PBX_OK)
		(void)recorders_publish(plugin, plugin->settings, &nothing_new); /* those that were changed already are as they were */
	return err;
}

static void recording_drain(void *self)
{
	record_hand_over(self);
}

static void recording_unload(void *self)
{
	downloads_free_all(self);
	exports_free_all(self);
	forms_free_all(self);
	record_free_all(self);
	recorders_free(self);
}

PBX_PLUGIN(call_recording)
= {
	PBX_PLUGIN_HEADER,
	.name = "call_recording",
	.version = "1.0.0",
	.summary = "Calls as sound files, or sent to recorders elsewhere: by rule, by key, by request",
	.needs = PBX_NEEDS("pbx.calls/1", "pbx.rooms/1", "pbx.recorder/1", "pbx.store/1", "pbx.requests/1", "pbx.json/1", "pbx.bus/1",
			   "pbx.metrics/1", "pbx.secrets/1", "pbx.timers/1", "pbx.fork/1", "pbx.session/1", "pbx.sip/1",
			   "call_recording.active/2?"),
	.offers = PBX_OFFERS("pbx.recordings/1", "call_recording.active/2"),
	.instance_size = sizeof(struct plugin),
	PBX_SETTINGS(struct recording_settings, settings),
	.migrations = PBX_TABLE(migrations),
	.routes = PBX_TABLE(routes),
	.commands = PBX_TABLE(commands),
	.metrics = PBX_TABLE(metrics),
	.events = PBX_TABLE(events),
	.load = recording_load,
	.start = recording_start,
	.reload = recording_reload,
	.drain = recording_drain,
	.unload = recording_unload,
	.offer = recording_offer,
	.settings_check = recording_settings_check,
};
