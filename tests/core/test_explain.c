/* tests/core/test_explain.c - one scenario a rule: events and messages as they were recorded, and the sentence that is made of them
 *
 * An event is a line "type {data}", with ' for ". A message is a line "< 192.0.2.8:5060 CALL-ID 1 INVITE | first line | header | header | v=…": who
 * it came from or, with >, went to. */
#include "../check_main.h"
#include "explain_registration.h"
#include "json_auto.h"
#include <string.h>

#define STARTED                                                                                                                            \
	"call.started {'from':{'number':'1001','extension':'1001'},'to':{'number':'1002'},'dialled':'1002','direction':'internal',"        \
	"'address':'198.51.100.7:5060','device':'Snom'}\n"                                                                                 \
	"leg.started {'leg_id':'C-1','direction':'inbound','number':'1001'}\n"
#define CALLED "leg.started {'leg_id':'C-2','direction':'outbound','number':'1002','endpoint':'sip:1002@198.51.100.8:5060'}\n"
#define DIALLED_OUT                                                                                                                        \
	"leg.started {'leg_id':'C-2','direction':'outbound','number':'12125551212','trunk_id':'carrier','endpoint':'12125551212'}\n"
#define RANG "leg.ringing {'leg_id':'C-2'}\n"
#define ANSWERED "leg.answered {'leg_id':'C-2'}\nleg.answered {'leg_id':'C-1'}\ncall.answered {'leg_id':'C-2'}\n"
#define GONE(leg, code, by, reason)                                                                                                        \
	"leg.ended {'leg_id':'" leg "','sip_code':" code ",'hangup_by':'" by "','reason':'" reason "','answered':false,'packets_in':0}\n"
#define SPOKE(leg, reason, in, lost, told, came)                                                                                           \
	"leg.ended {'leg_id':'" leg "','sip_code':200,'hangup_by':'us','reason':'" reason                                                  \
	"','answered':true,'talk_ms':8000,'codec':'PCMU',"                                                                                 \
	"'packets_in':" in ",'packets_out':400,'lost':" lost                                                                               \
	",'jitter_ms':1.5,'foreign':0,'media_local':'203.0.113.1:10000','media_told':'" told "',"                                          \
	"'media_from':'" came "'}\n"
#define HEARD(leg, reason) SPOKE(leg, reason, "400", "0", "198.51.100.7:4000", "198.51.100.7:4000")
#define ENDED(disposition, code, cause, by)                                                                                                \
	"call.ended {'disposition':'" disposition "','sip_code':" code ",'cause':'" cause "','hangup_by':'" by "','direction':'internal'," \
	"'duration_ms':12000,'billsec_ms':8000,'ring_ms':5000}\n"
#define FAILED(code, cause) ENDED("failed", code, cause, "system")
#define REFUSED(number, by, code, reason)                                                                                                  \
	"call.refused {'number':'" number "','refused_by':'" by "','sip_code':" code ",'reason':'" reason "'}\n"

#define TO_CALLEE "> 198.51.100.8:5060 out 1 INVITE | INVITE sip:1002@198.51.100.8:5060 SIP/2.0 | v=PCMU PCMA\n"
#define TO_CALLEE_SECURE "> 198.51.100.8:5060 out 1 INVITE | INVITE sip:1002@198.51.100.8:5060 SIP/2.0 | v=SAVP PCMU\n"
#define CALLEE_SAYS(answer) TO_CALLEE "< 198.51.100.8:5060 out 1 INVITE | SIP/2.0 " answer " | Server: Yealink T46\n"
#define TO_TRUNK(headers) "> 203.0.113.9:5060 out 1 INVITE | INVITE sip:12125551212@far.example SIP/2.0" headers " | v=PCMU\n"
#define TRUNK_SAYS(answer, headers) TO_TRUNK(headers) "< 203.0.113.9:5060 out 1 INVITE | SIP/2.0 " answer "\n"
#define TRUNK_FAILS(code, cause) STARTED DIALLED_OUT GONE("C-2", code, "peer", "") FAILED(code, cause)
#define PHONE_FAILS(code, cause) STARTED CALLED GONE("C-2", code, "peer", "") FAILED(code, cause)
#define TALKED ENDED("answered", "200", "normal_clearing", "caller")
#define FROM_CALLER "< 198.51.100.7:5060 in 1 INVITE | INVITE sip:1002@pbx.test SIP/2.0 | User-Agent: Snom | v=OPUS\n"

