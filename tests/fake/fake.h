/* tests/fake/fake.h - a whole core around a real plugin, with phones and media that do as they are told
 *
 * fake_pbx_with("call_parking") builds settings, SQLite store, bus, requests, calls and host in this process, on a clock that moves only by
 * fake_pass_ms, and loads the real .so into it. Phones and media are drivers behind the same seams as SIP and RTP (core/leg_driver.h,
 * core/media_driver.h). Every fake_ function returns when all that it caused has happened. A test runs in a process of its own (Check forks).
 *
 * The end (AUTO(fake_pbx), or fake_pbx_free) hangs up, unloads, and fails the test if a leg, dial, stream, hold, timer, charge or byte is left.
 * A test that fails leaves its folder, $TMPDIR/pbx-fake-XXXXXX with log and database, for a look.
 * Texts that come back belong to the fake pbx and live as long as it does. A leg is a phone's for the whole test: it may be asked
 * about after it has ended. */
#pragma once
#include "auto.h"
#include <check.h>
#include <pbx/border.h>
#include <pbx/calls.h>
#include <pbx/detect.h>
#include <pbx/directory.h>
#include <pbx/notifier.h>
#include <pbx/sip.h>

struct fake_pbx;
struct core_stream_stats;

/* plugins: names separated by commas, in any order. They are searched in $PBX_TEST_PLUGIN_DIR, then in the build. */
struct fake_pbx *fake_pbx_with(const char *plugins);
struct fake_pbx *fake_pbx_with_settings(const char *plugins, const char *yaml); /* the text of pbx.yml */
void fake_pbx_free(struct fake_pbx *pbx);
AUTO_FREES(fake_pbx)
/* Ends everything and starts again on the same database, as a restart of the daemon does. */
void fake_restart(struct fake_pbx *pbx);

/* ---- phones: who is a name or number, an account of that name, and what is shown ------------------------------------------ */

pbx_leg fake_dial(struct fake_pbx *pbx, const char *who, const char *number);
pbx_leg fake_dial_from_outside(struct fake_pbx *pbx, const char *caller, const char *number); /* no account: a trunk's call */
/* An account, else a peer, else a stranger calls from an address ("192.0.2.7:5060"). PBX_OK, or what signalling is told instead of a leg. */
int fake_try_dial(struct fake_pbx *pbx, const char *address, const char *account, const char *peer, const char *number);
/* A call that comes from another SIP system, and one that goes to it: its leg is named as the number it was sent (fake_leg). Refused with 0,
 * it was silent. */
pbx_leg fake_dial_by_peer(struct fake_pbx *pbx, const char *peer, const char *caller, const char *number);
const char *fake_peer_of(struct fake_pbx *pbx, pbx_leg leg); /* "" for a phone of ours */
/* The newest leg to or from `who` that has not ended: the phone that rings. Fails the test when there is none. */
pbx_leg fake_leg(struct fake_pbx *pbx, const char *who);
bool fake_has_leg(struct fake_pbx *pbx, const char *who);

void fake_ring(struct fake_pbx *pbx, pbx_leg leg);   /* the called phone says 180 */
void fake_answer(struct fake_pbx *pbx, pbx_leg leg); /* the called phone is picked up */
void fake_refuse(struct fake_pbx *pbx, pbx_leg leg, uint32_t sip_code);
void fake_hangup(struct fake_pbx *pbx, pbx_leg leg);               /* BYE, or CANCEL by a caller still waiting */
void fake_key_down(struct fake_pbx *pbx, pbx_leg leg, char digit); /* it goes down; fake_digits lets it go, too */
void fake_digits(struct fake_pbx *pbx, pbx_leg leg, const char *digits);
uint32_t fake_recorded(pbx_leg leg);                                          /* PBX_RECORDING_… that its phone shows; 0: nothing */
void fake_wishes_recording(struct fake_pbx *pbx, pbx_leg leg, uint32_t wish); /* its phone says so by a re-INVITE */
void fake_hold(struct fake_pbx *pbx, pbx_leg leg, bool on);                   /* the party holds us */
void fake_change_codec(struct fake_pbx *pbx, pbx_leg leg, const char *codec); /* it offers this one alone: "PCMU", "PCMA" */
int fake_transfer(struct fake_pbx *pbx, pbx_leg leg, const char *target);     /* REFER: what the core answers */
int fake_transfer_to(struct fake_pbx *pbx, pbx_leg leg, pbx_leg replaces);    /* attended */

