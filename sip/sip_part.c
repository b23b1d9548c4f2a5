/*
 * sip_part.c - the SIP part's card: settings, metrics, events, commands, routes, and its life
 *
 * load makes the tables, start makes the stack, offers "pbx.location/1" and reads the registrations; sip_open() opens the sockets
 * when everybody else is in place.
 */
#include "sip.h"
#include "ua.h"
#include "client.h"
#include "agent.h"
#include "border.h"
#include "dialog.h"
#include "digest.h"
#include "flow.h"
#include "gate.h"
#include "guard.h"
#include "host.h"
#include "json.h"
#include "keepalive.h"
#include "lingering.h"
#include "probe.h"
#include "location.h"
#include "notifier.h"
#include "location_nodes.h"
#include "lockout_told.h"
#include "repeats.h"
#include "loop.h"
#include "metrics.h"
#include "parts.h"
#include "quirks.h"
#include "shown.h"
#include "passing.h"
#include "peer.h"
#include "request.h"
#include "session.h"
#include "status.h"
#include "stream.h"
#include "tap.h"
#include "trace.h"
#include <string.h>

struct ua *ua_part;
static bool registrations_read, open_wanted, listening;

void ua_count(struct ua *ua, uint32_t metric, const char *labels)
{
	(void)core_metrics_service.add(ua->host, metric, labels, 1); /* a lost count is no reason to stop */
}

/* ---- registrations by command and REST ------------------------------------------------ */

static void list_contact(void *context, const struct pbx_contact *contact)
{
	struct pbx_json *list = context, *item = core_json_object();

	(void)core_json_set_text(item, "id", contact->id); /* no memory shows as a member missing */
	(void)core_json_set_text(item, "aor", contact->aor);
	(void)core_json_set_text(item, "contact", contact->uri);
	(void)core_json_set_text(item, "received", contact->received);
	(void)core_json_set_text(item, "transport", contact->transport);
	(void)core_json_set_text(item, "user_agent", contact->user_agent);
	(void)core_json_set_number(item, "q", contact->q_milli / 1000.0);
	(void)core_json_set_time(item, "registered", contact->registered_wall_us);
	(void)core_json_set_time(item, "expires", contact->expires_wall_us);
	if (contact->round_trip_us)
		(void)core_json_set_number(item, "round_trip_ms", contact->round_trip_us / 1000.0);
	(void)core_json_set_integer(item, "unanswered", contact->unanswered);
	(void)core_json_set_text(item, "node", contact->node);
	(void)core_json_set_text(item, "listener", contact->listener);
	(void)core_json_append(list, item);
}

static void on_list(void *self, pbx_request request)
{
	const char *own = core_requests_service.own_account(request), *aor = core_requests_service.text(request, "aor");
	struct pbx_json *list = core_json_array();

	(void)self;
	if (own[0])
		aor = own; /* a user sees their own phones */
	(void)ua_location_service.each(aor && aor[0] ? aor : NULL, list_contact, list);
	(void)core_requests_service.reply(request, 200, list); /* the asker may have left */
}

struct owner_search {
	const char *id, *account;
	bool found;
};

static void match_owner(void *context, const struct pbx_contact *contact)
{
	struct owner_search *search = context;

	search->found = search->found || strcmp(contact->id, search->id) == 0;
}

static void on_remove(void *self, pbx_request request)
{
	struct ua *ua = self;
	struct owner_search search = { .id = core_requests_service.text(request, "id"),
				       .account = core_requests_service.own_account(request) };

	if (search.account[0])
		(void)ua_location_service.each(search.account, match_owner, &search); /* how many does not matter */
	if ((search.account[0] && !search.found) || ua_location_service.remove(ua->host, search.id) != PBX_OK)
		(void)core_requests_service.fail(request, 404, "no_such_registration", "id", "there is no registration %.40s", search.id);
	else
		(void)core_requests_service.reply(request, 204, NULL); /* the asker may have left */
}

/* ---- life ----------------------------------------------------------------------------- */

static void set_gauges(void *self)
{
	const struct ua *ua = self;

	(void)core_metrics_service.set(ua->host, UA_METRIC_EXTENSIONS, NULL, ua_location_aors()); /* as in ua_count */
	(void)core_metrics_service.set(ua->host, UA_METRIC_REGISTRATIONS, NULL, ua_location_service.count());
	(void)core_metrics_service.set(ua->host, UA_METRIC_DIALOGS, NULL, ua->dialog_count);
	(void)core_metrics_service.set(ua->host, UA_METRIC_SUBSCRIPTIONS, NULL, ua_notifier_count());
	(void)core_metrics_service.set(ua->host, UA_METRIC_SESSIONS, NULL, ua_sessions_count());
}

static struct pbx_json *tell_status(void *self)
{
	const struct ua *ua = self;
	struct pbx_json *json = core_json_object(), *listeners = core_json_array();