static const struct scenario {
	const char *rule, *sentence, *events, *messages;
} scenarios[] = {
	{ "system_restart", "stopped without warning", STARTED CALLED ANSWERED ENDED("answered", "200", "system_restart", "system"), "" },
	{ "shutdown", "was shut down during the call of 1001 with 1002",
	  STARTED CALLED ANSWERED ENDED("answered", "200", "shutdown", "system"), "" },
	{ "max_duration", "hung up after 8.0 s", STARTED CALLED ANSWERED ENDED("answered", "200", "max_duration", "system"), "" },
	{ "session_expired", "1002's phone (sip:1002@198.51.100.8:5060) did not refresh the session",
	  STARTED CALLED ANSWERED HEARD("C-2", "session_timeout") HEARD("C-1", "peer")
		  ENDED("answered", "200", "session_timeout", "system"),
	  "" },
	{ "media_never_came",
	  "No packet of 1002's phone (Yealink T46 at 198.51.100.8:5060) ever came to 203.0.113.1:10000; its SDP names 198.51.100.8:4000",
	  STARTED CALLED ANSWERED SPOKE("C-2", "media_timeout", "0", "0", "198.51.100.8:4000", "")
		  ENDED("answered", "200", "media_timeout", "system"),
	  CALLEE_SAYS("200 OK") },
	{ "media_stopped", "400 packets had come from 198.51.100.7:4000",
	  STARTED CALLED ANSWERED HEARD("C-2", "media_timeout") ENDED("answered", "200", "media_timeout", "system"), "" },
	{ "ice_failed", "No way for the audio of 1002's phone (sip:1002@198.51.100.8:5060) was found (ICE)",
	  STARTED CALLED ANSWERED HEARD("C-2", "ice_failed") ENDED("answered", "200", "ice_failed", "system"), "" },
	{ "consent_lost", "stopped answering where its audio was",
	  STARTED CALLED ANSWERED HEARD("C-2", "consent_lost") ENDED("answered", "200", "consent_lost", "system"), "" },
	{ "dtls_failed", "No keys for the audio were agreed on",
	  STARTED CALLED ANSWERED HEARD("C-2", "dtls_failed") ENDED("answered", "200", "dtls_failed", "system"), "" },
	{ "dtls_wrong_certificate", "Somebody with another certificate",
	  STARTED CALLED ANSWERED HEARD("C-2", "dtls_wrong_certificate") ENDED("answered", "200", "dtls_wrong_certificate", "system"), "" },
	{ "dialog_gone", "knew nothing of the call any more", STARTED CALLED ANSWERED HEARD("C-2", "dialog is gone") TALKED, "" },
	{ "no_ack", "1001's phone (Snom at 198.51.100.7:5060) never confirmed the answer",
	  STARTED CALLED ANSWERED HEARD("C-1", "no ACK") TALKED, "" },
	{ "no_prack", "PRACK", STARTED GONE("C-1", "503", "peer", "no PRACK") FAILED("503", "congestion"), "" },
	{ "forward_loop", "forwarded 2 times, more than is allowed: 1002 to 1003 (unconditional), 1003 to 1002 (busy)",
	  STARTED "call.forwarded {'from':'1002','to':'1003','reason':'unconditional'}\ncall.forwarded "
		  "{'from':'1003','to':'1002','reason':'busy'}\n" FAILED("482", "forwarded_too_often"),
	  "" },
	{ "transfer_failed", "1002's blind transfer to 1999 failed: core refused 1999 with 404 (nobody has this number)",
	  STARTED CALLED ANSWERED REFUSED(
		  "1999", "core", "404",
		  "nobody has this number") "call.transfer "
					    "{'transferor':'1002','target':'1999','transfer_type':'blind','result':'failed'}\n" HEARD(
						    "C-1", "") HEARD("C-2", "") TALKED,
	  "" },
	{ "transfer_failed", "1001's blind transfer to 1003 failed: nobody was reached there",
	  STARTED CALLED ANSWERED
	  "leg.started {'leg_id':'C-3','direction':'outbound','number':'1002','endpoint':'sip:1002@198.51.100.9'}\n" GONE(
		  "C-3", "487", "us",
		  "answered elsewhere") "call.transfer "
					"{'transferor':'1001','target':'1003','transfer_type':'blind','result':'failed'}\n" HEARD("C-1", "")
						HEARD("C-2", "") TALKED,
	  "" },
	{ "transfer_refused", "refused the transfer that 1001 at 198.51.100.7:5060 asked for with 403 Forbidden",
	  STARTED CALLED ANSWERED HEARD("C-1", "") HEARD("C-2", "") TALKED, "> 198.51.100.7:5060 in 2 REFER | SIP/2.0 403 Forbidden\n" },
	{ "talking", "1001 talks with 1002", STARTED CALLED ANSWERED, "" },
	{ "ringing", "1001 calls 1002: 1002's phone (sip:1002@198.51.100.8:5060) rings", STARTED CALLED RANG, "" },
	{ "connecting", "nothing rings yet", STARTED, "" },
	{ "hung_up_by_us", "the PBX hung up, as an operator", STARTED CALLED ANSWERED ENDED("answered", "200", "normal_clearing", "system"),
	  "" },
	{ "talked", "1001 talked with 1002 for 8.0 s; the caller hung up", STARTED CALLED ANSWERED HEARD("C-1", "") HEARD("C-2", "") TALKED,
	  "" },
	{ "cancelled_while_ringing", "1001 hung up after 5.0 s of ringing",
	  STARTED CALLED RANG GONE("C-2", "487", "us", "") ENDED("cancelled", "487", "cancelled", "caller"), "" },
	{ "cancelled_in_silence", "while trunk carrier had not even said that it rings",
	  STARTED DIALLED_OUT GONE("C-2", "487", "us", "") ENDED("cancelled", "487", "cancelled", "caller"), "" },
	{ "cancelled_early", "before any phone rang", STARTED ENDED("cancelled", "487", "cancelled", "caller"), "" },
	{ "ended_by_us", "ended the call of 1001 to 1002 after 12.0 s, before it was answered",
	  STARTED CALLED RANG ENDED("cancelled", "487", "cancelled", "system"), "" },
	{ "unknown_number", "Nobody has the number 1999, which 1001's phone (Snom at 198.51.100.7:5060) dialled",
	  STARTED REFUSED("1999", "core", "404", "nobody has this number") GONE("C-1", "404", "us", "") FAILED("404", "not_found"), "" },
	{ "too_many_calls", "1002 has as many calls as it may have",
	  STARTED REFUSED("1002", "calls", "486", "has as many calls as it may have") ENDED("busy", "486", "busy", "system"), "" },
	{ "not_permitted", "may not call 0044123: extensions refused it (may call internal numbers)",
	  STARTED REFUSED("0044123", "extensions", "403", "may call internal numbers") FAILED("403", "not_permitted"), "" },
	{ "route_refused", "to 1006 was refused by extensions with 480: does not want to be disturbed",
	  STARTED REFUSED("1006", "extensions", "480", "does not want to be disturbed") ENDED("no_answer", "480", "no_answer", "system"),
	  "" },
	{ "nobody_registered", "No phone of 1002 was registered", STARTED ENDED("no_answer", "480", "offline", "system"), "" },
	{ "dns_failed", "The host of trunk carrier was not found in DNS (no such host), so 12125551212 was never called",
	  STARTED DIALLED_OUT GONE("C-2", "503", "peer", "DNS: no such host") FAILED("503", "congestion"), "" },
	{ "tls_refused", "Trunk carrier showed a certificate that we do not believe (self-signed certificate)",
	  STARTED DIALLED_OUT GONE("C-2", "503", "peer", "TLS: self-signed certificate") FAILED("503", "congestion"), "" },
	{ "no_channel", "Trunk carrier takes no call",
	  STARTED DIALLED_OUT GONE("C-2", "503", "us", "cannot call") FAILED("503", "congestion"), "" },
	{ "trunk_codec", "Trunk carrier is set to codecs",
	  STARTED DIALLED_OUT GONE("C-2", "488", "us", "cannot call") FAILED("488", "no_common_codec"), "" },
	{ "no_response", "Trunk carrier (203.0.113.9:5060) answered none of the 2 INVITEs sent to 203.0.113.9:5060",
	  STARTED DIALLED_OUT GONE("C-2", "408", "peer", "no response") FAILED("408", "no_response"), TO_TRUNK("") TO_TRUNK("") },
	{ "unreachable", "Trunk carrier cannot be reached",
	  STARTED DIALLED_OUT GONE("C-2", "503", "peer", "cannot be reached") FAILED("503", "congestion"), "" },
	{ "no_common_codec", "answered with G729, but was offered PCMU PCMA",
	  STARTED CALLED GONE("C-2", "488", "us", "no common codec") FAILED("488", "no_common_codec"),
	  TO_CALLEE "< 198.51.100.8:5060 out 1 INVITE | SIP/2.0 200 OK | v=G729\n" },
	{ "no_codec_for_caller",
	  "1001's phone (Snom at 198.51.100.7:5060) offers OPUS only, and 1002's phone (198.51.100.8:5060) speaks PCMU: the PBX "
	  "has",
	  STARTED CALLED GONE("C-1", "488", "us", "cannot connect") FAILED("488", "no_common_codec"),
	  FROM_CALLER TO_CALLEE "< 198.51.100.8:5060 out 1 INVITE | SIP/2.0 200 OK | v=PCMU\n" },
	{ "no_codec_for_caller", "offers OPUS only, and who was called did not say what it speaks",
	  STARTED GONE("C-1", "488", "us", "cannot connect") FAILED("488", "no_common_codec"), FROM_CALLER },
	{ "no_common_encryption", "was offered encrypted audio (SRTP) and answered with plain audio (RTP)",
	  STARTED CALLED GONE("C-2", "488", "us", "no common encryption") FAILED("488", "no_common_codec"),
	  TO_CALLEE_SECURE "< 198.51.100.8:5060 out 1 INVITE | SIP/2.0 200 OK | v=PCMU\n" },
	{ "srtp_refused",
	  "1002's phone (Yealink T46 at 198.51.100.8:5060) was offered encrypted audio only (SRTP: PCMU) and answered 488 Not Acceptable "
	  "Here",
	  PHONE_FAILS("488", "no_common_codec"),
	  TO_CALLEE_SECURE "< 198.51.100.8:5060 out 1 INVITE | SIP/2.0 488 Not Acceptable Here | Server: Yealink T46\n" },
	{ "credentials_refused", "does not accept our password for user acct: it answered 407 Proxy Authentication Required",
	  TRUNK_FAILS("407", "auth_failed"),
	  TRUNK_SAYS("407 Proxy Authentication Required", " | Proxy-Authorization: Digest username=\"acct\", response=\"x\"") },
	{ "credentials_missing", "wants a user and a password", TRUNK_FAILS("401", "auth_failed"), TRUNK_SAYS("401 Unauthorized", "") },
	{ "codecs_refused",
	  "1002's phone (Yealink T46 at 198.51.100.8:5060) took none of the codecs it was offered (PCMU PCMA): it answered 488",
	  PHONE_FAILS("488", "no_common_codec"), CALLEE_SAYS("488 Not Acceptable Here") },
	{ "busy", "1002's phone (Yealink T46 at 198.51.100.8:5060) was busy: it answered 486 Busy Here", PHONE_FAILS("486", "busy"),
	  CALLEE_SAYS("486 Busy Here") },
	{ "trunk_forbids", "trunk carrier (203.0.113.9:5060) answered 403 Forbidden; we had shown 1001", TRUNK_FAILS("403", "declined"),
	  TRUNK_SAYS("403 Forbidden", "") },
	{ "trunk_knows_no_number", "does not know the number 12125551212", TRUNK_FAILS("404", "not_found"),
	  TRUNK_SAYS("404 Not Found", "") },
	{ "trunk_overloaded", "answered 503 Service Unavailable", TRUNK_FAILS("503", "congestion"),
	  TRUNK_SAYS("503 Service Unavailable", "") },
	{ "runs_in_circle", "answered 482 Loop Detected", PHONE_FAILS("482", "forwarded_too_often"), CALLEE_SAYS("482 Loop Detected") },
	{ "declined", "declined the call: it answered 603 Decline", PHONE_FAILS("603", "declined"), CALLEE_SAYS("603 Decline") },
	{ "device_forgot", "does not know the address", PHONE_FAILS("404", "not_found"), CALLEE_SAYS("404 Not Found") },
	{ "no_answer", "rang for 5.0 s, and nobody answered",
	  STARTED CALLED RANG GONE("C-2", "480", "us", "") ENDED("no_answer", "480", "no_answer", "system"), CALLEE_SAYS("180 Ringing") },
	{ "unavailable", "was not available: it answered 480 Temporarily Unavailable", PHONE_FAILS("480", "no_answer"),
	  CALLEE_SAYS("480 Temporarily Unavailable") },
	{ "refused_by_them", "refused the call: it answered 420 Bad Extension", PHONE_FAILS("420", "failure"),
	  CALLEE_SAYS("420 Bad Extension") },
	{ "failed", "ended with 500 (failure)", STARTED FAILED("500", "failure"), "" },
	/* messages that never became a call */
	{ "wrong_password", "Snom at 198.51.100.7:5060 called 1002 as 1001 with a wrong password for user 1001", "",
	  FROM_CALLER
	  "< 198.51.100.7:5060 in 2 INVITE | INVITE sip:1002@pbx.test SIP/2.0 | Authorization: Digest username=\"1001\", response=\"x\"\n"
	  "> 198.51.100.7:5060 in 2 INVITE | SIP/2.0 401 Unauthorized | WWW-Authenticate: Digest realm=\"pbx\"\n" },
	{ "no_password", "never gave a password", "",
	  FROM_CALLER "> 198.51.100.7:5060 in 1 INVITE | SIP/2.0 401 Unauthorized | WWW-Authenticate: Digest realm=\"pbx\"\n" },
	{ "caller_encryption", "Snom at 198.51.100.7:5060 offered plain audio, where it must be encrypted (SRTP), when it called 1002", "",
	  FROM_CALLER "> 198.51.100.7:5060 in 1 INVITE | SIP/2.0 488 Not Acceptable Here | Warning: 399 pbx \"SRTP is required here\"\n" },
	{ "caller_encryption", "offered only encrypted audio (SRTP), which it may not have or gave no key for", "",
	  "< 198.51.100.7:5060 in 1 INVITE | INVITE sip:1002@pbx.test SIP/2.0 | User-Agent: Snom | v=SAVP PCMU\n"
	  "> 198.51.100.7:5060 in 1 INVITE | SIP/2.0 488 Not Acceptable Here | Warning: 399 pbx \"SRTP with these keys is not spoken "
	  "here\"\n" },
	{ "caller_codec", "does not speak (OPUS)", "", FROM_CALLER "> 198.51.100.7:5060 in 1 INVITE | SIP/2.0 488 Not Acceptable Here\n" },
	{ "locked_out", "may not call as 1001", "", FROM_CALLER "> 198.51.100.7:5060 in 1 INVITE | SIP/2.0 403 Forbidden\n" },
	{ "refused_at_the_door", "with 421 Extension Required", "",
	  FROM_CALLER "> 198.51.100.7:5060 in 1 INVITE | SIP/2.0 421 Extension Required\n" },
	{ "no_call", "not about a call that failed", "", "< 198.51.100.7:5060 in 1 OPTIONS | OPTIONS sip:pbx.test SIP/2.0\n" },
	/* audio */
	{ "nobody_heard", "Neither side was heard",
	  STARTED CALLED ANSWERED SPOKE("C-1", "", "0", "0", "198.51.100.7:4000", "") SPOKE("C-2", "", "0", "0", "198.51.100.8:4000", "")
		  TALKED,
	  "" },
	{ "says_it_is_mute", "its last SDP has a=recvonly",
	  STARTED CALLED ANSWERED HEARD("C-1", "") SPOKE("C-2", "", "0", "0", "198.51.100.8:4000", "") TALKED,
	  TO_CALLEE "< 198.51.100.8:5060 out 1 INVITE | SIP/2.0 200 OK | v=PCMU recvonly\n" },
	{ "dropped_as_foreign", "70 packets came from another address than 198.51.100.8:4000",
	  STARTED CALLED ANSWERED HEARD("C-1", "") "leg.ended "
						   "{'leg_id':'C-2','sip_code':200,'answered':true,'talk_ms':8000,'packets_in':0,'foreign':"
						   "70,'media_told':'198.51.100.8:4000'}\n" TALKED,
	  "" },
	{ "told_private", "its SDP names 10.0.0.8:4000, an address of its own network",
	  STARTED CALLED ANSWERED HEARD("C-1", "") SPOKE("C-2", "", "0", "0", "10.0.0.8:4000", "") TALKED, CALLEE_SAYS("200 OK") },
	{ "no_packet", "in 8.0 s no packet came from 198.51.100.8:4000, the address in its SDP, to 203.0.113.1:10000",
	  STARTED CALLED ANSWERED HEARD("C-1", "") SPOKE("C-2", "", "0", "0", "198.51.100.8:4000", "") TALKED, CALLEE_SAYS("200 OK") },
	{ "packets_lost", "100 of its 400 packets from 198.51.100.8:4000 were lost on the way (25.0 %)",
	  STARTED CALLED ANSWERED HEARD("C-1", "") SPOKE("C-2", "", "300", "100", "198.51.100.8:4000", "198.51.100.8:4000") TALKED, "" },
	{ "jitter", "80 ms of jitter",
	  STARTED CALLED ANSWERED HEARD(
		  "C-1",
		  "") "leg.ended {'leg_id':'C-2','sip_code':200,'answered':true,'talk_ms':8000,'packets_in':400,'jitter_ms':80.2}\n" TALKED,
	  "" },
	{ "heard_nothing", "we sent 400 packets to 198.51.100.8:4000",
	  STARTED CALLED ANSWERED "leg.audio_missing {'leg_id':'C-2','way':'to_party','for_ms':0}\n" HEARD("C-1", "")
		  SPOKE("C-2", "", "400", "0", "198.51.100.8:4000", "198.51.100.8:4000") TALKED,
	  "" },
	{ "fell_silent", "for 12.5 s no packet came from 198.51.100.8:4000",
	  STARTED CALLED ANSWERED "leg.audio_missing {'leg_id':'C-2','way':'from_party','for_ms':4000}\nleg.audio_back "
				  "{'leg_id':'C-2','way':'from_party','for_ms':12500}\n" HEARD("C-1", "")
					  SPOKE("C-2", "", "400", "0", "198.51.100.8:4000", "198.51.100.8:4000") TALKED,
	  "" },
	{ "heard_badly", "40 of the packets we sent to 198.51.100.8:4000 were lost on the way, as its own reports (RTCP) say (10.0 %)",
	  STARTED CALLED ANSWERED HEARD(
		  "C-1",
		  "") "leg.ended "
		      "{'leg_id':'C-2','sip_code':200,'answered':true,'talk_ms':8000,'packets_in':400,'packets_out':400,'heard_lost':40,"
		      "'heard_loss_percent':10,'media_told':'198.51.100.8:4000'}\n" TALKED,
	  "" },
	{ "came_from_elsewhere", "came from 198.51.100.99:4000 and not from 10.0.0.8:4000",
	  STARTED CALLED ANSWERED HEARD("C-1", "") SPOKE("C-2", "", "400", "0", "10.0.0.8:4000", "198.51.100.99:4000") TALKED, "" },
};
#define SCENARIOS (sizeof scenarios / sizeof scenarios[0])