uint32_t fake_state(struct fake_pbx *pbx, pbx_leg leg);         /* PBX_LEG_… as the phone sees it */
uint32_t fake_cause(struct fake_pbx *pbx, pbx_leg leg);         /* how it ended: Q.850; fails the test when it has not */
uint32_t fake_sip_code(struct fake_pbx *pbx, pbx_leg leg);      /* of a refused or redirected call */
bool fake_is_held(struct fake_pbx *pbx, pbx_leg leg);           /* we hold the party */
uint32_t fake_transfer_code(struct fake_pbx *pbx, pbx_leg leg); /* last progress of its REFER; 0: none yet */
const char *fake_shown(struct fake_pbx *pbx, pbx_leg leg);      /* the other party as the phone shows it: "1001 Alice" */

/* ---- other SIP systems (pbx/sip.h): they say nothing by themselves ---------------------------------------------------------- */

/* What somebody has set under a name; NULL: nobody. Its lists are empty here, and told by fake_peer_list: "codecs", "addresses", "headers"
 * as "PCMA,PCMU". Both until it is set again. */
const struct pbx_sip_peer *fake_peer(struct fake_pbx *pbx, const char *name);
const char *fake_peer_list(struct fake_pbx *pbx, const char *name, const char *what);
/* The oldest request of this method to a peer that waits for an answer, until it has one; NULL: there is none. */
const struct pbx_sip_request *fake_request(struct fake_pbx *pbx, const char *peer, const char *method);
/* Answers it; 0: nobody does. expires_s: what REGISTER's Contact is granted, -1: nothing. headers: "Name: value\n" each. */
void fake_respond(struct fake_pbx *pbx, const char *peer, const char *method, uint32_t sip_code, int64_t expires_s, const char *headers);

/* ---- dialogs that are no calls (pbx/session.h); the newest one with a peer is meant ------------------------------------------ */

/* A part of what was said last; NULL: no such part, or no session. */
const char *fake_session_says(struct fake_pbx *pbx, const char *peer, const char *type);
uint32_t fake_session_offers(struct fake_pbx *pbx, const char *peer); /* how many offers were made in it; 0: there is no session */
/* Answers the offer that waits; sdp NULL: none. */
void fake_session_answer(struct fake_pbx *pbx, const char *peer, uint32_t sip_code, const char *sdp);
/* Asks as the other side, and gives the answer's code; 0: none yet. */
uint32_t fake_session_ask(struct fake_pbx *pbx, const char *peer, const char *method, const char *type, const char *body);
void fake_session_end(struct fake_pbx *pbx, const char *peer, uint32_t sip_code); /* 200: BYE */

/* ---- ears ---------------------------------------------------------------------------------------------------------------- */