	for (uint32_t i = 0; listening && ua_socket_at(i); i++)
		(void)core_json_append_text(listeners, ua_socket_at(i)->text); /* without memory one is not shown */
	(void)core_json_set(json, "listeners", listeners);
	(void)core_json_set_integer(json, "registrations", ua_location_service.count());
	(void)core_json_set_integer(json, "registered_accounts", ua_location_aors());
	(void)core_json_set_integer(json, "dialogs", ua->dialog_count);
	(void)core_json_set_integer(json, "subscriptions", ua_notifier_count());
	(void)core_json_set_integer(json, "sessions", ua_sessions_count());
	return json;
}

static int open_now(struct pbx_diag *diag)
{
	int err = ua_agent_listen(ua_part, diag);

	listening = err == PBX_OK;
	if (listening) {
		ua_clients_open();
		ua_notifier_open();
	}
	return err;
}

static void on_all_read(void *context)
{
	struct pbx_diag diag = { 0 };

	(void)context;
	registrations_read = true;
	if (ua_location_nodes_start(ua_part->host, ua_part->settings->node) != PBX_OK)
		pbx_warn(ua_part->host, "nodes_not_read", "reason=no_memory");
	if (open_wanted && open_now(&diag) != PBX_OK)
		pbx_error(ua_part->host, "sip_not_listening", "reason=%s", diag.text);
}

static void on_registrations_read(void *context)
{
	if (ua_part) /* else they were not: we are being stopped */
		ua_notifier_load(on_all_read, context);
}

int sip_open(struct pbx_diag *diag)
{
	if (!ua_part)
		return PBX_ESTATE;
	open_wanted = true;
	return registrations_read && !listening ? open_now(diag) : PBX_OK;
}

static int sip_load(void *self)
{
	struct ua *ua = self;
	int err = ua_nonces_init();

	if (err == PBX_OK)
		err = ua_guard_init();
	if (err == PBX_OK)
		err = ua_lockouts_init();
	if (err == PBX_OK)
		err = ua_repeats_init();
	if (err == PBX_OK)
		err = ua_location_init(ua->host);
	return err;
}

static int sip_start(void *self)
{
	struct ua *ua = self;
	int err = ua_agent_start(ua);

	core_trace_set_systems(ua_peer_is_at);
	if (err == PBX_OK)
		err = ua_keepalive_start(ua);
	if (err == PBX_OK)
		err = ua_flows_start(ua);
	if (err == PBX_OK)
		err = ua_lingering_start(ua);
	if (err == PBX_OK)
		err = ua_notifier_start(ua);
	if (err == PBX_OK)
		err = core_host_offer("pbx.location/1", &ua_location_service);
	if (err == PBX_OK)
		err = core_host_offer("pbx.sip/1", &ua_sip_service);
	if (err == PBX_OK)
		err = core_host_offer("pbx.session/1", &ua_sessions_service);
	if (err == PBX_OK)
		err = core_host_offer("pbx.notifier/1", &ua_notifier_service);
	if (err == PBX_OK)
		err = ua_probe_start(ua);
	if (err == PBX_OK)
		err = core_host_offer("pbx.border/1", &ua_border_service);
	if (err == PBX_OK)
		err = core_metrics_on_scrape(ua->host, set_gauges, ua);
	if (err == PBX_OK)
		err = core_status_add("sip", tell_status, ua);
	if (err != PBX_OK)
		return err;
	if (!ua_tap_is_in_place())
		pbx_warn(ua->host, "trace_not_in_place", "reason=\"tport_log_msg is another's\" effect=\"no trace of calls\"");
	if (!ua_stream_is_limited())
		pbx_error(ua->host, "stream_not_limited",
			  "reason=\"this build of Sofia-SIP does not call our msg_next\" effect=\"strangers can end the process over TCP\" "
			  "cure=\"listen "
			  "on udp alone\"");
	ua_part = ua;
	ua_clients_init();
	ua_sessions_init();
	core_legs_set_driver(&ua_leg_driver);
	core_gate_set_guard(ua_border_lets_in);
	ua_location_set_node(ua->settings->node);
	ua_location_load(on_registrations_read, ua);
	return PBX_OK;
}

static int sip_settings_check(const void *proposed, struct pbx_diag *diag)
{
	const struct ua_settings *settings = proposed;
	int err = ua_listeners_check(settings, diag);
	if (err == PBX_OK)
		err = ua_quirks_check(settings, diag);
	if (err != PBX_OK)
		return err;
	if (settings->min_expires_s > settings->max_expires_s) {
		pbx_diag_set(diag, "min_expires_s", "sip.min_expires_s must not be above sip.max_expires_s");
		return PBX_EINVAL;
	}
	if (settings->min_se_s > settings->session_expires_s) {
		pbx_diag_set(diag, "min_se_s", "sip.min_se_s must not be above sip.session_expires_s");
		return PBX_EINVAL;
	}
	for (uint32_t i = 0; i < settings->service_route.count; i++) {
		const char *uri = settings->service_route.items[i];

		if (strncmp(uri, "sip:", 4) == 0 && strlen(uri) < 200 && !strpbrk(uri, "<>\r\n \"") && strstr(uri, ";lr"))
			continue;
		pbx_diag_set(diag, "service_route", "'%.100s' is no route: write sip:ADDRESS;lr", uri);
		return PBX_EINVAL;
	}
	if (ua_passing_check(&settings->pass_headers, diag) != PBX_OK || ua_passing_check_fields(&settings->field_headers, diag) != PBX_OK)
		return PBX_EINVAL;
	if (settings->tls_accounts && !*settings->tls_authorities) {
		pbx_diag_set(diag, "tls_accounts",
			     "sip.tls_accounts needs sip.tls_authorities: whom they vouch for needs no password, so name your own");
		return PBX_EINVAL;
	}
	if (settings->tls_accounts && !ua_listeners_ask_clients(settings)) {
		pbx_diag_set(diag, "tls_accounts",
			     "sip.tls_accounts needs certificates to be shown: set sip.tls_clients to optional or required");
		return PBX_EINVAL;
	}
	if (!*settings->certificate != !*settings->key) {
		pbx_diag_set(diag, "key", "sip.certificate and sip.key go together: set both, or none for those of api");
		return PBX_EINVAL;
	}
	return PBX_OK;
}

