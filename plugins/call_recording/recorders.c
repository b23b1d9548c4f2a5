/*
 * recorders - recorders elsewhere: what the settings call them, and who they are to signalling
 *
 * A list names a recorder of the settings, or is content with a SIP URI. Each becomes a peer (pbx/sip.h) that we turn to and that never calls: whoever else is on that host
 * stays a stranger, or the phone it is.
 */
#include "call_recording.h"
#include <arpa/inet.h>
#include <ctype.h>
#include <stdlib.h>
#include <string.h>

/* ---- URIs ---- */

struct place {
	char host[256], transport[8]; /* host: an IPv6 address in brackets */
	uint32_t port;
};

static bool read_port(const char *text, size_t length, uint32_t *ret_port)
{
	char digits[8];

	if (length == 0 || length > 5 || strspn(text, "0123456789") < length)
		return false;
	(void)snprintf(digits, sizeof digits, "%.*s", (int)length, text);
	*ret_port = (uint32_t)strtoul(digits, NULL, 10);
	return *ret_port > 0 && *ret_port <= 65535;
}

/* ";transport=tcp;…" */
static bool read_transport(const char *params, struct place *place)
{
	for (; *params == ';'; params += strcspn(params, ";")) {
		params++;
		if (*params == '\0' || *params == ';')
			return false;
		if (strncasecmp(params, "transport=", 10) != 0)
			continue;
		size_t length = strcspn(params + 10, ";");

		if (length == 0 || length >= sizeof place->transport)
			return false;
		for (size_t i = 0; i < length; i++)
			place->transport[i] = (char)tolower((unsigned char)params[10 + i]);
		place->transport[length] = '\0';
	}
	return *params == '\0';
}

/* Labels of letters, digits, - and _ with dots between; neither end of one is a -. */
static bool is_name(const char *host)
{
	const char *label = host;

	for (;; label += strcspn(label, ".") + 1) {
		size_t length = strcspn(label, ".");

		if (length == 0 || length > 63 || label[0] == '-' || label[length - 1] == '-')
			return false;
		for (size_t i = 0; i < length; i++)
			if (!isalnum((unsigned char)label[i]) && !strchr("-_", label[i]))
				return false;
		if (label[length] == '\0')
			break;
	}
	return strspn(label, "0123456789") < strlen(label); /* or it means to be an address (RFC 1123 2.1) */
}

static bool is_host(const char *host)
{
	char address[64];
	uint8_t octets[16];
	size_t length = strlen(host);

	if (host[0] != '[')
		return inet_pton(AF_INET, host, octets) == 1 || is_name(host);
	if (length < 4 || length - 2 >= sizeof address || host[length - 1] != ']')
		return false;
	(void)snprintf(address, sizeof address, "%.*s", (int)(length - 2), host + 1);
	return inet_pton(AF_INET6, address, octets) == 1;
}

/* "recorder@", before which there is nothing, or nothing that RFC 3261 25.1 would not have there. */
static bool is_user(const char *user, const char *ends)
{
	if (ends == user)
		return false;
	for (; user < ends; user++)
		if (!isalnum((unsigned char)*user) && !strchr("-_.!~*'()&=+$,;/%:", *user))
			return false;
	return true;
}