/* ---- recorded events and messages ---- */

static void add_event(struct core_case *about, const char *line, size_t length)
{
	size_t type_length = strcspn(line, " ");
	char type[32], text[600];

	ck_assert_uint_lt(length - type_length, sizeof text);
	(void)snprintf(type, sizeof type, "%.*s", (int)type_length, line);
	(void)snprintf(text, sizeof text, "%.*s", (int)(length - type_length - 1), line + type_length + 1);
	for (char *quote = text; (quote = strchr(quote, '\''));)
		*quote = '"';
	AUTO(json) struct pbx_json *data = core_json_parse(text, strlen(text), NULL);
	ck_assert_msg(data != NULL, "%s", text);
	core_case_add_event(about, type, 1700000000000000, data);
}

static void add_events(struct core_case *about, const char *lines)
{
	for (size_t length; *lines; lines += length + 1) {
		length = strcspn(lines, "\n");
		add_event(about, lines, length);
	}
}

/* "v=PCMU PCMA recvonly", "v=SAVP PCMU" */
static void write_sdp(FILE *out, const char *words)
{
	char codecs[100];
	unsigned type = 96;

	(void)snprintf(codecs, sizeof codecs, "%s", words);
	(void)fprintf(out, "\r\nv=0\r\nc=IN IP4 198.51.100.7\r\nm=audio 4000 RTP/%s 96 97\r\n",
		      strncmp(words, "SAVP ", 5) == 0 ? "SAVP" : "AVP");
	for (char *rest = codecs, *word; (word = strsep(&rest, " "));)
		if (strcmp(word, "SAVP") == 0)
			continue;
		else if (strcmp(word, "recvonly") == 0)
			(void)fprintf(out, "a=recvonly\r\n");
		else
			(void)fprintf(out, "a=rtpmap:%u %s/8000\r\n", type++, word);
}

