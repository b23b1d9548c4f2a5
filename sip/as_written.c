/*
 * as_written.c - addresses byte for byte as a device wrote them
 *
 * The text of a Contact line is still there beside what Sofia made of it (messages are parsed from a copy, since the trace wants them whole), but it
 * belongs to the line, of which one may have several contacts. What we find is believed when Sofia would have made the same of it.
 */
#include "as_written.h"
#include "ua.h"
#include <sofia-sip/url.h>
#include <stdio.h>
#include <string.h>

#define MOST_URI 1024u

struct piece {
	const char *at;
	size_t length;
};

/* ---- of a line ------------------------------------------------------------------------ */

static size_t quoted_length(const char *at, const char *end)
{
	const char *begin = at++;

	while (at < end && *at != '"')
		at += *at == '\\' && at + 1 < end ? 2 : 1;
	return (size_t)((at < end ? at + 1 : end) - begin);
}

/* To the next of these characters outside of quotes, or the end. */
static const char *skip_to(const char *at, const char *end, const char *stops)
{
	while (at < end && !strchr(stops, *at))
		at += *at == '"' ? quoted_length(at, end) : 1;
	return at;
}

/* "Contact: "a name" <sip:…>;q=1, sip:…": the address with this number; its length is 0 when there is none. */
static struct piece nth_address(const char *at, const char *end, uint32_t number)
{
	at = skip_to(at, end, ":");
	at += at < end;
	for (; number > 0 && at < end; number--) {
		at = skip_to(at, end, ",<"); /* before a parameter of the one before there is no '<' */
		if (at < end && *at == '<')
			at = skip_to(skip_to(at, end, ">"), end, ",");
		at += at < end;
	}
	const char *opens = skip_to(at, end, "<,");

	if (opens < end && *opens == '<') {
		at = opens + 1;
		return (struct piece){ at, (size_t)(skip_to(at, end, ">") - at) };
	}
	while (at < end && strchr(" \t\r\n", *at))
		at++;
	return (struct piece){ at, (size_t)(skip_to(at, end, " \t\r\n;,?") - at) };
}

/* The line that a contact stands in, and how many stand before it there. */
static struct piece line_of(const sip_contact_t *list, const sip_contact_t *contact, uint32_t *ret_before)
{
	struct piece line = { NULL, 0 };

	*ret_before = 0;
	for (const sip_contact_t *at = list; at; at = at->m_next) {
		bool begins_line = at->m_common->h_len > 0;

		if (begins_line)
			line = (struct piece){ at->m_common->h_data, at->m_common->h_len };
		*ret_before = begins_line ? 0 : *ret_before + 1;
		if (at == contact)
			return line;
	}
	return (struct piece){ NULL, 0 };
}

static bool is_same(const char *text, const char *canonic)
{
	su_home_t home[1] = { SU_HOME_INIT(home) };
	char parsed[MOST_URI];

	(void)su_home_init(home);
	const url_t *url = url_make(home, text);
	bool same = url && url_e(parsed, sizeof parsed, url) < (isize_t)sizeof parsed && strcmp(parsed, canonic) == 0;
	su_home_deinit(home);
	return same;
}

bool ua_contact_as_written(const sip_contact_t *list, const sip_contact_t *contact, char *ret_uri, size_t size)
{
	char canonic[MOST_URI], text[MOST_URI];
	uint32_t before;
	const struct piece line = line_of(list, contact, &before);

	if (url_e(canonic, sizeof canonic, contact->m_url) >= (isize_t)sizeof canonic)
		return false;
	const char *found = canonic;
	if (line.at && memchr(line.at, '%', line.length)) {
		const struct piece address = nth_address(line.at, line.at + line.length, before);

		(void)snprintf(text, sizeof text, "%.*s", (int)address.length, address.at);
		if (address.length < sizeof text && is_same(text, canonic))
			found = text;
	}
	if (strlen(found) >= size)
		return false;
	memcpy(ret_uri, found, strlen(found) + 1);
	return true;
}

/* ---- for a request -------------------------------------------------------------------- */

static char *copy(su_home_t *home, const char *at, size_t length)
{
	return su_strndup(home, at, (isize_t)length);
}

/* Its pieces as they stand in the text, in the place of what Sofia made of them. False: the text does not have them where they should be. */
static bool put_back(su_home_t *home, const char *uri, url_t *url)
{
	const char *begin = strchr(uri, ':') + 1, *at = strchr(begin, '@'), *host = at ? at + 1 : begin;
	const char *params = host + strcspn(host, ";?"), *headers = params + strcspn(params, "?");
	const char *user_ends = at ? begin + strcspn(begin, ":@") : begin;

	if ((url->url_user && !at) || (url->url_password && (!at || user_ends == at)) || (url->url_params && *params != ';') ||
	    (url->url_headers && *headers != '?'))
		return false;
	if (url->url_user)
		url->url_user = copy(home, begin, (size_t)(user_ends - begin));
	if (url->url_password)
		url->url_password = copy(home, user_ends + 1, (size_t)(at - user_ends) - 1);
	if (url->url_params)
		url->url_params = copy(home, params + 1, (size_t)(headers - params) - 1);
	if (url->url_headers)
		url->url_headers = copy(home, headers + 1, strlen(headers + 1));
	return true;
}

const url_string_t *ua_uri_as_written(su_home_t *home, const char *uri)
{
	char again[MOST_URI];

	if (!strchr(uri, '%'))
		return ua_url(uri);
	url_t *url = url_make(home, uri);

	if (!url || (url->url_type != url_sip && url->url_type != url_sips))
		return ua_url(uri);
	bool is_whole = put_back(home, uri, url) && url_e(again, sizeof again, url) < (isize_t)sizeof again && strcmp(again, uri) == 0;
	return is_whole ? (const url_string_t *)url : ua_url(uri);
}

const sip_contact_t *ua_contact_to(su_home_t *home, const char *uri)
{
	sip_contact_t *contact = sip_contact_create(home, ua_url(uri), NULL); /* prints what it is given, and reads it again */
	const url_string_t *whole = ua_uri_as_written(home, uri);

	if (contact && whole != ua_url(uri))
		*contact->m_url = *whole->us_url;
	return contact;
}

const sip_contact_t *ua_target_as_written(su_home_t *home, const sip_contact_t *contact)
{
	char uri[MOST_URI];

	if (!ua_contact_as_written(contact, contact, uri, sizeof uri) || !strchr(uri, '%'))
		return NULL;
	const char *text = su_strdup(home, uri);
	return text ? ua_contact_to(home, text) : NULL;
}
