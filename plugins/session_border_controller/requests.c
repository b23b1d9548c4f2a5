/*
 * requests - the lists and the numbers, by REST and pbxctl
 */
#include "sbc.h"
#include <string.h>

#define MOST_FOR_S (10LL * 366 * 86400)

/* ---- the lists ------------------------------------------------------------------------ */

static struct pbx_json *describe(const struct sbc *sbc, const struct entry *entry)
{
	struct pbx_json *object = sbc->json->new_object();
	char cidr[NETWORK_TEXT];

	network_print(&entry->network, cidr);
	(void)sbc->json->set_text(object, "ip", cidr); /* no memory shows as a member missing */
	(void)sbc->json->set_text(object, "reason", entry->reason);
	(void)sbc->json->set_text(object, "note", entry->note);
	(void)sbc->json->set_time(object, "expires_at", entry->expires_us);
	(void)sbc->json->set_time(object, "created_at", entry->created_us);
	(void)sbc->json->set_text(object, "created_by", entry->created_by);
	return object;
}

static void show_list(struct sbc *sbc, pbx_request request, uint32_t list)
{
	struct pbx_json *items = sbc->json->new_array(), *answer = sbc->json->new_object();

	for (const struct entry *entry = sbc->lists.entries; entry; entry = entry->next)
		if (entry->list == list)
			(void)sbc->json->append(items, describe(sbc, entry));
	(void)sbc->json->set(answer, "items", items);
	(void)sbc->requests->reply(request, 200, answer); /* the asker may have left */
}

/* False: has been refused. */
static bool read_network(const struct sbc *sbc, pbx_request request, struct network *ret_network)
{
	const char *text = sbc->requests->text(request, "ip");

	if (network_parse(text, ret_network))
		return true;
	(void)sbc->requests->fail(request, 400, "not_an_address", "ip",
				  "%.60s is no address or network; write 192.0.2.7, 192.0.2.0/24 or 2001:db8::/32", text);
	return false;
}

static void reply_added(struct sbc *sbc, pbx_request request, const struct entry *entry)
{
	static const char *const paths[LISTS] = { "/sbc/whitelist/", "/sbc/blacklist/" };
	char location[32 + NETWORK_TEXT], cidr[NETWORK_TEXT];

	network_print(&entry->network, cidr);
	char *slash = strchr(cidr, '/');
	if (slash)
		*slash = '\0';
	(void)snprintf(location, sizeof location, "%s%s%s%s", paths[entry->list], cidr, slash ? "%2F" : "", slash ? slash + 1 : "");
	(void)sbc->requests->created(request, location, describe(sbc, entry)); /* the asker may have left */
}

static void add_to(struct sbc *sbc, pbx_request request, uint32_t list)
{
	const struct pbx_requests *requests = sbc->requests;
	int64_t for_s = requests->integer(request, "for_s", 0), now_us = sbc->host->wall_us(sbc->host);
	const char *note = requests->text(request, "note");
	struct entry entry = { .list = list, .created_us = now_us, .expires_us = for_s ? now_us + for_s * 1000000 : 0, .reason = "manual" };

	if (!read_network(sbc, request, &entry.network))
		return;
	(void)snprintf(entry.note, sizeof entry.note, "%s", note ? note : "");
	(void)snprintf(entry.created_by, sizeof entry.created_by, "%s", requests->actor(request));
	int err = lists_add(sbc, &entry);
	if (err == PBX_OK)
		reply_added(sbc, request, &entry);
	else if (err == PBX_EEXIST)
		(void)requests->fail(request, 409, "listed", "ip", "%.60s is on that list already; remove it first to change it",
				     requests->text(request, "ip"));
	else if (err == PBX_ENOSPC)
		(void)requests->fail(request, 503, "lists_full", NULL,
				     "the lists have %u entries, as many as they may; name larger networks", MOST_ENTRIES);
	else
		(void)requests->fail(request, 503, "no_memory", NULL, "there is no memory; try again");
}