/* "sip:recorder@192.0.2.7:5070;transport=tcp", "sips:[2001:db8::7]" */
static bool read_uri(const char *uri, struct place *ret_place)
{
	struct place place = { .transport = "" };
	bool is_secure = strncasecmp(uri, "sips:", 5) == 0;
	const char *at = uri + (is_secure ? 5 : 4), *user_ends = strchr(uri, '@');

	if ((!is_secure && strncasecmp(uri, "sip:", 4) != 0) || strlen(uri) >= URI_SIZE || strpbrk(uri, " \t\r\n<>\"?"))
		return false;
	if (user_ends && !is_user(at, user_ends))
		return false;
	at = user_ends ? user_ends + 1 : at;
	size_t length = at[0] == '[' ? strcspn(at, "]") + 1 : strcspn(at, ":;");

	if (length == 0 || length >= sizeof place.host || length > strlen(at))
		return false;
	(void)snprintf(place.host, sizeof place.host, "%.*s", (int)length, at);
	if (!is_host(place.host))
		return false;
	at += length;
	if (*at == ':') {
		length = strcspn(++at, ";");
		if (!read_port(at, length, &place.port))
			return false;
		at += length;
	}
	if (!read_transport(at, &place))
		return false;
	if (is_secure) { /* keys are in what it is sent: by TLS, or not at all */
		if (place.transport[0] && strcmp(place.transport, "tls") != 0 && strcmp(place.transport, "tcp") != 0)
			return false;
		(void)snprintf(place.transport, sizeof place.transport, "tls");
	}
	*ret_place = place;
	return true;
}

static uint32_t ip_version(const char *host)
{
	uint8_t octets[4];

	return host[0] == '[' ? 6 : inet_pton(AF_INET, host, octets) == 1 ? 4 : 0;
}

/* ---- one of a list ---- */

static const struct recorder *find_named(const struct recording_settings *settings, const char *name)
{
	const struct recorder *recorders = settings->recorders.rows;

	for (uint32_t i = 0; i < settings->recorders.count; i++)
		if (strcmp(recorders[i].name, name) == 0)
			return &recorders[i];
	return NULL;
}

/* "recorder.192.0.2.7_5070_tcp", "recorder._2001-db8--7": no two places have one name, or what one is to be sent would go to the other. False: the
 * name would be too long. */
static bool name_place(const struct place *place, char ret_name[RECORDER_NAME])
{
	const bool is_ipv6 = place->host[0] == '[';
	char host[2 * sizeof place->host] = "", port[12] = "";
	size_t used = 0;

	for (const char *at = place->host; *at; at++) {
		if (*at == '_')
			host[used++] = '_'; /* doubled: one alone parts host, port and transport */
		if (*at != '[' && *at != ']')
			host[used++] = *at == ':' ? '-' : (char)tolower((unsigned char)*at);
	}
	if (place->port)
		(void)snprintf(port, sizeof port, "_%u", place->port);
	const int length = snprintf(ret_name, RECORDER_NAME, "recorder.%s%.*s%s%s%s", is_ipv6 ? "_" : "", (int)used, host, port,
				    place->transport[0] ? "_" : "", place->transport);

	return length > 0 && length < (int)RECORDER_NAME;
}

static int find_way(const struct recording_settings *settings, const char *text, struct recorder_way *ret_way, struct place *ret_place,
		    struct pbx_diag *diag)
{
	const struct recorder *named = find_named(settings, text);
	const char *uri = named ? named->uri : text;

	if (!read_uri(uri, ret_place)) {
		pbx_diag_set(diag, "",
			     "'%.80s' is neither the name of one of recorders nor a SIP URI: write sip:HOST, sip:USER@HOST:PORT, or "
			     "sip:HOST;transport=tcp",
			     text);
		return PBX_EINVAL;
	}
	memset(ret_way, 0, sizeof *ret_way);
	if (named) {
		(void)snprintf(ret_way->peer, sizeof ret_way->peer, "recorder.%s", named->name);
	} else if (!name_place(ret_place, ret_way->peer)) {
		pbx_diag_set(diag, "", "'%.80s' has too long a host: give it a name in recorders", text);
		return PBX_EINVAL;
	} else if (find_named(settings, ret_way->peer + strlen("recorder."))) {
		pbx_diag_set(diag, "", "'%.80s' would be taken for the recorder that is called so: give it a name in recorders, too", text);
		return PBX_EINVAL;
	}
	(void)snprintf(ret_way->uri, sizeof ret_way->uri, "%s", uri);
	(void)snprintf(ret_way->shown, sizeof ret_way->shown, "%s", text);
	ret_way->ip_version = ip_version(ret_place->host);
	return PBX_OK;
}

