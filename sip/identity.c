/*
 * identity.c - writing who calls, in SIP's many spellings
 *
 * Names and numbers come from outside and go out again: what would end a header, a quoted text or a URI is escaped or left out here,
 * and nowhere else.
 */
#include "identity.h"
#include "passing.h"
#include <pbx/route.h>
#include <string.h>

/* For between quotes: backslash before quote and backslash, no control characters. */
static void quote(const char *text, char *ret_text, size_t size)
{
	size_t used = 0;

	for (; text && *text && used + 3 < size; text++) {
		if ((uint8_t)*text < ' ' || *text == 127)
			continue;
		if (*text == '"' || *text == '\\')
			ret_text[used++] = '\\';
		ret_text[used++] = *text;
	}
	ret_text[used] = '\0';
}

/* For the user part of a URI: everything else but the unreserved as %xx. */
void ua_identity_escape(const char *text, char *ret_text, size_t size)
{
	static const char plain[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_.!~*'()&=+$,";
	size_t used = 0;

	for (; text && *text && used + 4 < size; text++)
		if (strchr(plain, *text))
			ret_text[used++] = *text;
		else
			used += (size_t)snprintf(ret_text + used, size - used, "%%%02X", (uint8_t)*text);
	ret_text[used] = '\0';
}

/* A text that many small ones are put behind one another in; what does not fit is left out. */
struct lines {
	char *end;
	size_t left;
};

static void put(struct lines *lines, const char *text)
{
	size_t length = strlen(text);

	if (length >= lines->left)
		length = lines->left - 1;
	memcpy(lines->end, text, length);
	lines->end += length;
	lines->left -= length;
	*lines->end = '\0';
}

/* Without a number it is nobody's address (RFC 3323 4.1.1.3). */
static void write_address(const char *domain, const char *number, const char *name, char *ret_text, size_t size)
{
	bool is_known = number && number[0];
	char user[200], display[200];

	ua_identity_escape(is_known ? number : "anonymous", user, sizeof user);
	quote(is_known || (name && name[0]) ? name : "Anonymous", display, sizeof display);
	domain = is_known ? domain : "anonymous.invalid";
	struct lines line = { ret_text, size };
	if (display[0]) {
		put(&line, "\"");
		put(&line, display);
		put(&line, "\" ");
	}
	put(&line, "<sip:");
	put(&line, user);
	put(&line, "@");
	put(&line, domain);
	put(&line, ">");
}

void ua_identity_address(const struct ua *ua, const char *number, const char *name, char *ret_text, size_t size)
{
	write_address(ua->settings->domain, number, name, ret_text, size);
}

static void put_line(struct lines *lines, const char *name, const char *value)
{
	put(lines, name);
	put(lines, value);
	put(lines, "\n");
}

static void put_remote_party(struct lines *lines, const char *address, bool withheld)
{
	put(lines, "Remote-Party-ID: ");
	put(lines, address);
	put_line(lines, ";party=calling;screen=yes;privacy=", withheld ? "full" : "off");
}

char *ua_identity_headers(const struct ua *ua, const char *number, const char *name, bool withheld)
{
	bool is_known = (number && number[0]) || (!withheld && name && name[0]);
	char address[512], text[1200];
	struct lines lines = { text, sizeof text };

	text[0] = '\0';
	ua_identity_address(ua, number, name, address, sizeof address);
	if (is_known && ua->settings->send_p_asserted_identity)
		put_line(&lines, "P-Asserted-Identity: ", address);
	if (is_known && ua->settings->send_remote_party_id)
		put_remote_party(&lines, address, withheld);
	if (withheld)
		put_line(&lines, "Privacy: ", "id");
	return text[0] ? strdup(text) : NULL;
}

void ua_identity_referred_by(const struct ua *ua, const struct core_invite *invite, char *ret_text, size_t size)
{
	char user[200];

	ret_text[0] = '\0';
	if (!invite->referred_by || !invite->referred_by[0])
		return;
	ua_identity_escape(invite->referred_by, user, sizeof user);
	(void)snprintf(ret_text, size, "Referred-By: <sip:%s@%s>\n", user, ua->settings->domain);
}

/* ---- forwarding ----------------------------------------------------------------------- */

static const char *diversion_reason(uint32_t reason)
{
	switch (reason) {
	case PBX_FORWARD_UNCONDITIONAL:
		return "unconditional";
	case PBX_FORWARD_BUSY:
		return "user-busy";
	case PBX_FORWARD_NO_ANSWER:
		return "no-answer";
	case PBX_FORWARD_OFFLINE:
		return "unavailable";
	case PBX_FORWARD_DND:
		return "do-not-disturb";
	default:
		return "unknown";
	}
}

/* The status each reason would have been (RFC 4458, RFC 7044 A). */
static unsigned history_cause(uint32_t reason)
{
	switch (reason) {
	case PBX_FORWARD_BUSY:
		return 486;
	case PBX_FORWARD_NO_ANSWER:
		return 408;
	case PBX_FORWARD_OFFLINE:
		return 404;
	case PBX_FORWARD_DND:
		return 480;
	default:
		return 302;
	}
}

#define MOST_DIVERSIONS 10u

static void write_diversions(const char *domain, uint32_t show, const struct core_invite *invite, char *ret_text, size_t size)
{
	uint32_t count = invite->diversion_count < MOST_DIVERSIONS ? invite->diversion_count : MOST_DIVERSIONS;
	char user[200], index[4 * MOST_DIVERSIONS] = "1";
	size_t used = 0;

	ret_text[0] = '\0';
	for (uint32_t i = 0; show & PBX_SIP_SHOW_DIV && i < count && used < size; i++) {
		ua_identity_escape(invite->diversions[i].number, user, sizeof user);
		used += (size_t)snprintf(ret_text + used, size - used, "Diversion: <sip:%s@%s>;reason=%s;counter=1\n", user, domain,
					 diversion_reason(invite->diversions[i].reason));
	}
	for (uint32_t i = count; show & PBX_SIP_SHOW_HIST && i > 0 && used < size;
	     i--) { /* oldest first, each index below the one before */
		ua_identity_escape(invite->diversions[i - 1].number, user, sizeof user);
		used += (size_t)snprintf(ret_text + used, size - used, "History-Info: <sip:%s@%s?Reason=SIP%%3Bcause%%3D%u>;index=%s\n",
					 user, domain, history_cause(invite->diversions[i - 1].reason), index);
		strncat(index, ".1", sizeof index - strlen(index) - 1);
	}
	if (used >= size)
		ret_text[0] = '\0'; /* half a header is worse than none */
}

void ua_identity_diversions(const struct ua *ua, const struct core_invite *invite, char *ret_text, size_t size)
{
	write_diversions(ua->settings->domain, PBX_SIP_SHOW_DIV | PBX_SIP_SHOW_HIST, invite, ret_text, size);
}

/* ---- to other systems ----------------------------------------------------------------- */

/* Who asserts, who prefers, and what is not to be told (RFC 3325, RFC 3323). */
static void put_asserted(struct lines *lines, const struct pbx_sip_peer *peer, const char *address, bool is_unknown, bool withheld)
{
	bool told = !is_unknown && (!withheld || peer->flags & PBX_SIP_TRUSTED);

	if (told && peer->show & PBX_SIP_SHOW_PAI)
		put_line(lines, "P-Asserted-Identity: ", address);
	if (told && peer->show & PBX_SIP_SHOW_PPI)
		put_line(lines, "P-Preferred-Identity: ", address);
	if (told && peer->show & PBX_SIP_SHOW_RPID)
		put_remote_party(lines, address, withheld);
	if (withheld)
		put_line(lines, "Privacy: ", "id");
}

void ua_identity_for_peer(const struct pbx_sip_peer *peer, const struct core_invite *invite, char *ret_from, size_t from_size,
			  char *ret_headers, size_t size)
{
	const char *domain = peer->from_domain[0] ? peer->from_domain : peer->host;
	const char *own = peer->from_user[0] ? peer->from_user : peer->user;
	bool withheld = invite->flags & PBX_TARGET_WITHHELD;
	const char *number = withheld ? invite->asserted_number : invite->from_number;
	char address[600], passed[2048];

	write_address(domain, number, withheld ? invite->asserted_name : invite->from_name, address, sizeof address);
	if (withheld)
		(void)snprintf(ret_from, from_size, "\"Anonymous\" <sip:anonymous@anonymous.invalid>");
	else if (peer->show & PBX_SIP_SHOW_FROM || !own[0])
		(void)snprintf(ret_from, from_size, "%s", address);
	else
		write_address(domain, own, invite->from_name, ret_from, from_size);

	write_diversions(domain, peer->show, invite, ret_headers, size);
	struct lines lines = { ret_headers + strlen(ret_headers), size - strlen(ret_headers) };
	if (withheld || (number && number[0]))
		put_asserted(&lines, peer, address, withheld && !(number && number[0]), withheld);
	ua_passing_for_peer(peer, invite->headers, passed, sizeof passed);
	put(&lines, passed);
	for (uint32_t i = 0; i < peer->headers.count; i++)
		put_line(&lines, "", peer->headers.items[i]);
}

uint32_t ua_identity_forwarded(const sip_t *sip)
{
	uint32_t diversions = 0, entries = 0;

	for (const sip_unknown_t *header = sip->sip_unknown; header; header = header->un_next) {
		if (strcasecmp(header->un_name, "Diversion") == 0)
			diversions++;
		if (strcasecmp(header->un_name, "History-Info") == 0)
			entries++;
	}
	return diversions > entries ? diversions : entries;
}

void ua_identity_user(const url_t *url, char *ret_user, size_t size)
{
	const char *user = url->url_user ? url->url_user : "";
	size_t length = strcspn(user, ";"); /* telephone numbers may carry parameters in the user part */

	if (length >= size)
		length = 0;
	length = url_unescape_to(ret_user, user, length);
	ret_user[length] = '\0';
}