static void remove_from(struct sbc *sbc, pbx_request request, uint32_t list)
{
	struct network network;

	if (!read_network(sbc, request, &network))
		return;
	if (lists_remove(sbc, &network, list) == PBX_OK)
		(void)sbc->requests->reply(request, 204, NULL); /* the asker may have left */
	else
		(void)sbc->requests->fail(request, 404, "not_listed", "ip", "%.60s is not on that list",
					  sbc->requests->text(request, "ip"));
}

#define HANDLER(name, does, list)                                                                                                          \
	static void name(void *self, pbx_request request)                                                                                  \
	{                                                                                                                                  \
		does(self, request, list);                                                                                                 \
	}
HANDLER(list_denied, show_list, LIST_DENY)
HANDLER(list_allowed, show_list, LIST_ALLOW)
HANDLER(deny, add_to, LIST_DENY)
HANDLER(allow, add_to, LIST_ALLOW)
HANDLER(deny_no_more, remove_from, LIST_DENY)
HANDLER(allow_no_more, remove_from, LIST_ALLOW)

/* What would become of a packet from there, and by which entry. */
static void check(void *self, pbx_request request)
{
	struct sbc *sbc = self;
	char country[COUNTRY_TEXT];
	struct pbx_json *answer;
	struct network network;

	if (!read_network(sbc, request, &network))
		return;
	const struct entry *entry = lists_find(sbc, network.bytes);
	country_of(sbc, network.bytes, country);
	answer = sbc->json->new_object();
	(void)sbc->json->set_text(answer, "ip", sbc->requests->text(request, "ip")); /* no memory shows as a member missing */
	(void)sbc->json->set_text(answer, "verdict",
				  !sbc->settings->enabled     ? "passed"
				  : !entry                    ? "limited"
				  : entry->list == LIST_ALLOW ? "allowed"
							      : "dropped");
	(void)sbc->json->set_text(answer, "country", country);
	(void)sbc->json->set(answer, "entry", entry ? describe(sbc, entry) : NULL);
	(void)sbc->requests->reply(request, 200, answer); /* the asker may have left */
}

/* ---- the numbers ---------------------------------------------------------------------- */

static struct pbx_json *codec_counts(const struct sbc *sbc)
{
	struct pbx_json *object = sbc->json->new_object();

	for (uint32_t i = 0; i < MOST_CODECS && sbc->admission.codecs[i].name[0]; i++)
		(void)sbc->json->set_integer(object, sbc->admission.codecs[i].name, (int64_t)sbc->admission.codecs[i].count);
	return object;
}

static void statistics(void *self, pbx_request request)
{
	struct sbc *sbc = self;
	const struct pbx_jsons *json = sbc->json;
	const struct sbc_settings *settings = sbc->settings;
	struct pbx_json *answer = json->new_object();
	double kbps = (double)sbc->admission.bits_per_s / 1000;
	uint64_t blocked = 0;

	for (uint32_t i = 0; i < DROPS; i++)
		blocked += sbc->dropped[i];
	(void)json->set_boolean(answer, "enabled", settings->enabled); /* no memory shows as a member missing */
	(void)json->set_integer(answer, "total_sessions", (int64_t)sbc->admission.admitted_ever);
	(void)json->set_integer(answer, "active_sessions", admission_calls(&sbc->admission));
	(void)json->set_integer(answer, "max_calls", settings->max_calls);
	(void)json->set_integer(answer, "cac_rejections", (int64_t)sbc->admission.rejected_ever);
	(void)json->set_number(answer, "current_bandwidth_kbps", kbps);
	(void)json->set_integer(answer, "max_bandwidth_kbps", settings->max_bandwidth);
	(void)json->set_number(answer, "bandwidth_utilization_pct", settings->max_bandwidth ? 100 * kbps / settings->max_bandwidth : 0);
	(void)json->set(answer, "codec_call_counts", codec_counts(sbc));
	(void)json->set_integer(answer, "blocked_requests", (int64_t)blocked);
	for (uint32_t i = 0; i < DROPS; i++)
		(void)json->set_integer(answer, drop_names[i], (int64_t)sbc->dropped[i]);
	(void)json->set_integer(answer, "rate_limit", settings->rate_limit);
	(void)json->set_integer(answer, "rate_limit_violations", (int64_t)sbc->rate_violations);
	(void)json->set_integer(answer, "bans", (int64_t)sbc->bans);
	(void)json->set_integer(answer, "blacklist_size", sbc->lists.count[LIST_DENY]);
	(void)json->set_text(answer, "kernel_bans", sbc->kernel_state);
	(void)json->set_text(answer, "country_database", sbc->country.state);
	(void)json->set_integer(answer, "whitelist_size", sbc->lists.count[LIST_ALLOW]);
	(void)sbc->requests->reply(request, 200, answer); /* the asker may have left */
}