int recorder_find(const struct recording_settings *settings, const char *text, struct recorder_way *ret_way, struct pbx_diag *diag)
{
	struct place place;

	return find_way(settings, text, ret_way, &place, diag);
}

/* ---- whether the settings fit ---- */

/* Whoever is asked twice in a row refuses twice. */
static int check_way(const struct recording_settings *settings, const struct pbx_list *list, uint32_t index, struct pbx_diag *diag)
{
	struct recorder_way way, before;
	int err = recorder_find(settings, list->items[index], &way, diag);

	for (uint32_t i = 0; i < index && err == PBX_OK; i++) {
		if (recorder_find(settings, list->items[i], &before, NULL) != PBX_OK || strcasecmp(before.uri, way.uri) != 0)
			continue;
		pbx_diag_set(diag, "", "'%.80s' is in this list twice: each recorder is asked once, then the next", list->items[index]);
		err = PBX_EINVAL;
	}
	return err;
}

static int check_ways(const struct recording_settings *settings, const struct ways *ways, const char *field, struct pbx_diag *diag)
{
	char name[80];

	(void)snprintf(name, sizeof name, "%ssiprec", field);
	if (ways->recorders->count > MOST_RECORDERS) {
		pbx_diag_set(diag, name, "at most %u recorders fit into a list", MOST_RECORDERS);
		return PBX_EINVAL;
	}
	for (uint32_t i = 0; i < ways->recorders->count; i++) {
		int err = check_way(settings, ways->recorders, i, diag);

		if (err == PBX_OK)
			continue;
		(void)snprintf(name, sizeof name, "%ssiprec[%u]", field, i);
		if (diag)
			(void)snprintf(diag->field, sizeof diag->field, "%s", name);
		return err;
	}
	if (ways->recorders->count == 0 && (!ways->file || ways->is_required)) {
		(void)snprintf(name, sizeof name, "%s%s", field, ways->file ? "siprec_required" : "file");
		pbx_diag_set(diag, name, "this needs a recorder: name one in siprec");
		return PBX_EINVAL;
	}
	return PBX_OK;
}

/* It stands in a header between quotes. */
static bool is_quotable(const char *text)
{
	return !strpbrk(text, "\"\\<>");
}

static int check_named(const struct recording_settings *settings, struct pbx_diag *diag)
{
	const struct recorder *recorders = settings->recorders.rows;
	struct place place;
	char field[40];

	for (uint32_t i = 0; i < settings->recorders.count; i++) {
		const char *name = recorders[i].name;

		(void)snprintf(field, sizeof field, "recorders[%u].name", i);
		if (name[strspn(name, "abcdefghijklmnopqrstuvwxyz0123456789_-")]) {
			pbx_diag_set(diag, field, "a recorder's name has a-z, 0-9, _ and -");
			return PBX_EINVAL;
		}
		if (find_named(settings, name) != &recorders[i]) {
			pbx_diag_set(diag, field, "two recorders are called '%s': give each a name of its own", name);
			return PBX_EINVAL;
		}
		(void)snprintf(field, sizeof field, "recorders[%u].uri", i);
		if (!read_uri(recorders[i].uri, &place)) {
			pbx_diag_set(diag, field, "'%.80s' is no SIP URI: write sip:HOST, sip:USER@HOST:PORT, or sip:HOST;transport=tcp",
				     recorders[i].uri);
			return PBX_EINVAL;
		}
		if (!is_quotable(recorders[i].user) || !is_quotable(recorders[i].realm)) {
			(void)snprintf(field, sizeof field, "recorders[%u].%s", i, is_quotable(recorders[i].user) ? "realm" : "user");
			pbx_diag_set(diag, field, "neither \" nor \\, < or > can be in it");
			return PBX_EINVAL;
		}
	}
	return PBX_OK;
}

