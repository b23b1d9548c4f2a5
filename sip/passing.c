/*
 * passing.c - what goes on from one leg's INVITE to those that are sent on its behalf
 *
 * We are the end of each leg: what a caller's INVITE says stays with us but for the headers of sip.pass_headers, which go to phones and to
 * systems that are trusted, and from there. Which device calls is said to phones in X-MAC-Address: what the device says itself, or
 * what is known of its registration. What a trusted system says by headers of sip.field_headers ends in the record of the call.
 */
#include "passing.h"
#include "caller.h"
#include "calls.h"
#include "contact.h"
#include "json.h"
#include "location.h"
#include <ctype.h>
#include <string.h>

#define MOST_PASSED 2048u /* bytes of one INVITE that go on */
#define MAC_HEADER "X-MAC-Address"

/* ---- which device --------------------------------------------------------------------- */

/* Twelve hexadecimal digits, in pairs with or without : or - between them, and then no more. Returns how many characters, 0: none here. */
static size_t mac_at(const char *text, char ret_mac[UA_MAC_SIZE])
{
	const char *at = text;

	for (uint32_t pair = 0; pair < 6; pair++) {
		if (pair > 0 && (*at == ':' || *at == '-'))
			at++;
		if (!isxdigit((unsigned char)at[0]) || !isxdigit((unsigned char)at[1]))
			return 0;
		(void)snprintf(ret_mac + pair * 3, 4, "%c%c%s", tolower((unsigned char)at[0]), tolower((unsigned char)at[1]),
			       pair < 5 ? ":" : "");
		at += 2;
	}
	return isalnum((unsigned char)*at) ? 0 : (size_t)(at - text);
}

static bool find_mac(const char *text, char ret_mac[UA_MAC_SIZE])
{
	for (const char *at = text; *at; at++)
		if ((at == text || !isalnum((unsigned char)at[-1])) && mac_at(at, ret_mac))
			return true;
	return false;
}

/* The node of "<urn:uuid:00000000-0000-1000-8000-001565abcdef>". A random UUID (version 4) has none. */
static bool mac_of_instance(const char *instance, char ret_mac[UA_MAC_SIZE])
{
	const char *uuid = strcasestr(instance, "uuid:");

	return uuid && strlen(uuid) >= 5 + 36 && uuid[5 + 14] != '4' && mac_at(uuid + 5 + 24, ret_mac);
}

bool ua_mac_of(const char *uri, const char *instance, const char *user_agent, char ret_mac[UA_MAC_SIZE])
{
	char param[32];

	return (ua_uri_param(uri, "mac", param, sizeof param) && mac_at(param, ret_mac)) || mac_of_instance(instance, ret_mac) ||
	       find_mac(user_agent, ret_mac);
}

static bool mac_of_header(const sip_t *sip, char ret_mac[UA_MAC_SIZE])
{
	for (const sip_unknown_t *header = sip->sip_unknown; header; header = header->un_next)
		if (strcasecmp(header->un_name, MAC_HEADER) == 0 && header->un_value)
			return mac_at(header->un_value, ret_mac) > 0;
	return false;
}

static bool mac_of_caller(const struct ua_request *request, char ret_mac[UA_MAC_SIZE])
{
	bool believed = request->account[0] || ua_request_is_trusted(request);

	if (believed && request->ua->settings->accept_mac_in_invite && mac_of_header(request->sip, ret_mac))
		return true;
	for (const struct ua_binding *binding = request->account[0] ? ua_location_find(request->account) : NULL; binding;
	     binding = binding->next_of_aor)
		if (strcmp(binding->received, request->address) == 0)
			return ua_mac_of(binding->uri, binding->instance, binding->user_agent, ret_mac);
	return false;
}

/* ---- headers by name ------------------------------------------------------------------ */

/* What we say for ourselves, and what would change the meaning of a message that we have written. */
static const char *const our_own[] = {
	"Accept",
	"Accept-Encoding",
	"Allow",
	"Allow-Events",
	"Authorization",
	"Call-ID",
	"Contact",
	"Content-Disposition",
	"Content-Encoding",
	"Content-Length",
	"Content-Type",
	"CSeq",
	"Date",
	"Diversion",
	"Event",
	"Expires",
	"From",
	"History-Info",
	"Max-Forwards",
	"MIME-Version",
	"Min-Expires",
	"Min-SE",
	"P-Asserted-Identity",
	"P-Preferred-Identity",
	"Path",
	"Privacy",
	"Proxy-Authenticate",
	"Proxy-Authorization",
	"Proxy-Require",
	"RAck",
	"Reason",
	"Record-Route",
	"Refer-To",
	"Referred-By",
	"Remote-Party-ID",
	"Replaces",
	"Require",
	"Route",
	"RSeq",
	"Server",
	"Service-Route",
	"Session-Expires",
	"Subscription-State",
	"Supported",
	"Timestamp",
	"To",
	"Unsupported",
	"User-Agent",
	"Via",
	"WWW-Authenticate",
	MAC_HEADER,
};