/* ---- the tables ----------------------------------------------------------------------- */

#define NETWORK_ARG                                                                                                                        \
	{                                                                                                                                  \
		.name = "ip", .type = PBX_TYPE_TEXT, .flags = PBX_ARG_REQUIRED, .help = "Address or network: 192.0.2.7, 192.0.2.0/24"      \
	}
static const struct pbx_arg one[] = { NETWORK_ARG };
static const struct pbx_arg wanted[] = {
	NETWORK_ARG,
	{ .name = "note", .type = PBX_TYPE_TEXT, .least = 0, .most = 127, .help = "Why, for whoever reads the list" },
	{ .name = "for_s",
	  .type = PBX_TYPE_INT,
	  .least = 1,
	  .most = MOST_FOR_S,
	  .help = "Seconds until it is off the list again; for good when not given" },
};
static const struct pbx_field entry_fields[] = {
	{ "ip", PBX_TYPE_TEXT, "Address or network" },
	{ "reason", PBX_TYPE_TEXT, "manual; of a ban scanner, rate, malformed, password or country" },
	{ "note", PBX_TYPE_TEXT, "What whoever added it has noted" },
	{ "expires_at", PBX_TYPE_TIME, "When it is off the list again, or null" },
	{ "created_at", PBX_TYPE_TIME, "Since when" },
	{ "created_by", PBX_TYPE_TEXT, "By whom" },
};
static const struct pbx_field check_fields[] = {
	{ "ip", PBX_TYPE_TEXT, "What was asked for" },
	{ "verdict", PBX_TYPE_TEXT, "allowed (no limits), limited (as everybody), dropped, passed (the border is not guarded)" },
	{ "country", PBX_TYPE_TEXT, "Where it is, two letters; empty: nobody knows" },
	{ "entry", PBX_TYPE_OBJECT, "The entry that says so, or null" },
};
static const struct pbx_field statistics_fields[] = {
	{ "enabled", PBX_TYPE_BOOL, "Whether the border is guarded" },
	{ "total_sessions", PBX_TYPE_INT, "Calls let in since the start" },
	{ "active_sessions", PBX_TYPE_INT, "Calls now" },
	{ "max_calls", PBX_TYPE_INT, "Calls there may be; 0: no limit" },
	{ "cac_rejections", PBX_TYPE_INT, "Calls refused by a limit" },
	{ "current_bandwidth_kbps", PBX_TYPE_NUMBER, "What the calls weigh, each way" },
	{ "max_bandwidth_kbps", PBX_TYPE_INT, "What they may weigh; 0: no limit" },
	{ "bandwidth_utilization_pct", PBX_TYPE_NUMBER, "The one in terms of the other" },
	{ "codec_call_counts", PBX_TYPE_OBJECT, "Calls let in by the first codec of their offer" },
	{ "blocked_requests", PBX_TYPE_INT, "Packets and requests dropped: the sum of the next five" },
	{ "denied", PBX_TYPE_INT, "Of networks on the blacklist, bans included" },
	{ "rate", PBX_TYPE_INT, "Beyond a rate limit" },
	{ "scanner", PBX_TYPE_INT, "Of scanners" },
	{ "malformed", PBX_TYPE_INT, "No SIP, or broken, or too long" },
	{ "country", PBX_TYPE_INT, "From countries that are not heard" },
	{ "rate_limit", PBX_TYPE_INT, "Requests a second of one address" },
	{ "rate_limit_violations", PBX_TYPE_INT, "Requests beyond it" },
	{ "bans", PBX_TYPE_INT, "Addresses banned since the start" },
	{ "blacklist_size", PBX_TYPE_INT, "Entries that keep out, bans included" },
	{ "kernel_bans", PBX_TYPE_TEXT, "Whether the kernel drops who is banned: off, on, or why it does not" },
	{ "country_database", PBX_TYPE_TEXT, "Which one tells where addresses are, and of when: off, or why there is none" },
	{ "whitelist_size", PBX_TYPE_INT, "Entries that let in" },
};