int recorders_check(const struct recording_settings *settings, struct pbx_diag *diag)
{
	const struct rule *rules = settings->rules.rows;
	struct ways ways = policy_ways(settings, NULL);
	int err = check_named(settings, diag);
	char field[32];

	if (err == PBX_OK)
		err = check_ways(settings, &ways, "", diag);
	for (uint32_t i = 0; i < settings->rules.count && err == PBX_OK; i++) {
		(void)snprintf(field, sizeof field, "rules[%u].", i);
		ways = policy_ways(settings, &rules[i]);
		err = check_ways(settings, &ways, field, diag);
	}
	return err;
}

/* ---- what signalling knows ---- */

struct known {
	struct known *next;
	char peer[RECORDER_NAME];
	bool is_used;
};

static struct known *find_known(struct plugin *plugin, const char *peer)
{
	struct known *known = plugin->known;

	while (known && strcmp(known->peer, peer) != 0)
		known = known->next;
	return known;
}

static struct known *know(struct plugin *plugin, const char *peer)
{
	struct known *known = calloc(1, sizeof *known);

	if (!known)
		return NULL;
	(void)snprintf(known->peer, sizeof known->peer, "%s", peer);
	known->next = plugin->known;
	plugin->known = known;
	return known;
}

static int publish_one(struct plugin *plugin, const struct recording_settings *settings, const char *text, struct pbx_diag *diag)
{
	const struct recorder *named = find_named(settings, text);
	struct recorder_way way;
	struct place place;
	int err = find_way(settings, text, &way, &place, diag);

	if (err != PBX_OK)
		return err;
	struct known *known = find_known(plugin, way.peer);

	if (known && known->is_used)
		return PBX_OK; /* another rule's, too */
	if (!known && !(known = know(plugin, way.peer)))
		return PBX_ENOMEM;
	known->is_used = true;
	const struct pbx_sip_peer peer = {
		.size = sizeof peer,
		.name = way.peer,
		.host = place.host,
		.port = place.port,
		.transport = place.transport,
		.user = named ? named->user : "",
		.realm = named ? named->realm : "",
		.secret = named ? named->secret : "",
		.from_domain = plugin->sip->domain(),
		.flags = PBX_SIP_OUTBOUND,
	};
	struct pbx_diag found = { .text = "" };

	err = plugin->sip->set_peer(plugin->host, &peer, &found);
	if (err != PBX_OK)
		pbx_diag_set(diag, "siprec", "recorder %.80s: %s", text, found.text);
	return err;
}

static int publish_list(struct plugin *plugin, const struct recording_settings *settings, const struct pbx_list *list,
			struct pbx_diag *diag)
{
	int err = PBX_OK;

	for (uint32_t i = 0; i < list->count; i++) {
		int result = publish_one(plugin, settings, list->items[i], diag);

		err = err == PBX_OK ? result : err;
	}
	return err;
}

static void forget_unused(struct plugin *plugin)
{
	for (struct known **at = &plugin->known, *known; (known = *at) != NULL;) {
		if (known->is_used) {
			at = &known->next;
			continue;
		}
		*at = known->next;
		(void)plugin->sip->remove_peer(plugin->host, known->peer); /* sessions that last go on with what they began with */
		free(known);
	}
}

int recorders_publish(struct plugin *plugin, const struct recording_settings *settings, struct pbx_diag *diag)
{
	const struct rule *rules = settings->rules.rows;

	for (struct known *known = plugin->known; known; known = known->next)
		known->is_used = false;
	int err = publish_list(plugin, settings, &settings->siprec, diag);

	for (uint32_t i = 0; i < settings->rules.count; i++) {
		int result = publish_list(plugin, settings, &rules[i].siprec, diag);

		err = err == PBX_OK ? result : err;
	}
	if (err == PBX_OK)
		forget_unused(plugin);
	return err;
}

void recorders_free(struct plugin *plugin)
{
	while (plugin->known) {
		struct known *known = plugin->known;

		plugin->known = known->next;
		free(known);
	}
}