static void sip_stop(void *self)
{
	struct ua *ua = self;

	core_status_remove("sip");
	core_legs_set_driver(NULL);
	core_gate_set_guard(NULL);
	ua_dialogs_close(ua);
	ua_clients_fini();
	ua_sessions_fini();
	ua_location_release(); /* answers need the agent */
	ua_keepalive_stop(ua);
	ua_flows_stop();
	ua_lingering_stop();
	ua_lockouts_stop();
	ua_notifier_stop();
	ua_location_nodes_stop();
	ua_probe_stop();
	ua_agent_stop(ua);
	ua_part = NULL;
	registrations_read = open_wanted = listening = false;
}

static void sip_unload(void *self)
{
	(void)self;
	ua_location_fini();
	ua_repeats_fini();
	ua_lockouts_fini();
	ua_guard_fini();
	ua_nonces_fini();
}

/* ---- the card ------------------------------------------------------------------------- */

static const char *const tls_clients[] = { "none", "optional", "required", NULL };

static const struct pbx_setting listener_rows[] = {
	PBX_TEXT(struct ua_listener_settings, name, .flags = PBX_SETTING_NEEDED | PBX_SETTING_RESTART,
		 .help = "What it is called in lists, logs and metrics: a-z, 0-9, _ and -"),
	PBX_LIST(struct ua_listener_settings, listen, .flags = PBX_SETTING_NEEDED | PBX_SETTING_RESTART,
		 .help = "Its sockets, as transport:address:port"),
	PBX_LIST(struct ua_listener_settings, allow, .initial_text = "",
		 .help = "Networks that may come in by it; others get no answer at all. Empty: everybody. Calls that we begin towards one "
			 "of "
			 "these networks go out by it"),
	PBX_TEXT(struct ua_listener_settings, realm, .initial_text = "", .most = 120,
		 .help = "Realm under which it asks for passwords; empty: sip.domain"),
	PBX_TEXT(struct ua_listener_settings, external_address, .initial_text = "", .most = 120,
		 .help = "Address that those who come by it see us under; empty: sip.external_address"),
	PBX_TEXT(struct ua_listener_settings, media_address, .initial_text = "", .most = 60,
		 .help = "Address in SDP for those who come by it and are not of its local_networks; empty: media.external_ip"),
	PBX_LIST(struct ua_listener_settings, local_networks, .initial_text = "",
		 .help = "Networks that reach it without NAT; empty: sip.local_networks"),
	PBX_CHOICE(struct ua_listener_settings, nat, .initial_text = "auto", .choices = PBX_CHOICES("auto", "always", "never"),
		   .help = "Whether phones on UDP are reached where their packets come from instead of where their Contact says: auto when "
			   "the "
			   "hosts differ, always, or never"),
	PBX_LIST(struct ua_listener_settings, codecs, .initial_text = "",
		 .help = "Codecs that are spoken by it, the one we like best first (opus, G722, PCMA, PCMU …); empty: all there are"),
	PBX_CHOICE(struct ua_listener_settings, tls_clients, .initial_text = "inherit",
		   .choices = PBX_CHOICES("inherit", "none", "optional", "required"), .flags = PBX_SETTING_RESTART,
		   .help = "Whether who connects to it over TLS shows a certificate; inherit: as sip.tls_clients"),
	PBX_TEXT(struct ua_listener_settings, certificate, .initial_text = "", .flags = PBX_SETTING_RESTART,
		 .help = "Its own certificate chain in PEM for TLS, for another name than the house's; a new file takes effect by itself. "
			 "Empty: "
			 "sip.certificate"),
	PBX_TEXT(struct ua_listener_settings, key, .initial_text = "", .flags = PBX_SETTING_RESTART,
		 .help = "Private key in PEM that belongs to its certificate"),
};