static void add_message(struct core_ladder *ladder, const char *line, size_t length)
{
	static int64_t wall_us = 1700000000000000;
	char copy[600], sip[2000], way, address[64], call_id[32], cseq[32];
	struct core_trace_message message = { .wall_us = wall_us += 10000, .transport = "udp", .text = sip };
	FILE *out = fmemopen(sip, sizeof sip, "w");
	bool has_body = false;

	(void)snprintf(copy, sizeof copy, "%.*s", (int)length, line);
	ck_assert_int_eq(sscanf(copy, "%c %63s %31s %31[^|]", &way, address, call_id, cseq), 4);
	message.sent = way == '>';
	ck_assert(core_trace_address_read(address, &message.remote));
	char *rest = strchr(copy, '|') + 2, *end = strstr(rest, " | ");
	(void)fprintf(out, "%.*s\r\nFrom: <sip:1001@pbx.test>;tag=f\r\nTo: <sip:1002@pbx.test>\r\nCall-ID: %s\r\nCSeq: %s\r\n",
		      (int)(end ? (size_t)(end - rest) : strlen(rest)), rest, call_id, cseq);
	while (end) {
		rest = end + 3;
		end = strstr(rest, " | ");
		if (end)
			*end = '\0';
		if (strncmp(rest, "v=", 2) == 0)
			write_sdp(out, rest + 2), has_body = true;
		else
			(void)fprintf(out, "%s\r\n", rest);
	}
	if (!has_body)
		(void)fprintf(out, "\r\n");
	message.size = (uint32_t)ftell(out);
	(void)fclose(out);
	core_ladder_add(ladder, &message);
}