/* what: "prompt:NAME", "prompt:slot 7 0" of several, or "prompt:/a/path.wav", "tone:busy", "source:NAME", "self", "nothing". */
bool fake_hears(struct fake_pbx *pbx, pbx_leg leg, const char *what);
bool fake_is_masked(struct fake_pbx *pbx, pbx_leg leg); /* recordings do not hear what it says */
bool fake_hears_self(struct fake_pbx *pbx, pbx_leg leg);
bool fake_hears_leg(struct fake_pbx *pbx, pbx_leg leg, pbx_leg other);
bool fake_talk(struct fake_pbx *pbx, pbx_leg a, pbx_leg b); /* each hears the other */
/* What everybody in a member's room hears counts as what it hears; here it comes to its end. */
void fake_finish_in_room(struct fake_pbx *pbx, pbx_leg member);
void fake_speak(struct fake_pbx *pbx, pbx_leg member, bool on); /* a member of a room begins to talk, or falls silent */
uint32_t fake_plays_begun(struct fake_pbx *pbx, pbx_leg leg);   /* how often something was begun to be played to it, ever */
/* What plays to it (pbx_calls.media_state), 0 when nothing does: its position is what has passed of the clock while it was not paused. */
struct pbx_media_state fake_playing(struct fake_pbx *pbx, pbx_leg leg);
const char *fake_hearing(struct fake_pbx *pbx, pbx_leg leg);      /* what it hears, in the words above, or "leg:NAME": for messages */
const char *fake_digits_heard(struct fake_pbx *pbx, pbx_leg leg); /* sent to this phone, RFC 4733 or INFO */
void fake_finish_prompt(struct fake_pbx *pbx, pbx_leg leg);       /* what plays comes to its end */
void fake_fail_prompt(struct fake_pbx *pbx, pbx_leg leg);         /* or turns out not to be playable */
/* How its audio arrives (media_driver.h), to be changed at will: from the first call on nothing comes but what is put there. */
struct core_stream_stats *fake_audio(struct fake_pbx *pbx, pbx_leg leg);
void fake_lose_media(struct fake_pbx *pbx, pbx_leg leg); /* no packet for media.timeout_s */
void fake_no_ports(struct fake_pbx *pbx, bool none);     /* neither ports nor descriptors are left for streams */
/* The files of an open source, separated by newlines, NULL: no such source; and how many legs listen. */
const char *fake_source_files(struct fake_pbx *pbx, const char *name);
/* What else was asked for: "http://radio/a announce:welcome,wait/30 levels trims". */
const char *fake_source_wishes(struct fake_pbx *pbx, const char *name);
uint32_t fake_source_listeners(struct fake_pbx *pbx, const char *name);

/* Sound, count a whole number of 10 ms, that the party says, or is to hear: changed in place by the filter at its leg (pbx/audio.h). */
void fake_say(struct fake_pbx *pbx, pbx_leg leg, uint32_t rate_hz, int16_t *samples, uint32_t count);
void fake_let_hear(struct fake_pbx *pbx, pbx_leg leg, uint32_t rate_hz, int16_t *samples, uint32_t count);
bool fake_is_filtered(struct fake_pbx *pbx, pbx_leg leg);

/* What taps at a leg (pbx/tap.h) are given: whole blocks, as they asked for them. */
void fake_tapped(struct fake_pbx *pbx, pbx_leg leg, const int16_t *samples, uint32_t count);
/* What an injection at a leg (pbx/inject.h) says next, at its own rate: how many samples there were. */
uint32_t fake_injected(struct fake_pbx *pbx, pbx_leg leg, int16_t *ret_samples, uint32_t count);
/* This is found at a leg; false: nobody listens for it there (pbx/detect.h). */
bool fake_detects(struct fake_pbx *pbx, pbx_leg leg, const struct pbx_detected *found);
void fake_fill_disk(struct fake_pbx *pbx); /* recordings end for want of room, as far as they have come */
/* Where the leg's fork that says, or hears (PBX_FORK_…), is aimed: "192.0.2.7:4000/4001", "" nowhere; NULL: there is none (pbx/fork.h). */
const char *fake_fork_aim(pbx_leg leg, uint32_t what);
/* The fax at a leg (pbx/fax.h) comes to its end: PBX_OK, or an error and its reason; so many pages have gone over. One that receives has written
 * its path into the file. Fails the test when there is none. */
void fake_finish_fax(struct fake_pbx *pbx, pbx_leg leg, int32_t error, const char *reason, uint32_t pages);

/* The latest short message to this number (pbx/messages.h), as "FROM: TEXT"; "" when there was none. */
const char *fake_message(struct fake_pbx *pbx, const char *who);

/* ---- time, accounts, questions --------------------------------------------------------------------------------------------- */