static const struct pbx_setting quirk_rows[] = {
	PBX_TEXT(struct ua_quirk, agent, .flags = PBX_SETTING_NEEDED, .most = 120,
		 .help = "User-Agent of such phones, with * and ? as in file names: Acme-3*"),
	PBX_BOOL(struct ua_quirk, skip_static_rtpmap, .initial = 0,
		 .help = "Leave out the lines that name codecs with a number of their own (PCMU, PCMA, G722, G729): the phone goes by "
			 "numbers"),
	PBX_LIST(struct ua_quirk, codecs, .initial_text = "",
		 .help = "Codecs that are spoken with it, whatever it says; empty: all there are"),
	PBX_UINT(struct ua_quirk, ptime_ms, .initial = 0, .least = 0, .most = 60, .unit = "ms",
		 .help = "Length of packets, both ways, whatever it says; 0: as agreed"),
};

static const struct pbx_setting settings[] = {
	PBX_LIST(struct ua_settings, listen, .initial_text = "udp:0.0.0.0:5060,tcp:0.0.0.0:5060,udp:[::]:5060,tcp:[::]:5060",
		 .flags = PBX_SETTING_RESTART,
		 .help = "Where phones reach us, as transport:address:port; transports are udp, tcp and tls (5061 is its port)"),
	PBX_OBJECTS(struct ua_settings, listeners, .fields = PBX_TABLE(listener_rows), .object_size = sizeof(struct ua_listener_settings),
		    .help = "Further listeners with a name and their own access list, realm, NAT and codecs"),
	PBX_OBJECTS(struct ua_settings, phone_quirks, .fields = PBX_TABLE(quirk_rows), .object_size = sizeof(struct ua_quirk),
		    .help = "Phones that want their SDP otherwise; the first that fits holds, these before those that we bring along "
			    "(pbxctl phones quirks)"),
	PBX_TEXT(struct ua_settings, domain, .initial_text = "pbx.local", .least = 1, .most = 120,
		 .help = "Our domain: in addresses we write, and the realm passwords belong to"),
	PBX_TEXT(struct ua_settings, external_address, .initial_text = "",
		 .help = "Address others see us under when we are behind NAT; empty: as "
			 "media.stun_server tells it, or where we listen"),
	PBX_LIST(struct ua_settings, local_networks, .initial_text = "",
		 .help = "Networks that reach us without NAT and are not told external_address; empty: all private ones. Those that are "
			 "named here are "
			 "not told media.external_ip either"),
	PBX_LIST(struct ua_settings, websocket_allow, .initial_text = "",
		 .help = "Networks whose browsers may come in over WebSocket; the connection of others is closed unread. Empty: everybody"),
	PBX_TEXT(struct ua_settings, certificate, .initial_text = "", .flags = PBX_SETTING_RESTART,
		 .help = "Certificate chain in PEM for TLS; a new file takes effect by itself, connections stay. Empty: the one of api"),
	PBX_TEXT(struct ua_settings, key, .initial_text = "", .flags = PBX_SETTING_RESTART,
		 .help = "Private key in PEM that belongs to the certificate"),
	PBX_TEXT(struct ua_settings, tls_authorities, .initial_text = "", .flags = PBX_SETTING_RESTART,
		 .help = "Authorities in PEM whose certificates are believed; empty: those of the system"),
	PBX_BOOL(struct ua_settings, tls_verify, .initial = 1, .flags = PBX_SETTING_RESTART,
		 .help = "Servers we call over TLS must show a valid certificate of their name (RFC 5922)"),
	PBX_CHOICE(struct ua_settings, tls_clients, .initial_text = "none", .choices = tls_clients, .flags = PBX_SETTING_RESTART,
		   .help = "Whether who connects over TLS shows a certificate; one that is shown must be valid"),
	PBX_BOOL(struct ua_settings, tls_accounts, .initial = 0,
		 .help = "A client certificate with the alternative name URI:sip:NUMBER@DOMAIN (of sip.domain) stands for that account's "
			 "password (RFC 5922); needs tls_authorities and tls_clients"),
	PBX_UINT(struct ua_settings, idle_s, .initial = 1800, .least = 30, .most = 86400, .unit = "s", .flags = PBX_SETTING_RESTART,
		 .help = "Connections over which nothing came for so long are closed; keep-alives count"),
	PBX_LIST(struct ua_settings, peers, .initial_text = "", .help = "Addresses or networks that may call without credentials"),
	PBX_LIST(struct ua_settings, trusted, .initial_text = "",
		 .help = "Those of sip.peers whose P-Asserted-Identity is believed, and who are told withheld numbers (RFC 3325). Trunks "
			 "and "
			 "extensions have a setting of their own"),
	PBX_BOOL(struct ua_settings, send_p_asserted_identity, .initial = 1,
		 .help = "Tell phones who calls in P-Asserted-Identity, too (RFC 3325)"),
	PBX_BOOL(struct ua_settings, send_remote_party_id, .initial = 1, .help = "Tell phones who calls in Remote-Party-ID, too"),
	PBX_BOOL(struct ua_settings, send_mac_address, .initial = 1,
		 .help = "Tell phones by X-MAC-Address which device calls, when that is known"),
	PBX_BOOL(struct ua_settings, accept_mac_in_invite, .initial = 1,
		 .help = "Believe the X-MAC-Address that a phone's call says; without it only what its registration tells"),
	PBX_LIST(struct ua_settings, pass_headers, .initial_text = "",
		 .help = "Headers of a caller's INVITE that go on to who is called, as Alert-Info or User-to-User: to and from phones and "
			 "trusted "
			 "systems. All others end here"),
	PBX_LIST(struct ua_settings, field_headers, .initial_text = "",
		 .help = "Headers of a trusted system's or extension's INVITE that are noted in the call's record, each with the name of "
			 "the field: "
			 "X-Case=case. P-Charge-Info=account_code fills that column"),
	PBX_CHOICE(struct ua_settings, refer_from_outside, .initial_text = "trusted", .choices = PBX_CHOICES("refuse", "trusted", "allow"),
		   .help = "Whether other systems may transfer (REFER) who talks with them: never, those that are trusted, or all"),
	PBX_CHOICE(struct ua_settings, refer_elsewhere, .initial_text = "rewrite", .choices = PBX_CHOICES("refuse", "rewrite"),
		   .help = "A transfer to an address of another host: 403, or to the same number as we know it"),
	PBX_LIST(struct ua_settings, md5_only_agents, .initial_text = "baresip v0,baresip v1",
		 .help = "Beginnings of User-Agent headers of phones that fail when SHA-256 is offered beside MD5"),
	PBX_TEXT(struct ua_settings, user_agent, .initial_text = "Warden PBX", .help = "What we call ourselves in messages"),
	PBX_UINT(struct ua_settings, min_expires_s, .initial = 60, .least = 1, .most = 3600, .unit = "s",
		 .help = "Shorter registrations are refused with 423"),
	PBX_UINT(struct ua_settings, max_expires_s, .initial = 7200, .least = 60, .most = 86400, .unit = "s",
		 .help = "Longer registrations are shortened to this"),
	PBX_UINT(struct ua_settings, default_expires_s, .initial = 3600, .least = 60, .most = 86400, .unit = "s",
		 .help = "For registrations that do not say how long"),
	PBX_UINT(struct ua_settings, max_contacts, .initial = 5, .least = 1, .most = 50,
		 .help = "Devices of an account that sets no limit of its own"),
	PBX_UINT(struct ua_settings, keepalive_s, .initial = 30, .least = 0, .most = 600, .unit = "s",
		 .help = "How often phones behind NAT are asked whether they are there, which keeps the way to them open; 0: never"),
	PBX_CHOICE(struct ua_settings, session_timers, .initial_text = "always", .choices = PBX_CHOICES("off", "accept", "always"),
		   .help = "Session timers (RFC 4028): accept where the other side asks, or always, so that a phone that has vanished ends "
			   "its call"),
	PBX_UINT(struct ua_settings, session_expires_s, .initial = 1800, .least = 90, .most = 86400, .unit = "s",
		 .help = "How long a call may last without being refreshed"),
	PBX_UINT(struct ua_settings, min_se_s, .initial = 90, .least = 90, .most = 86400, .unit = "s",
		 .help = "Calls that are to be refreshed more often than this are refused with 422"),
	PBX_CHOICE(struct ua_settings, reliable, .initial_text = "supported", .choices = PBX_CHOICES("off", "supported", "required"),
		   .help = "Reliable provisional responses (100rel, RFC 3262): off, where the other side can, or demanded of everybody"),
	PBX_UINT(struct ua_settings, max_subscriptions, .initial = 500, .least = 1, .most = 100000,
		 .help = "Lamps and other states that all phones of one account may watch together; more are refused with 403"),
	PBX_UINT(
		struct ua_settings, flow_timer_s, .initial = 120, .least = 1, .most = 3600, .unit = "s",
		.help = "How often phones with outbound (RFC 5626) are told to send something over their TCP or TLS connection, to keep it "
			"alive"),
	PBX_UINT(struct ua_settings, flow_answer_s, .initial = 10, .least = 1, .most = 60, .unit = "s",
		 .help = "How late keep-alives may be: a connection of ours to a provider on which nothing comes back for so long is "
			 "closed, and "
			 "a phone's on which nothing has come for flow_timer_s and this"),
	PBX_UINT(struct ua_settings, first_message_s, .initial = 60, .least = 0, .most = 86400, .unit = "s",
		 .help = "Connections of TCP, TLS and WebSockets on which no whole message has come for so long after they were opened are "
			 "closed; 0: never"),
	PBX_TEXT(struct ua_settings, node, .initial_text = "", .most = 31, .flags = PBX_SETTING_RESTART,
		 .help = "Our name among several pbxd on one database, different on each: they see each other's registrations. Empty: we "
			 "are alone"),
	PBX_LIST(struct ua_settings, service_route, .initial_text = "",
		 .help = "SIP addresses of proxies through which phones are told to send all they ask, nearest first (RFC 3608)"),
	PBX_LIST(struct ua_settings, push_services, .initial_text = "",
		 .help = "Push services that a plugin wakes phones with (apns, fcm, webpush): said to phones that ask (RFC 8599)"),
	PBX_UINT(struct ua_settings, flood_rate, .initial = 100, .least = 1, .most = 100000,
		 .help = "Requests a second one address may send outside of calls; more are dropped"),
	PBX_UINT(struct ua_settings, flood_burst, .initial = 500, .least = 1, .most = 1000000,
		 .help = "Requests one address may send at once"),
	PBX_UINT(struct ua_settings, packet_rate, .initial = 1000, .least = 100, .most = 1000000,
		 .help = "Datagrams a second one address may send, of whatever kind; more are dropped unread. sip.peers have no limit"),
	PBX_UINT(struct ua_settings, packet_burst, .initial = 2000, .least = 100, .most = 1000000,
		 .help = "Datagrams one address may send at once"),
	PBX_UINT(struct ua_settings, dscp, .initial = 24, .least = 0, .most = 63, .flags = PBX_SETTING_RESTART,
		 .help = "DSCP of signalling: 24 is CS3, 0 is best effort"),
	PBX_UINT(struct ua_settings, udp_mtu, .initial = 1300, .least = 500, .most = 65535, .unit = "bytes", .flags = PBX_SETTING_RESTART,
		 .help = "Requests beyond this size go by TCP instead of UDP (RFC 3261 18.1.1), but not to phones behind NAT"),
	PBX_UINT(struct ua_settings, auth_failures, .initial = 5, .least = 1, .most = 1000,
		 .help = "Wrong passwords after which a user is locked out at the address they came from (of IPv6, its /64), and "
			 "everywhere but "
			 "where it is registered; and users with wrong passwords after which their address is, but for who is registered "
			 "there. "
			 "`pbxctl registrations blocked` lists them, `registrations unblock` lifts it"),
	PBX_UINT(struct ua_settings, auth_window_s, .initial = 300, .least = 1, .most = 86400, .unit = "s",
		 .help = "Within what time they count"),
	PBX_UINT(struct ua_settings, auth_block_s, .initial = 900, .least = 1, .most = 86400, .unit = "s",
		 .help = "For how long they are locked out"),
};