static struct core_ladder *ladder_of(const char *lines)
{
	struct core_ladder *ladder = calloc(1, sizeof *ladder);

	ck_assert_ptr_nonnull(ladder);
	for (size_t length; *lines; lines += length + 1) {
		length = strcspn(lines, "\n");
		add_message(ladder, lines, length);
	}
	return ladder;
}

/* ---- what is found ---- */

static const struct core_finding *finding_of(const struct core_findings *findings, const char *rule)
{
	for (uint32_t i = 0; i < findings->count; i++)
		if (strcmp(findings->items[i].rule, rule) == 0)
			return &findings->items[i];
	return NULL;
}

static void check_scenario(const struct scenario *scenario)
{
	AUTO(core_case) struct core_case *about = core_case_new("01HCALL");
	AUTO(core_ladder) struct core_ladder *ladder = ladder_of(scenario->messages);

	add_events(about, scenario->events);
	core_case_set_ladder(about, ladder);
	AUTO(core_findings) struct core_findings *findings = core_explain(about);
	const struct core_finding *finding = finding_of(findings, scenario->rule);

	ck_assert_msg(finding != NULL, "%s: instead %s: %s", scenario->rule, findings->items[0].rule, findings->items[0].sentence);
	ck_assert_msg(strstr(finding->sentence, scenario->sentence) != NULL, "%s: %s", scenario->rule, finding->sentence);
	ck_assert_msg(strchr(finding->sentence, '{') == NULL, "%s: %s", scenario->rule, finding->sentence);
	ck_assert_msg(finding == &findings->items[0] || strcmp(finding->verdict, CORE_GOOD) == 0, "%s comes after %s", scenario->rule,
		      findings->items[0].rule);
	if (finding == &findings->items[0] && strcmp(finding->verdict, CORE_GOOD) != 0 && strcmp(finding->verdict, CORE_OPEN) != 0)
		ck_assert_msg(core_json_count(finding->evidence) > 0, "%s has no evidence", scenario->rule);
}

