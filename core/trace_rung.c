/* trace_rung.c - messages as JSON, and filters */
#include "trace_rung.h"
#include "address_text.h"
#include "json_auto.h"
#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

bool core_trace_address_read(const char *text, struct core_addr *ret_addr)
{
	char host[64];
	const char *colon = strrchr(text, ':');
	bool six = text[0] == '[';
	size_t length = colon ? (size_t)(colon - text) : 0;

	memset(ret_addr, 0, sizeof *ret_addr);
	if (length < 3 || length >= sizeof host)
		return false;
	(void)snprintf(host, sizeof host, "%.*s", (int)(length - (six ? 2 : 0)), text + six);
	ret_addr->sa.sa_family = six ? AF_INET6 : AF_INET;
	ret_addr->in4.sin_port = htons((uint16_t)strtoul(colon + 1, NULL, 10)); /* in6's stands in the same place */
	return inet_pton(ret_addr->sa.sa_family, host, six ? (void *)&ret_addr->in6.sin6_addr : (void *)&ret_addr->in4.sin_addr) == 1;
}

const char *core_trace_peer(const struct core_trace_message *message, const struct core_sip_text *text)
{
	bool is_to = message->sent == (text->status == 0);

	return is_to ? text->to_user : text->from_user;
}

/* "PCMU PCMA at 192.0.2.7:4000 sendonly" */
static void say_sdp(const struct core_sip_sdp *sdp, char *ret_text, size_t size)
{
	bool usual = strcmp(sdp->direction, "sendrecv") == 0;

	ret_text[0] = '\0';
	if (sdp->present)
		(void)snprintf(ret_text, size, "%s%s at %s:%u%s%s", sdp->codecs, sdp->secure ? " (SRTP)" : "", sdp->address, sdp->port,
			       usual ? "" : " ", usual ? "" : sdp->direction);
}

struct pbx_json *core_trace_rung(const struct core_trace_message *message, const struct core_sip_text *text, int64_t first_us, bool repeat,
				 uint32_t flags)
{
	AUTO(json) struct pbx_json *json = core_json_object();
	char remote[64], local[64], sdp[280];

	core_address_print(&message->remote, remote, sizeof remote);
	core_address_print(&message->local, local, sizeof local);
	say_sdp(&text->sdp, sdp, sizeof sdp);
	if (core_json_set_time(json, "time", message->wall_us) != PBX_OK ||
	    core_json_set_number(json, "offset_ms", first_us ? (double)(message->wall_us - first_us) / 1000 : 0) != PBX_OK ||
	    core_json_set_text(json, "direction", message->sent ? "out" : "in") != PBX_OK ||
	    core_json_set_text(json, "transport", message->transport) != PBX_OK ||
	    core_json_set_text(json, "peer", core_trace_peer(message, text)) != PBX_OK ||
	    core_json_set_text(json, "remote", remote) != PBX_OK || core_json_set_text(json, "local", local) != PBX_OK ||
	    core_json_set_text(json, "call_id", message->call_id) != PBX_OK ||
	    core_json_set_text(json, "sip_call_id", text->call_id) != PBX_OK ||
	    core_json_set_text(json, "method", text->method) != PBX_OK || core_json_set_integer(json, "status", text->status) != PBX_OK ||
	    core_json_set_text(json, "line", text->line) != PBX_OK || core_json_set_boolean(json, "repeat", repeat) != PBX_OK ||
	    core_json_set_text(json, "sdp", sdp) != PBX_OK || core_json_set_integer(json, "size", message->size) != PBX_OK)
		return NULL;
	if (flags & CORE_RUNG_TEXT) {
		AUTO(text) char *whole = strndup(message->text, message->size);

		if (!whole || core_json_set_text(json, "text", whole) != PBX_OK)
			return NULL;
	}
	return TAKE(json);
}

/* ---- filters -------------------------------------------------------------------------- */

static bool is_address(const char *who, const char *address)
{
	size_t length = strlen(who);
	bool bracketed = address[0] == '[' && who[0] != '[';

	address += bracketed;
	return strncmp(address, who, length) == 0 && (address[length] == '\0' || address[length] == ':' || address[length] == ']');
}

static bool (*is_system)(const char *name, const struct core_addr *remote);

void core_trace_set_systems(bool (*fn)(const char *name, const struct core_addr *remote))
{
	is_system = fn;
}

bool core_trace_knows_system(const char *name)
{
	return is_system && is_system(name, NULL);
}

static bool is_about(const char *who, const struct core_trace_message *message, const struct core_sip_text *text)
{
	const char *const users[] = { text->from_user, text->to_user, text->request_user, text->auth_user };
	char address[64];

	for (size_t i = 0; i < sizeof users / sizeof users[0]; i++)
		if (strcmp(who, users[i]) == 0)
			return true;
	core_address_print(&message->remote, address, sizeof address);
	return is_address(who, address) || (is_system && is_system(who, &message->remote));
}

bool core_trace_wanted(const struct core_trace_filter *filter, const struct core_trace_message *message, const struct core_sip_text *text)
{
	if (filter->method[0] && strcasecmp(filter->method, text->method) != 0)
		return false;
	if (filter->call_id[0] && strcmp(filter->call_id, message->call_id) != 0 && strcmp(filter->call_id, text->call_id) != 0)
		return false;
	return !filter->who[0] || is_about(filter->who, message, text);
}
