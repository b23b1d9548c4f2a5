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

#define MOST_HOST 40u /* of a recorder without a name: its peer is called so */

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

/* "sip:recorder@192.0.2.7:5070;transport=tcp", "sips:[2001:db8::7]" */
static bool read_uri(const char *uri, struct place *ret_place)
{
	struct place place = { .transport = "" };
	bool is_secure = strncasecmp(uri, "sips:", 5) == 0;
	const char *at = uri + (is_secure ? 5 : 4), *user_ends = strchr(uri, '@');

	if ((!is_secure && strncasecmp(uri, "sip:", 4) != 0) || strlen(uri) >= URI_SIZE || strpbrk(uri, " \t\r\n<>\"?"))
		return false;
	at = user_ends ? user_ends + 1 : at;
	size_t length = at[0] == '[' ? strcspn(at, "]") + 1 : strcspn(at, ":;");

	if (length == 0 || length >= sizeof place.host || length > strlen(at))
		return false;
	(void)snprintf(place.host, sizeof place.host, "%.*s", (int)length, at);
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

/* "recorder.192.0.2.7-5070-tcp" */
static void name_place(const struct place *place, char ret_name[RECORDER_NAME])
{
	char port[12] = "";

	if (place->port)
		(void)snprintf(port, sizeof port, "-%u", place->port);
	(void)snprintf(ret_name, RECORDER_NAME, "recorder.%.40s%.6s%s%.7s", place->host, port, place->transport[0] ? "-" : "",
		       place->transport);
	for (char *at = ret_name; *at; at++)
		*at = isalnum((unsigned char)*at) || *at == '.' ? (char)tolower((unsigned char)*at) : '-';
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
	if (!named && strlen(ret_place->host) > MOST_HOST) {
		pbx_diag_set(diag, "", "'%.80s' has a host of more than %u letters: give it a name in recorders", text, MOST_HOST);
		return PBX_EINVAL;
	}
	memset(ret_way, 0, sizeof *ret_way);
	if (named)
		(void)snprintf(ret_way->peer, sizeof ret_way->peer, "recorder.%s", named->name);
	else
		name_place(ret_place, ret_way->peer);
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

static int check_ways(const struct recording_settings *settings, const struct ways *ways, const char *field, struct pbx_diag *diag)
{
	char name[80];

	(void)snprintf(name, sizeof name, "%ssiprec", field);
	if (ways->recorders->count > MOST_RECORDERS) {
		pbx_diag_set(diag, name, "at most %u recorders fit into a list", MOST_RECORDERS);
		return PBX_EINVAL;
	}
	for (uint32_t i = 0; i < ways->recorders->count; i++) {
		struct recorder_way way;
		int err = recorder_find(settings, ways->recorders->items[i], &way, diag);

		if (err != PBX_OK && diag)
			(void)snprintf(diag->field, sizeof diag->field, "%s", name);
		if (err != PBX_OK)
			return err;
	}
	if (ways->recorders->count == 0 && (!ways->file || ways->is_required)) {
		(void)snprintf(name, sizeof name, "%s%s", field, ways->file ? "siprec_required" : "file");
		pbx_diag_set(diag, name, "this needs a recorder: name one in siprec");
		return PBX_EINVAL;
	}
	return PBX_OK;
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