START_TEST(each_rule_says_its_sentence)
{
	for (size_t i = 0; i < SCENARIOS; i++)
		check_scenario(&scenarios[i]);
}
END_TEST

static bool is_covered(const char *rule)
{
	for (size_t i = 0; i < SCENARIOS; i++)
		if (strcmp(scenarios[i].rule, rule) == 0)
			return true;
	return false;
}

START_TEST(no_rule_is_without_a_scenario)
{
	const struct core_rule *rule;

	for (rule = core_call_rules; strcmp(rule->name, "failed") != 0; rule++)
		ck_assert_msg(is_covered(rule->name), "%s", rule->name);
	for (rule = core_stray_rules; strcmp(rule->name, "no_call") != 0; rule++)
		ck_assert_msg(is_covered(rule->name), "%s", rule->name);
	for (rule = core_sound_rules; rule->name; rule++)
		ck_assert_msg(is_covered(rule->name), "%s", rule->name);
}
END_TEST

START_TEST(the_gravest_comes_first_and_the_others_are_told)
{
	AUTO(core_case) struct core_case *about = core_case_new("01HCALL");

	add_events(about, STARTED CALLED ANSWERED SPOKE("C-1", "", "400", "0", "10.0.0.1:4000", "198.51.100.7:4000")
				  SPOKE("C-2", "", "0", "0", "198.51.100.8:4000", "") TALKED);
	core_case_set_ladder(about, NULL);
	AUTO(core_findings) struct core_findings *findings = core_explain(about);
	AUTO(json) struct pbx_json *json = core_json_object();
	ck_assert_int_eq(core_findings_tell(findings, json), PBX_OK);
	ck_assert_str_eq(core_json_text(core_json_get(json, "rule")), "no_packet");
	ck_assert_str_eq(core_json_text(core_json_get(json, "verdict")), "one_way");
	ck_assert_uint_eq(core_json_count(core_json_get(json, "also")), 2);
	ck_assert_uint_eq(core_json_count(core_json_get(json, "evidence")), 2);
}
END_TEST