#define READS "sbc:read"
#define WRITES "sbc:write"
#define LIST_ROUTES(where, list, add, remove, what)                                                                                        \
	{ .method = "GET",                                                                                                                 \
	  .path = where,                                                                                                                   \
	  .handle = list,                                                                                                                  \
	  .scope = READS,                                                                                                                  \
	  .summary = "Networks that are " what,                                                                                            \
	  .reply = PBX_TABLE(entry_fields) },                                                                                              \
		{ .method = "POST",                                                                                                        \
		  .path = where,                                                                                                           \
		  .handle = add,                                                                                                           \
		  .scope = WRITES,                                                                                                         \
		  .summary = "Add to the networks that are " what,                                                                         \
		  .flags = PBX_ROUTE_WRITES,                                                                                               \
		  .args = PBX_TABLE(wanted),                                                                                               \
		  .reply = PBX_TABLE(entry_fields) },                                                                                      \
	{                                                                                                                                  \
		.method = "DELETE", .path = where "/{ip}", .handle = remove, .scope = WRITES, .flags = PBX_ROUTE_WRITES,                   \
		.summary = "Remove from the networks that are " what, .args = PBX_TABLE(one)                                               \
	}

const struct pbx_route sbc_routes[SBC_ROUTES] = {
	{ .method = "GET",
	  .path = "/sbc/statistics",
	  .handle = statistics,
	  .scope = READS,
	  .summary = "What the border has let in and kept out",
	  .reply = PBX_TABLE(statistics_fields) },
	{ .method = "GET",
	  .path = "/sbc/check/{ip}",
	  .handle = check,
	  .scope = READS,
	  .summary = "What becomes of packets from an address",
	  .args = PBX_TABLE(one),
	  .reply = PBX_TABLE(check_fields) },
	LIST_ROUTES("/sbc/blacklist", list_denied, deny, deny_no_more, "kept out"),
	LIST_ROUTES("/sbc/whitelist", list_allowed, allow, allow_no_more, "let in without limits"),
};

#define COLUMNS "ip,reason,expires_at,created_by,note"
const struct pbx_command sbc_commands[SBC_COMMANDS] = {
	{ .words = "sbc status", .handle = statistics, .help = "What the border has let in and kept out" },
	{ .words = "sbc check", .handle = check, .help = "What becomes of packets from an address", .args = PBX_TABLE(one) },
	{ .words = "sbc blacklist list", .handle = list_denied, .help = "Networks that are kept out", .columns = COLUMNS },
	{ .words = "sbc blacklist add",
	  .handle = deny,
	  .help = "Keep a network out",
	  .args = PBX_TABLE(wanted),
	  .flags = PBX_ROUTE_WRITES },
	{ .words = "sbc blacklist remove",
	  .handle = deny_no_more,
	  .help = "Keep it out no more, or end a ban",
	  .args = PBX_TABLE(one),
	  .flags = PBX_ROUTE_WRITES },
	{ .words = "sbc whitelist list", .handle = list_allowed, .help = "Networks that are let in without limits", .columns = COLUMNS },
	{ .words = "sbc whitelist add",
	  .handle = allow,
	  .help = "Let a network in without limits",
	  .args = PBX_TABLE(wanted),
	  .flags = PBX_ROUTE_WRITES },
	{ .words = "sbc whitelist remove",
	  .handle = allow_no_more,
	  .help = "Let it in without limits no more",
	  .args = PBX_TABLE(one),
	  .flags = PBX_ROUTE_WRITES },
};