static const struct pbx_metric metrics[] = {
	[UA_METRIC_REQUESTS] = { "pbx_sip_requests_total", PBX_METRIC_COUNTER, "SIP requests", "method,dir", NULL },
	[UA_METRIC_RESPONSES] = { "pbx_sip_responses_total", PBX_METRIC_COUNTER, "SIP responses to requests of either side", "method,class",
				  NULL },
	[UA_METRIC_EXTENSIONS] = { "pbx_registered_extensions", PBX_METRIC_GAUGE, "Accounts with at least one phone registered", NULL,
				   NULL },
	[UA_METRIC_REGISTRATIONS] = { "pbx_registrations", PBX_METRIC_GAUGE, "Phones registered", NULL, NULL },
	[UA_METRIC_AUTH] = { "pbx_sip_auth_total", PBX_METRIC_COUNTER, "Outcomes of authentication", "result", NULL },
	[UA_METRIC_FLOOD] = { "pbx_sip_flood_dropped_total", PBX_METRIC_COUNTER,
			      "Requests and datagrams dropped because their address sent too many", NULL, NULL },
	[UA_METRIC_SUBSCRIPTIONS] = { "pbx_sip_subscriptions", PBX_METRIC_GAUGE, "Subscriptions of phones to lamps and other states", NULL,
				      NULL },
	[UA_METRIC_MALFORMED] = { "pbx_sip_malformed_total", PBX_METRIC_COUNTER, "Datagrams that are no SIP, or whose first line is wrong",
				  NULL, NULL },
	[UA_METRIC_NOT_ALLOWED] = { "pbx_sip_not_allowed_total", PBX_METRIC_COUNTER,
				    "Datagrams and connections of those that a listener does not allow", "listener", NULL },
	[UA_METRIC_DIALOGS] = { "pbx_sip_dialogs", PBX_METRIC_GAUGE, "Dialogs in memory", NULL, NULL },
	[UA_METRIC_SESSIONS] = { "pbx_sip_sessions", PBX_METRIC_GAUGE, "Dialogs of plugins with other systems that are no calls", NULL,
				 NULL },
};