static bool is_header_name(const char *name, size_t length)
{
	return length >= 3 && length <= 60 &&
	       strspn(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_.!%*+") >= length;
}

int ua_passing_check(const struct pbx_list *names, struct pbx_diag *diag)
{
	for (uint32_t i = 0; i < names->count; i++) {
		const char *name = names->items[i];

		if (!is_header_name(name, strlen(name))) {
			pbx_diag_set(diag, "pass_headers", "'%.60s' is no header's name: write it in full, as User-to-User", name);
			return PBX_EINVAL;
		}
		for (size_t at = 0; at < sizeof our_own / sizeof our_own[0]; at++)
			if (strcasecmp(name, our_own[at]) == 0) {
				pbx_diag_set(diag, "pass_headers", "%s is ours to write on each leg and cannot be passed on", our_own[at]);
				return PBX_EINVAL;
			}
	}
	return PBX_OK;
}

static bool is_listed(const struct pbx_list *names, const char *name)
{
	for (uint32_t i = 0; i < names->count; i++)
		if (strcasecmp(names->items[i], name) == 0)
			return true;
	return false;
}

/* One line more, as long as there is room for the whole of it. */
static void add_line(char text[MOST_PASSED], const char *name, const char *value)
{
	size_t used = strlen(text);

	if (value && !strpbrk(value, "\r\n") && used + strlen(name) + strlen(value) + 4 < MOST_PASSED)
		(void)snprintf(text + used, MOST_PASSED - used, "%s: %s\n", name, value);
}

/* Each header of a request by its name in full. */
static void each_header(const struct ua_request *request, void (*each)(void *context, const char *name, const char *value), void *context)
{
	su_home_t home[1] = { SU_HOME_INIT(home) };

	(void)su_home_init(home);
	for (sip_header_t *header = (sip_header_t *)request->sip->sip_request; header; header = (sip_header_t *)header->sh_succ) {
		bool is_unknown = header->sh_class == sip_unknown_class;
		const char *name = is_unknown ? header->sh_unknown->un_name : header->sh_class->hc_name;

		if (name && name[0])
			each(context, name, is_unknown ? header->sh_unknown->un_value : sip_header_as_string(home, header));
	}
	su_home_deinit(home);
}

struct passed {
	const struct pbx_list *names;
	char *text; /* MOST_PASSED */
};

static void pass(void *context, const char *name, const char *value)
{
	const struct passed *passed = context;

	if (is_listed(passed->names, name))
		add_line(passed->text, name, value);
}

char *ua_passing_read(const struct ua_request *request)
{
	const struct ua_settings *settings = request->ua->settings;
	char text[MOST_PASSED] = "", mac[UA_MAC_SIZE];

	if (settings->pass_headers.count > 0 && (request->account[0] || ua_request_is_trusted(request)))
		each_header(request, pass, &(struct passed){ &settings->pass_headers, text });
	if (settings->send_mac_address && mac_of_caller(request, mac))
		add_line(text, MAC_HEADER, mac);
	return text[0] ? strdup(text) : NULL;
}

/* ---- for the record ------------------------------------------------------------------- */

/* "X-Case=case", or "X-Case" where the field has the header's name. */
static const char *field_of(const char *pair)
{
	const char *equals = strchr(pair, '=');

	return equals ? equals + 1 : pair;
}

int ua_passing_check_fields(const struct pbx_list *pairs, struct pbx_diag *diag)
{
	for (uint32_t i = 0; i < pairs->count; i++) {
		const char *pair = pairs->items[i];

		if (is_header_name(pair, strcspn(pair, "=")) && core_field_name_is_good(field_of(pair)))
			continue;
		pbx_diag_set(diag, "field_headers", "'%.90s' is no header with the name of a field: write X-Case=case, or X-Case alone",
			     pair);
		return PBX_EINVAL;
	}
	return PBX_OK;
}

struct noted {
	const struct pbx_list *pairs;
	struct pbx_json *fields;
};

/* The first of several headers of a name counts. */
static void note(void *context, const char *name, const char *value)
{
	const struct noted *noted = context;
	size_t length = strlen(name);

	for (uint32_t i = 0; i < noted->pairs->count && value; i++) {
		const char *pair = noted->pairs->items[i];

		if (strcspn(pair, "=") == length && strncasecmp(pair, name, length) == 0 && !core_json_get(noted->fields, field_of(pair)))
			(void)core_json_set_text(noted->fields, field_of(pair), value); /* without memory: the call matters more */
	}
}

struct pbx_json *ua_passing_fields(const struct ua_request *request)
{
	const struct pbx_list *pairs = &request->ua->settings->field_headers;
	struct noted noted = { .pairs = pairs };

	if (pairs->count == 0 || !ua_request_is_trusted(request))
		return NULL;
	noted.fields = core_json_object();
	each_header(request, note, &noted);
	if (core_json_count(noted.fields) > 0)
		return noted.fields;
	core_json_free(noted.fields);
	return NULL;
}

/* ---- to other systems ----------------------------------------------------------------- */

void ua_passing_for_peer(const struct pbx_sip_peer *peer, const char *headers, char *ret_headers, size_t size)
{
	size_t used = 0;

	ret_headers[0] = '\0';
	if (!headers || !(peer->flags & PBX_SIP_TRUSTED))
		return;
	for (const char *line = headers; *line; line += strcspn(line, "\n") + 1) {
		size_t length = strcspn(line, "\n") + 1;

		if (strncasecmp(line, MAC_HEADER ":", sizeof MAC_HEADER) == 0 || used + length >= size)
			continue; /* whose device it is stays in the house */
		memcpy(ret_headers + used, line, length);
		used += length;
		ret_headers[used] = '\0';
	}
}