/* ---- registrations ---- */

#define ASKS                                                                                                                               \
	"< 198.51.100.7:5060 r 1 REGISTER | REGISTER sip:pbx.test SIP/2.0 | To: <sip:1001@pbx.test> | User-Agent: Snom | Expires: 600\n"
#define ASKS_AS(user)                                                                                                                      \
	"< 198.51.100.7:5060 r 2 REGISTER | REGISTER sip:pbx.test SIP/2.0 | To: <sip:1001@pbx.test> | User-Agent: Snom | Expires: 600 | "  \
	"Authorization: Digest username=\"" user "\", response=\"x\"\n"
#define SIGNS_OFF                                                                                                                          \
	"< 198.51.100.7:5060 r 2 REGISTER | REGISTER sip:pbx.test SIP/2.0 | To: <sip:1001@pbx.test> | User-Agent: Snom | Expires: 0 | "    \
	"Authorization: Digest username=\"1001\", response=\"x\"\n"
#define ANSWER(cseq, answer, headers) "> 198.51.100.7:5060 r " cseq " REGISTER | SIP/2.0 " answer " | To: <sip:1001@pbx.test>" headers "\n"
#define CHALLENGE(cseq) ANSWER(cseq, "401 Unauthorized", " | WWW-Authenticate: Digest realm=\"pbx\"")