static const struct pbx_field registration_fields[] = {
	{ "id", PBX_TYPE_TEXT, "Stays the same over refreshes and restarts" },
	{ "aor", PBX_TYPE_TEXT, "The account" },
	{ "contact", PBX_TYPE_TEXT, "Address the phone gave" },
	{ "received", PBX_TYPE_TEXT, "Address its message came from" },
	{ "transport", PBX_TYPE_TEXT, "udp, tcp, tls, ws or wss" },
	{ "user_agent", PBX_TYPE_TEXT, "What the phone calls itself" },
	{ "expires_s", PBX_TYPE_INT, "What is left of it" },
};
static const struct pbx_field removed_fields[] = {
	{ "id", PBX_TYPE_TEXT, "Of the registration" },
	{ "aor", PBX_TYPE_TEXT, "The account" },
	{ "contact", PBX_TYPE_TEXT, "Address the phone gave" },
	{ "received", PBX_TYPE_TEXT, "Address its message came from" },
	{ "transport", PBX_TYPE_TEXT, "udp, tcp, tls, ws or wss" },
	{ "user_agent", PBX_TYPE_TEXT, "What the phone calls itself" },
	{ "expires_s", PBX_TYPE_INT, "What was left of it" },
	{ "reason", PBX_TYPE_TEXT, "expired, removed, replaced, unregistered or flow_failed" },
};
static const struct pbx_field blocked_fields[] = {
	{ "address", PBX_TYPE_TEXT, "Where, of IPv6 its network; with a port: the phone that is registered just there; empty: anywhere" },
	{ "user", PBX_TYPE_TEXT, "Who; empty: anybody who is not registered there" },
	{ "reason", PBX_TYPE_TEXT,
	  "wrong_passwords (for this user, at this address), many_users (wrong passwords for several, at this address), guessed_elsewhere "
	  "(for this user, anywhere: out where it is not registered)" },
	{ "for_s", PBX_TYPE_INT, "For how long" },
};
static const struct pbx_field unblocked_fields[] = {
	{ "address", PBX_TYPE_TEXT, "Where; empty: anywhere" },
	{ "user", PBX_TYPE_TEXT, "Who; empty: anybody who is not registered there" },
	{ "reason", PBX_TYPE_TEXT, "As it was told when it began" },
	{ "by", PBX_TYPE_TEXT, "Who has lifted it; empty: its time was over" },
};
static const struct pbx_event_type events[] = {
	{ "registration.added", "A phone has registered", PBX_TABLE(registration_fields) },
	{ "registration.refreshed", "A phone has registered again", PBX_TABLE(registration_fields) },
	{ "registration.removed", "A registration has ended", PBX_TABLE(removed_fields) },
	{ "registration.blocked", "Too many wrong passwords: a user or an address is locked out", PBX_TABLE(blocked_fields) },
	{ "registration.unblocked", "A lockout has ended", PBX_TABLE(unblocked_fields) },
};

