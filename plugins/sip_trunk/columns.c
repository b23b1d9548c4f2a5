/*
 * columns - trunks and routes, member by member: one table for the arguments of a request, the columns of the store, and what is shown
 */
#include "sip_trunk.h"
#include <stdlib.h>
#include <string.h>

#define AT(owner, member) .offset = (uint32_t)offsetof(struct owner, member), .size = (uint32_t)sizeof(((struct owner *)0)->member)
#define TEXT(owner, member, help_text, ...)                                                                                                \
	{                                                                                                                                  \
		.arg = { .name = #member,                                                                                                  \
			 .type = PBX_TYPE_TEXT,                                                                                            \
			 .most = (int64_t)sizeof(((struct owner *)0)->member) - 1,                                                         \
			 .help = help_text },                                                                                              \
		AT(owner, member), __VA_ARGS__                                                                                             \
	}
#define UINT(owner, member, from, to, value, help_text)                                                                                    \
	{                                                                                                                                  \
		.arg = { .name = #member, .type = PBX_TYPE_INT, .least = from, .most = to, .help = help_text }, AT(owner, member),         \
		.initial = value                                                                                                           \
	}
#define FLAG(owner, member, value, help_text)                                                                                              \
	{                                                                                                                                  \
		.arg = { .name = #member, .type = PBX_TYPE_BOOL, .help = help_text }, AT(owner, member), .initial = value                  \
	}
#define LIST(owner, member, value, help_text)                                                                                              \
	{                                                                                                                                  \
		.arg = { .name = #member, .type = PBX_TYPE_LIST, .help = help_text }, AT(owner, member), .initial = value                  \
	}
#define CHOICE(owner, member, value, help_text, ...)                                                                                       \
	{                                                                                                                                  \
		.arg = { .name = #member, .type = PBX_TYPE_CHOICE, .help = help_text, .choices = PBX_CHOICES(__VA_ARGS__) },               \
		AT(owner, member), .initial = value                                                                                        \
	}
#define ID(owner, named, help_text)                                                                                                        \
	{                                                                                                                                  \
		.arg = { .name = named,                                                                                                    \
			 .type = PBX_TYPE_TEXT,                                                                                            \
			 .flags = PBX_ARG_REQUIRED,                                                                                        \
			 .least = 1,                                                                                                       \
			 .most = ID_SIZE - 1,                                                                                              \
			 .help = help_text },                                                                                              \
		AT(owner, id)                                                                                                              \
	}

const struct column trunk_columns[TRUNK_COLUMNS] = {
	ID(trunk_config, "trunk_id", "Short name: a-z, 0-9, _ . -"),
	TEXT(trunk_config, name, "What people call it"),
	FLAG(trunk_config, enabled, "1", "Off: no calls, no registration"),
	TEXT(trunk_config, host, "Name or address of the provider"),
	UINT(trunk_config, port, 0, 65535, NULL, "0: by DNS, or 5060"),
	CHOICE(trunk_config, transport, "", "Left empty: by DNS, or udp", "", "udp", "tcp", "tls"),
	TEXT(trunk_config, outbound_proxy, "Where requests are sent instead: sip:edge.example.net"),
	FLAG(trunk_config, registration_required, "0", "Register there; off: the provider knows us by address"),
	TEXT(trunk_config, username, "Our account there"),
	TEXT(trunk_config, auth_username, "For credentials, when it is not username"),
	TEXT(trunk_config, auth_realm, "Answer challenges of this realm only; empty: any"),
	{ .arg = { .name = "password", .type = PBX_TYPE_SECRET, .most = 128, .help = "For credentials; kept encrypted, never shown" },
	  AT(trunk_config, password) },
	TEXT(trunk_config, from_user, "In From; empty: username"),
	TEXT(trunk_config, from_domain, "In From; empty: host"),
	UINT(trunk_config, registration_expire_s, 30, 86400, "3600", "How long a registration is to last, in seconds"),
	UINT(trunk_config, keep_alive_interval_s, 0, 3600, "30", "OPTIONS every so many seconds; 0: none"),
	UINT(trunk_config, max_channels, 0, 10000, "10", "Calls at once in both directions; 0: no limit"),
	UINT(trunk_config, max_calls_per_second, 0, 1000, NULL, "New calls to it in a second; 0: no limit"),
	UINT(trunk_config, priority, 0, 1000, "100", "The smaller is taken first"),
	LIST(trunk_config, codec_preferences, "PCMU,PCMA", "Codecs in order; empty: all we have"),
	LIST(trunk_config, allowed_ips, NULL, "Addresses and networks its calls come from; empty: those of host"),
	CHOICE(trunk_config, number_format, "as_dialled", "How numbers are written to it", "as_dialled", "e164", "plus_e164", "national"),
	TEXT(trunk_config, caller_id, "Number shown when nothing better is known, or always with policy trunk"),
	CHOICE(trunk_config, caller_id_policy, "extension",
	       "extension: its own outside number, then its DID; did: its DID; trunk: caller_id", "extension", "did", "trunk"),
	LIST(trunk_config, show, "from,pai,diversion", "Where callers are shown: from, pai, rpid, ppi, diversion, history"),
	FLAG(trunk_config, trusted, "0", "Believe its P-Asserted-Identity, and tell it withheld numbers"),
	LIST(trunk_config, headers, NULL, "Header lines added to each INVITE: X-Account: 42"),
	TEXT(trunk_config, preset, "Begin with the values of this preset; what else is said goes before them"),
	TEXT(trunk_config, certificate, "Name in the TLS certificate that its calls come with, beside or instead of addresses"),
	CHOICE(trunk_config, caller_format, "as_received", "How numbers of its callers are shown here", "as_received", "e164", "plus_e164",
	       "national"),
	CHOICE(trunk_config, srtp, "", "Encrypted media; left empty: as media.srtp says; dtls: required, and offered by DTLS", "", "off",
	       "optional", "required", "dtls"),
	CHOICE(trunk_config, dtmf, "auto", "How keys go there; auto: events when agreed, else tones with G.711, else INFO", "auto",
	       "rfc4733", "info", "inband"),
	FLAG(trunk_config, bulk_registration, "0", "Register all our numbers at once (RFC 6140)"),
	CHOICE(trunk_config, session_timers, "",
	       "Session timers (RFC 4028); left empty: as sip.session_timers says; accept: where the provider asks for them", "", "off",
	       "accept", "always"),
	UINT(trunk_config, session_expires_s, 0, 86400, NULL,
	     "How long a call may last without being refreshed, in seconds; 0: sip.session_expires_s; sip.min_se_s is the least"),
	UINT(trunk_config, sip_dscp, 0, 63, NULL, "DSCP of signalling to it: 24 is CS3, 26 AF31; 0: as sip.dscp says"),
	UINT(trunk_config, rtp_dscp, 0, 63, NULL, "DSCP of its calls' media: 46 is EF; 0: as media.dscp says"),
	UINT(trunk_config, crlf_keepalive_s, 0, 3600, NULL,
	     "Over TCP and TLS an empty line so often (RFC 5626), and a new connection when none comes back; 0: when its registrar says "
	     "Flow-Timer"),
	CHOICE(trunk_config, t38, "auto",
	       "Fax by T.38; auto: as media.t38 says; pass: where the other party takes it too; gateway: with any party", "auto", "off",
	       "pass", "gateway"),
	TEXT(trunk_config, token, "The user part of our Contact there", .hidden = true),
};

const struct column outbound_columns[OUTBOUND_COLUMNS] = {
	ID(outbound_route, "route_id", "Short name of the route"),
	TEXT(outbound_route, name, "What people call it"),
	FLAG(outbound_route, enabled, "1", "Off: as if it were not there"),
	TEXT(outbound_route, pattern, "Extended regular expression for the start of the dialled number: 1[2-9][0-9]{9}"),
	UINT(outbound_route, strip, 0, 32, NULL, "Digits taken from the start"),
	TEXT(outbound_route, prepend, "Put before what is left"),
	LIST(outbound_route, trunks, NULL, "Trunks in order; empty: all by priority"),
	FLAG(outbound_route, failover, "1", "After these, the other trunks by priority"),
	LIST(outbound_route, callers, NULL,
	     "Extensions that may use it, 10* for all that begin with 10; empty: everybody who may call outside"),
	TEXT(outbound_route, hours, "When it holds: mon-fri 08:00-18:00, sat 09:00-13:00; empty: always"),
	UINT(outbound_route, priority, 0, 1000, "100", "The smaller is asked first"),
	TEXT(outbound_route, preset, "Begin with the values of this preset; what else is said goes before them"),
	{ .arg = { .name = "pins",
		   .type = PBX_TYPE_SECRET,
		   .most = 128,
		   .help = "Callers type one of these and # before the call goes out: 4711,0815; kept encrypted, never shown" },
	  AT(outbound_route, pins),
	  .check = pins_check },
	CHOICE(outbound_route, least_class, "", "Only for extensions whose call_class reaches so far; left empty: for all", "", "local",
	       "national", "international", "premium"),
};

const struct column inbound_columns[INBOUND_COLUMNS] = {
	ID(inbound_route, "route_id", "Short name of the route"),
	TEXT(inbound_route, trunk_id, "Only calls of this trunk; empty: of any"),
	TEXT(inbound_route, did, "The number dialled outside: exact, or with X (digit), Z (1-9), N (2-9), and . at the end for anything"),
	UINT(inbound_route, strip_prefix, 0, 32, NULL, "Without destination: digits taken from the start of the number"),
	TEXT(inbound_route, destination, "Where it goes: an extension, or any number here; empty: what strip_prefix leaves"),
	TEXT(inbound_route, description, "For people"),
};

static int check_outbound(struct sip_trunk *plugin, void *row, struct pbx_diag *diag)
{
	const struct outbound_route *route = row;
	regex_t regex;
	int err = outbound_compile(&regex, route->pattern, diag);

	(void)plugin;
	if (err != PBX_OK)
		return err;
	regfree(&regex);
	if (!hours_good(route->hours)) {
		pbx_diag_set(diag, "hours", "'%.80s' are no hours: write mon-fri 08:00-18:00, sat 09:00-13:00", route->hours);
		return PBX_EINVAL;
	}
	if (route->prepend[strspn(route->prepend, "0123456789+*#")] != '\0') {
		pbx_diag_set(diag, "prepend", "only digits, + * and # can be put before a number");
		return PBX_EINVAL;
	}
	return PBX_OK;
}

static int check_inbound(struct sip_trunk *plugin, void *row, struct pbx_diag *diag)
{
	const struct inbound_route *route = row;
	size_t length = strspn(route->did, "+0123456789XZN");

	if (length == 0 || (route->did[length] != '\0' && strcmp(route->did + length, ".") != 0)) {
		pbx_diag_set(diag, "did", "a DID is a number, X, Z or N for digits in it, and at the end perhaps a dot");
		return PBX_EINVAL;
	}
	if (!route->destination[0] && !route->strip_prefix) {
		pbx_diag_set(diag, "destination",
			     "say where the call goes: destination, or strip_prefix to go to what is left of the number");
		return PBX_EINVAL;
	}
	if (route->trunk_id[0] && !record_find(plugin, KIND_TRUNK, route->trunk_id)) {
		pbx_diag_set(diag, "trunk_id", "there is no trunk %s", route->trunk_id);
		return PBX_EINVAL;
	}
	return PBX_OK;
}

const struct kind kinds[KINDS] = {
	{ "sip_trunk_trunks", "trunk", "/sip-trunks", "trunk", PBX_TABLE(trunk_columns), sizeof(struct trunk_config), trunk_check,
	  trunk_changed },
	{ "sip_trunk_outbound", "outbound route", "/outbound-routes", "outbound_route", PBX_TABLE(outbound_columns),
	  sizeof(struct outbound_route), check_outbound, NULL },
	{ "sip_trunk_inbound", "inbound route", "/inbound-routes", NULL, PBX_TABLE(inbound_columns), sizeof(struct inbound_route),
	  check_inbound, NULL },
};

/* ---- rows ----------------------------------------------------------------------------- */

static const struct column *column_at(const struct kind *kind, uint32_t at)
{
	return (const struct column *)kind->columns.rows + at;
}

static void set_text(void *row, const struct column *column, const char *text)
{
	(void)snprintf((char *)row + column->offset, column->size, "%s", text ? text : "");
}

static void set_number(void *row, const struct column *column, int64_t value)
{
	if (column->arg.type == PBX_TYPE_BOOL)
		*(bool *)((char *)row + column->offset) = value != 0;
	else
		*(uint32_t *)((char *)row + column->offset) = (uint32_t)value;
}

static int64_t number_of(const void *row, const struct column *column)
{
	if (column->arg.type == PBX_TYPE_BOOL)
		return *(const bool *)((const char *)row + column->offset);
	return *(const uint32_t *)((const char *)row + column->offset);
}

static bool is_number(const struct column *column)
{
	return column->arg.type == PBX_TYPE_BOOL || column->arg.type == PBX_TYPE_INT;
}

void row_init(const struct kind *kind, void *row)
{
	memset(row, 0, kind->size);
	for (uint32_t i = 0; i < kind->columns.count; i++) {
		const struct column *column = column_at(kind, i);

		if (column->initial && is_number(column))
			set_number(row, column, strtol(column->initial, NULL, 10));
		else if (column->initial)
			set_text(row, column, column->initial);
	}
}

void row_read(const struct kind *kind, void *row, const struct pbx_rows *rows, uint32_t at)
{
	memset(row, 0, kind->size);
	for (uint32_t i = 0; i < kind->columns.count; i++)
		if (is_number(column_at(kind, i)))
			set_number(row, column_at(kind, i), pbx_cell_int(rows, at, i));
		else
			set_text(row, column_at(kind, i), pbx_cell_text(rows, at, i));
}

void row_values(const struct kind *kind, const void *row, struct pbx_value *ret_values)
{
	for (uint32_t i = 0; i < kind->columns.count; i++) {
		const struct column *column = column_at(kind, i);

		ret_values[i] = is_number(column) ? PBX_V_INT(number_of(row, column)) : pbx_v_text((const char *)row + column->offset);
	}
}

uint32_t list_split(const char *list, char *buffer, size_t size, const char **ret_items, uint32_t most)
{
	uint32_t count = 0;
	char *rest = buffer, *item;

	(void)snprintf(buffer, size, "%s", list);
	while (count < most && (item = strsep(&rest, ","))) {
		item += strspn(item, " ");
		if (item[0])
			ret_items[count++] = item;
	}
	return count;
}

static struct pbx_json *list_json(const struct sip_trunk *plugin, const char *list)
{
	struct pbx_json *json = plugin->json->new_array();
	const char *items[64];
	char buffer[1024];
	uint32_t count = list_split(list, buffer, sizeof buffer, items, 64);

	for (uint32_t i = 0; i < count; i++)
		(void)plugin->json->append_text(json, items[i]);
	return json;
}

/* "has_password": that there is one is all that is told of a secret. */
static void set_has(const struct pbx_jsons *json, struct pbx_json *object, const char *name, bool has)
{
	char named[64];

	(void)snprintf(named, sizeof named, "has_%s", name);
	(void)json->set_boolean(object, named, has);
}

struct pbx_json *row_json(const struct sip_trunk *plugin, const struct kind *kind, const void *row)
{
	const struct pbx_jsons *json = plugin->json;
	struct pbx_json *object = json->new_object();

	for (uint32_t i = 0; i < kind->columns.count; i++) {
		const struct column *column = column_at(kind, i);
		const char *name = column->arg.name, *text = (const char *)row + column->offset;

		if (column->hidden)
			continue;
		if (column->arg.type == PBX_TYPE_SECRET)
			set_has(json, object, name, text[0] != '\0');
		else if (column->arg.type == PBX_TYPE_LIST)
			(void)json->set(object, name, list_json(plugin, text));
		else if (column->arg.type == PBX_TYPE_BOOL)
			(void)json->set_boolean(object, name, number_of(row, column));
		else if (column->arg.type == PBX_TYPE_INT)
			(void)json->set_integer(object, name, number_of(row, column));
		else
			(void)json->set_text(object, name, text);
	}
	return object;
}

/* ---- what a request says -------------------------------------------------------------- */

static int take_list(const struct sip_trunk *plugin, const struct column *column, void *row, const struct pbx_json *list,
		     struct pbx_diag *diag)
{
	char *text = (char *)row + column->offset;
	size_t used = 0;

	text[0] = '\0';
	for (uint32_t i = 0; i < plugin->json->count(list); i++) {
		const char *item = plugin->json->text(plugin->json->at(list, i));

		if (!item || strchr(item, ',') || used + strlen(item) + 2 > column->size) {
			pbx_diag_set(diag, column->arg.name, "the list is too long, or an item has a comma in it");
			return PBX_EINVAL;
		}
		used += (size_t)snprintf(text + used, column->size - used, "%s%s", used ? "," : "", item);
	}
	return PBX_OK;
}

/* Bound to the row, so that nobody moves it to another one. */
static void secret_context(const struct kind *kind, const void *row, char ret_context[ID_SIZE + 32])
{
	bool is_trunk = kind == &kinds[KIND_TRUNK];

	(void)snprintf(ret_context, ID_SIZE + 32, "sip_trunk.%s%s", is_trunk ? "" : kind->path, (const char *)row);
}

char *row_secret(const struct sip_trunk *plugin, const struct kind *kind, const void *row, const char *sealed)
{
	char context[ID_SIZE + 32];

	secret_context(kind, row, context);
	return sealed[0] ? plugin->secrets->open(sealed, context) : NULL;
}

static int take_secret(const struct sip_trunk *plugin, const struct kind *kind, const struct column *column, void *row, const char *text,
		       struct pbx_diag *diag)
{
	char context[ID_SIZE + 32];
	int err = text && column->check ? column->check(text, diag) : PBX_OK;

	if (err != PBX_OK)
		return err;
	if (!text || !text[0]) {
		set_text(row, column, "");
		return PBX_OK;
	}
	secret_context(kind, row, context);
	char *sealed = plugin->secrets->seal(text, context);
	if (!sealed)
		return PBX_ENOMEM;
	set_text(row, column, sealed);
	plugin->secrets->wipe(sealed);
	return PBX_OK;
}

int row_take(const struct sip_trunk *plugin, const struct kind *kind, void *row, pbx_request request, struct pbx_diag *diag)
{
	const struct pbx_requests *requests = plugin->requests;
	int err = PBX_OK;

	for (uint32_t i = 0; i < kind->columns.count && err == PBX_OK; i++) {
		const struct column *column = column_at(kind, i);
		const char *name = column->arg.name;

		if (column->hidden || !requests->has(request, name))
			continue;
		if (column->arg.type == PBX_TYPE_BOOL)
			set_number(row, column, requests->boolean(request, name, false));
		else if (column->arg.type == PBX_TYPE_INT)
			set_number(row, column, requests->integer(request, name, 0));
		else if (column->arg.type == PBX_TYPE_LIST)
			err = take_list(plugin, column, row, requests->json(request, name), diag);
		else if (column->arg.type == PBX_TYPE_SECRET)
			err = take_secret(plugin, kind, column, row, requests->text(request, name), diag);
		else
			set_text(row, column, requests->text(request, name));
	}
	return err;
}

/* Presets come with the product or are an administrator's: a member that does not fit is said, not guessed about. */
static int take_preset(const struct sip_trunk *plugin, const struct column *column, void *row, const struct pbx_json *value,
		       struct pbx_diag *diag)
{
	const struct pbx_jsons *json = plugin->json;
	uint32_t type = column->arg.type;
	uint32_t wanted = type == PBX_TYPE_BOOL   ? PBX_JSON_BOOL
			  : type == PBX_TYPE_INT  ? PBX_JSON_NUMBER
			  : type == PBX_TYPE_LIST ? PBX_JSON_ARRAY
						  : PBX_JSON_TEXT;
	int64_t number = json->integer(value, 0);

	if (type == PBX_TYPE_SECRET || column->hidden || json->type(value) != wanted ||
	    (type == PBX_TYPE_INT && (number < column->arg.least || (column->arg.most && number > column->arg.most)))) {
		pbx_diag_set(diag, "preset", "the preset's \"%s\" cannot be: %s", column->arg.name, column->arg.help);
		return PBX_EINVAL;
	}
	if (type == PBX_TYPE_LIST)
		return take_list(plugin, column, row, value, diag);
	if (is_number(column))
		set_number(row, column, type == PBX_TYPE_BOOL ? json->boolean(value, false) : number);
	else
		set_text(row, column, json->text(value));
	return PBX_OK;
}

int row_preset(const struct sip_trunk *plugin, const struct kind *kind, void *row, const struct pbx_json *values, struct pbx_diag *diag)
{
	int err = PBX_OK;

	for (uint32_t m = 0; m < plugin->json->count(values) && err == PBX_OK; m++) {
		const struct pbx_json *value = plugin->json->at(values, m);
		const char *name = plugin->json->name(value);
		uint32_t i = 1; /* not the id */

		while (i < kind->columns.count && strcmp(column_at(kind, i)->arg.name, name) != 0)
			i++;
		if (i == kind->columns.count) {
			pbx_diag_set(diag, "preset", "the preset says \"%.40s\", which no %s has", name, kind->what);
			return PBX_EINVAL;
		}
		err = take_preset(plugin, column_at(kind, i), row, value, diag);
	}
	return err;
}