void fake_pass_ms(struct fake_pbx *pbx, uint64_t ms);
void fake_settle(struct fake_pbx *pbx); /* after a test did something behind the fake's back */

/* A phone of this account is registered: numbers and "aor:…" reach it. Also makes the account. Several times: several phones. */
void fake_registered(struct fake_pbx *pbx, const char *who);
void fake_unregistered(struct fake_pbx *pbx, const char *who);
/* What pbx.directory/1 says of it, to be changed at will. Made when there is none. */
struct pbx_account *fake_account(struct fake_pbx *pbx, const char *who);

/* Who guards the border ("pbx.border/1"), to be asked as signalling would. Fails the test when nobody does. */
const struct pbx_border_guard *fake_border(struct fake_pbx *pbx);
/* How often it had connections asked about again, and of which network the last time. */
uint32_t fake_reviews(struct fake_pbx *pbx, uint8_t ret_address[16], uint32_t *ret_bits);

/* Runs a command of pbxctl as root; the JSON it answers. Words may be quoted: "route explain '1001' 1002". */
const char *fake_command(struct fake_pbx *pbx, const char *line);
/* A REST request of an administrator. path is below /api/v1, with ?query; body NULL: none. The body of the answer, "" for none. */
const char *fake_http(struct fake_pbx *pbx, const char *method, const char *path, const char *body);
/* The same by somebody: scopes as "parking:read parking:write", own_account "" for none. */
const char *fake_http_as(struct fake_pbx *pbx, const char *actor, const char *scopes, const char *own_account, const char *method,
			 const char *path, const char *body);
uint32_t fake_status(struct fake_pbx *pbx); /* of the last answer to either */
const char *fake_content_type(struct fake_pbx *pbx);

/* ---- subscriptions: what a phone would be told, without one ----------------------------------------------------------------- */

/* A SUBSCRIBE of `watcher` (an account, "" a configured peer), body NULL: none; its package's answer, PBX_OK… */
int fake_subscribe(struct fake_pbx *pbx, const char *package, const char *watcher, const char *resource, const char *body);
/* The document for it, version 0 where there is one: a full one with stamp NULL or *stamp 0, else what has changed since; *stamp is moved on. NULL: none. */
const char *fake_document(struct fake_pbx *pbx, const char *package, const char *watcher, const char *resource, uint64_t *stamp);
int fake_publish(struct fake_pbx *pbx, const char *package, const char *account, uint32_t what, const char *body); /* what: PBX_PUBLISH… */
uint32_t fake_changes(struct fake_pbx *pbx, const char *package, const char *resource); /* how often it was said to be another one */
const char *fake_list(struct fake_pbx *pbx, const char *name);                          /* "1001 Ada,1002 Bob"; NULL: there is none */
const char *fake_told(struct fake_pbx *pbx, const char *account); /* last, without a subscription: "event: body"; NULL: never */

/* Events so far whose type fits "call.*", oldest first, as JSON: [{seq, type, owner, call_id, linked_id, data}]. */
const char *fake_events(struct fake_pbx *pbx, const char *pattern);
uint32_t fake_event_count(struct fake_pbx *pbx, const char *pattern);
const char *fake_event(struct fake_pbx *pbx, const char *pattern); /* the data of the newest, as JSON; fails the test when there is none */
/* A value in JSON text by path, "0.data.slot": text as it is, others printed; NULL when it is not there. */
const char *fake_json(struct fake_pbx *pbx, const char *json, const char *path);

uint32_t fake_log_count(struct fake_pbx *pbx, const char *part); /* lines of the log that contain part */
const char *fake_dir(struct fake_pbx *pbx);                      /* a folder for this test's files, gone at its end */
struct pbx_host *fake_host(struct fake_pbx *pbx);                /* a host of the test's own, to call services with */
int fake_reload_plugin(struct fake_pbx *pbx, const char *name);  /* as `pbxctl plugin reload`: a fresh copy beside the old one */
int fake_unload_plugin(struct fake_pbx *pbx, const char *name);