static const struct pbx_field listed_fields[] = {
	{ "id", PBX_TYPE_TEXT, "Stays the same over refreshes and restarts" },
	{ "aor", PBX_TYPE_TEXT, "The account" },
	{ "contact", PBX_TYPE_TEXT, "Address the phone gave" },
	{ "received", PBX_TYPE_TEXT, "Address its message came from" },
	{ "transport", PBX_TYPE_TEXT, "udp, tcp, tls, ws or wss" },
	{ "user_agent", PBX_TYPE_TEXT, "What the phone calls itself" },
	{ "q", PBX_TYPE_NUMBER, "Preference, 0 to 1" },
	{ "registered", PBX_TYPE_TIME, "Since when" },
	{ "expires", PBX_TYPE_TIME, "Until when" },
	{ "round_trip_ms", PBX_TYPE_NUMBER, "How long a phone behind NAT took to answer OPTIONS" },
	{ "unanswered", PBX_TYPE_INT, "How many of them in a row it has not answered" },
	{ "node", PBX_TYPE_TEXT, "Which other node has the way to it; empty: we do" },
	{ "listener", PBX_TYPE_TEXT, "By which listener it came: a name of sip.listeners, or sip; empty: not known" },
};
static const struct pbx_field listener_fields[] = {
	{ "listener", PBX_TYPE_TEXT, "Its name in sip.listeners; sip: one of sip.listen" },
	{ "transport", PBX_TYPE_TEXT, "udp, tcp or tls" },
	{ "address", PBX_TYPE_TEXT, "Address and port" },
	{ "allow", PBX_TYPE_LIST, "Networks that may come in; empty: everybody" },
	{ "realm", PBX_TYPE_TEXT, "Under which it asks for passwords" },
	{ "external_address", PBX_TYPE_TEXT,
	  "What those outside are told, by the settings or by media.stun_server; empty: where it listens" },
	{ "media_address", PBX_TYPE_TEXT, "Where those outside are to send media; empty: media.external_ip" },
	{ "nat", PBX_TYPE_TEXT, "auto, always or never" },
	{ "codecs", PBX_TYPE_LIST, "What is spoken by it; empty: all there are" },
	{ "tls_clients", PBX_TYPE_TEXT, "Whether clients show a certificate: none, optional, required; empty: no TLS" },
	{ "refused", PBX_TYPE_INT, "Datagrams and connections of others since the start" },
};
static const struct pbx_field quirk_fields[] = {
	{ "agent", PBX_TYPE_TEXT, "User-Agent of such phones, with * and ?" },
	{ "skip_static_rtpmap", PBX_TYPE_BOOL, "Codecs with a number of their own are not named" },
	{ "codecs", PBX_TYPE_LIST, "What is spoken with it; empty: all there are" },
	{ "ptime_ms", PBX_TYPE_INT, "Length of packets; 0: as agreed" },
	{ "brought_along", PBX_TYPE_BOOL, "Not of the settings: we know it from models in use" },
};
static const struct pbx_field lockout_fields[] = {
	{ "address", PBX_TYPE_TEXT, "Where, of IPv6 its network; with a port: the phone that is registered just there; empty: anywhere" },
	{ "user", PBX_TYPE_TEXT, "Who; empty: anybody who is not registered there" },
	{ "reason", PBX_TYPE_TEXT, "wrong_passwords, many_users or guessed_elsewhere" },
	{ "failures", PBX_TYPE_INT, "Wrong passwords; of many_users, users" },
	{ "until", PBX_TYPE_TIME, "When it ends by itself" },
};
static const struct pbx_arg lift_args[] = {
	{ .name = "who",
	  .type = PBX_TYPE_TEXT,
	  .flags = PBX_ARG_REQUIRED,
	  .most = 80,
	  .help = "An address (of IPv6, any of its network) or a user" },
};
static const struct pbx_arg list_args[] = {
	{ .name = "aor", .type = PBX_TYPE_TEXT, .flags = PBX_ARG_QUERY, .help = "Only this account's", .completes = "extension" },
};
static const struct pbx_arg list_words[] = {
	{ .name = "aor", .type = PBX_TYPE_TEXT, .help = "Only this account's", .completes = "extension" },
};
static const struct pbx_arg remove_args[] = {
	{ .name = "id", .type = PBX_TYPE_TEXT, .flags = PBX_ARG_REQUIRED, .help = "As the list shows it" },
};
static const struct pbx_route routes[] = {
	{ .method = "GET",
	  .path = "/listeners",
	  .handle = ua_show_listeners,
	  .scope = "listeners:read",
	  .summary = "Sockets that SIP comes in by",
	  .reply = PBX_TABLE(listener_fields) },
	{ .method = "GET",
	  .path = "/phone-quirks",
	  .handle = ua_show_quirks,
	  .scope = "listeners:read",
	  .summary = "Phones that want their SDP otherwise than the book says, the first that fits holds. Rows of your own are the setting "
		     "sip.phone_quirks: "
		     "PATCH or DELETE /config/sip.phone_quirks changes them, /config:undo takes that back",
	  .reply = PBX_TABLE(quirk_fields) },
	{ .method = "GET",
	  .path = "/registrations",
	  .handle = on_list,
	  .scope = "registrations:read",
	  .summary = "Registered phones",
	  .args = PBX_TABLE(list_args),
	  .reply = PBX_TABLE(listed_fields) },
	{ .method = "DELETE",
	  .path = "/registrations/{id}",
	  .handle = on_remove,
	  .scope = "registrations:write",
	  .summary = "Take a registration away",
	  .flags = PBX_ROUTE_WRITES,
	  .args = PBX_TABLE(remove_args) },
	{ .method = "GET",
	  .path = "/registration-lockouts",
	  .handle = ua_show_lockouts,
	  .scope = "registrations:read",
	  .summary = "Who is locked out of SIP after too many wrong passwords (sip.auth_failures)",
	  .reply = PBX_TABLE(lockout_fields) },
	{ .method = "DELETE",
	  .path = "/registration-lockouts/{who}",
	  .handle = ua_lift_lockouts,
	  .scope = "registrations:write",
	  .summary = "Lift the lockouts of an address or a user",
	  .flags = PBX_ROUTE_WRITES,
	  .args = PBX_TABLE(lift_args) },
};
static const struct pbx_command commands[] = {
	{ .words = "listeners list",
	  .handle = ua_show_listeners,
	  .help = "Show the sockets that SIP comes in by",
	  .columns = "listener,transport,address,allow,realm,nat,codecs,tls_clients,refused" },
	{ .words = "phones quirks",
	  .handle = ua_show_quirks,
	  .help = "Show which phones want their SDP otherwise than the book says; `config set sip.phone_quirks '[{\"agent\":…}]'` changes "
		  "yours",
	  .columns = "agent,skip_static_rtpmap,codecs,ptime_ms,brought_along" },
	{ .words = "registrations list",
	  .handle = on_list,
	  .help = "Show registered phones",
	  .args = PBX_TABLE(list_words),
	  .columns = "aor,contact,received,transport,listener,user_agent,round_trip_ms,expires,id" },
	{ .words = "registrations remove", .handle = on_remove, .help = "Take a registration away", .args = PBX_TABLE(remove_args) },
	{ .words = "registrations blocked",
	  .handle = ua_show_lockouts,
	  .help = "Show who is locked out after too many wrong passwords, and until when",
	  .columns = "address,user,reason,failures,until" },
	{ .words = "registrations unblock",
	  .handle = ua_lift_lockouts,
	  .help = "Lift the lockouts of an address or a user",
	  .args = PBX_TABLE(lift_args),
	  .flags = PBX_ROUTE_WRITES },
};

const struct pbx_plugin sip_part = {
	PBX_PLUGIN_HEADER,
	.name = "sip",
	.version = PBX_VERSION,
	.summary = "SIP: transports, authentication, registrar, calls",
	.instance_size = sizeof(struct ua),
	PBX_SETTINGS(struct ua_settings, settings),
	.metrics = PBX_TABLE(metrics),
	.events = PBX_TABLE(events),
	.routes = PBX_TABLE(routes),
	.commands = PBX_TABLE(commands),
	.load = sip_load,
	.start = sip_start,
	.settings_check = sip_settings_check,
	.stop = sip_stop,
	.unload = sip_unload,
};