static const struct registering {
	const char *rule, *sentence, *messages;
	bool exists;
	uint32_t contacts;
	int64_t later_s;
} registering[] = {
	{ "no_account", "There is no extension 1001, and nobody", "", false, 0, 0 },
	{ "unknown_account", "Snom at 198.51.100.7:5060 tries to register as it", ASKS CHALLENGE("1"), false, 0, 0 },
	{ "others_account", "the right password of user 1002, who may not register 1001",
	  ASKS CHALLENGE("1") ASKS_AS("1002") ANSWER("2", "403 Forbidden", ""), true, 0, 0 },
	{ "locked_out", "is locked out (403 Forbidden)", ASKS ANSWER("1", "403 Forbidden", ""), true, 0, 0 },
	{ "other_user", "gives a password for user anna and not for 1001", ASKS CHALLENGE("1") ASKS_AS("anna") CHALLENGE("2"), true, 0, 0 },
	{ "wrong_password", "wrong password for user 1001: 1 times", ASKS CHALLENGE("1") ASKS_AS("1001") CHALLENGE("2"), true, 1, 0 },
	{ "no_password", "sends no password though it is asked for one (2 times)", ASKS CHALLENGE("1") ASKS CHALLENGE("1"), true, 0, 0 },
	{ "too_brief", "sip.min_expires_s", ASKS_AS("1001") ANSWER("2", "423 Interval Too Brief", ""), true, 0, 0 },
	{ "refused", "was refused with 500 Server Error", ASKS_AS("1001") ANSWER("2", "500 Server Error", ""), true, 0, 0 },
	{ "unanswered", "was not answered", ASKS, true, 0, 10 },
	{ "registered", "1001 is registered: Snom at 198.51.100.7:5060",
	  ASKS_AS("1001") ANSWER("2", "200 OK", " | Contact: <sip:1001@198.51.100.7>;expires=600"), true, 1, 0 },
	{ "unregistered", "has signed off by itself", SIGNS_OFF ANSWER("2", "200 OK", ""), true, 0, 0 },
	{ "expired", "for 600 s and has not come back",
	  ASKS_AS("1001") ANSWER("2", "200 OK", " | Contact: <sip:1001@198.51.100.7>;expires=600"), true, 0, 700 },
	{ "taken_away", "was taken away", ASKS_AS("1001") ANSWER("2", "200 OK", " | Contact: <sip:1001@198.51.100.7>;expires=600"), true, 0,
	  100 },
	{ "nothing_came", "No REGISTER for 1001 has come since", "", true, 0, 0 },
	{ "under_way", "is registering right now", ASKS, true, 0, 0 },
};
#define REGISTERING (sizeof registering / sizeof registering[0])

static void check_registering(const struct registering *scenario)
{
	AUTO(core_ladder) struct core_ladder *ladder = ladder_of(scenario->messages);
	struct core_registering about = { .aor = "1001",
					  .exists = scenario->exists,
					  .contacts = scenario->contacts,
					  .contact = "Snom at 198.51.100.7:5060 by udp until 12:00",
					  .since_us = 1700000000000000 };
	int64_t now_us = 1700000000000000;

	for (uint32_t i = 0; i < ladder->count; i++) {
		now_us = ladder->items[i].message.wall_us;
		core_registering_add(&about, &ladder->items[i].message, &ladder->items[i].text);
	}
	AUTO(json) struct pbx_json *json = core_explain_registration(&about, now_us + scenario->later_s * 1000000);
	const char *rule = core_json_text(core_json_get(json, "rule")), *sentence = core_json_text(core_json_get(json, "sentence"));
	ck_assert_str_eq(rule, scenario->rule);
	ck_assert_msg(strstr(sentence, scenario->sentence) && !strchr(sentence, '{'), "%s: %s", rule, sentence);
	ck_assert_uint_gt(core_json_count(core_json_get(json, "evidence")), 0);
}

START_TEST(each_way_not_to_register_has_its_sentence)
{
	for (size_t i = 0; i < REGISTERING; i++)
		check_registering(&registering[i]);
}
END_TEST

START_TEST(no_way_not_to_register_is_without_a_scenario)
{
	const struct core_registration_rule *rule = core_registration_rules;

	for (size_t i = 0, covered; i + 1 < REGISTERING; i++, rule++) {
		for (covered = 0; covered < REGISTERING && strcmp(registering[covered].rule, rule->name) != 0;)
			covered++;
		ck_assert_msg(covered < REGISTERING, "%s", rule->name);
	}
	ck_assert_str_eq(rule->name, "under_way");
}
END_TEST

/* ---- sentences ---- */

START_TEST(a_name_that_stands_for_nothing_is_noticed)
{
	struct core_words words = { 0 };
	char text[40];

	core_word(&words, "who", "%s", "Ada");
	ck_assert(core_words_say(&words, "{who} rang {who}", text, sizeof text));
	ck_assert_str_eq(text, "Ada rang Ada");
	ck_assert(!core_words_say(&words, "{who} rang {nobody}", text, sizeof text));
	ck_assert_str_eq(text, "Ada rang {nobody}");
	ck_assert(core_words_say(&words, "{who}, a long sentence that is cut where its room ends", text, sizeof text));
	ck_assert_uint_lt(strlen(text), sizeof text);
}
END_TEST

CHECK_MAIN("explain", each_rule_says_its_sentence, no_rule_is_without_a_scenario, the_gravest_comes_first_and_the_others_are_told,
	   each_way_not_to_register_has_its_sentence, no_way_not_to_register_is_without_a_scenario,
	   a_name_that_stands_for_nothing_is_noticed)
