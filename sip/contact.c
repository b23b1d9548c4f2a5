/*
 * contact.c - what a REGISTER says about one device
 *
 * Sofia has parsed the headers; here is what their parameters mean, with limits for all that is kept.
 */
#include "contact.h"
#include "as_written.h"
#include <sofia-sip/msg_header.h>
#include <sofia-sip/url.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

static uint32_t q_of(const char *text)
{
	double q = text ? strtod(text, NULL) : 1.0;

	return q >= 1.0 ? 1000 : q > 0.0 ? (uint32_t)(q * 1000.0 + 0.5) : 0;
}

/* Without its quotes; "" when it is longer than there is room for. */
static void unquoted(const char *value, char *ret_text, size_t size)
{
	size_t length = value ? strlen(value) : 0;

	if (length >= 2 && value[0] == '"' && value[length - 1] == '"') {
		value++;
		length -= 2;
	}
	if (length >= size || strcspn(value ? value : "", "\"\\\r\n") < length)
		length = 0;
	if (length > 0)
		memcpy(ret_text, value, length);
	ret_text[length] = '\0';
}

/* What is no number, or none of 32 bits, is as good as none. */
static bool number_of(const char *text, uint32_t *ret_number)
{
	char *end;
	unsigned long number = text && *text >= '0' && *text <= '9' ? strtoul(text, &end, 10) : 0;

	if (!text || *text < '0' || *text > '9' || *end)
		return false;
	*ret_number = number > UINT32_MAX ? UINT32_MAX : (uint32_t)number;
	return true;
}

int ua_contact_read(const sip_contact_t *list, const sip_contact_t *contact, struct ua_contact *ret_contact)
{
	const url_t *url = contact->m_url;

	memset(ret_contact, 0, sizeof *ret_contact);
	if ((url->url_type != url_sip && url->url_type != url_sips) || !url->url_host)
		return PBX_EINVAL;
	if (!ua_contact_as_written(list, contact, ret_contact->uri, sizeof ret_contact->uri) || strpbrk(ret_contact->uri, "<>\r\n \""))
		return PBX_EINVAL;

	unquoted(msg_header_find_param(contact->m_common, "+sip.instance="), ret_contact->instance, sizeof ret_contact->instance);
	if (!ret_contact->instance[0] || !number_of(msg_header_find_param(contact->m_common, "reg-id="), &ret_contact->reg_id))
		ret_contact->reg_id = 0;
	ret_contact->q_milli = q_of(contact->m_q);
	ret_contact->has_expires = number_of(contact->m_expires, &ret_contact->expires_s);
	return PBX_OK;
}

int ua_path_read(const sip_path_t *path, char ret_path[UA_MOST_PATH])
{
	char all[UA_MOST_PATH];
	size_t used = 0;

	all[0] = '\0';
	for (; path; path = path->r_next) {
		int length =
			snprintf(all + used, sizeof all - used, "%s<" URL_PRINT_FORMAT ">", used ? ", " : "", URL_PRINT_ARGS(path->r_url));

		if (length < 0 || (size_t)length >= sizeof all - used)
			return PBX_ENOSPC;
		used += (size_t)length;
	}
	memcpy(ret_path, all, used + 1);
	return PBX_OK;
}

/* ---- parameters ----------------------------------------------------------------------- */

static int hex_digit(char digit)
{
	if (digit >= '0' && digit <= '9')
		return digit - '0';
	digit = (char)(digit | 32);
	return digit >= 'a' && digit <= 'f' ? digit - 'a' + 10 : -1;
}

/* %xx becomes its character, but for those no text may hold. */
static bool unescape(const char *value, size_t length, char *ret_value, size_t size)
{
	size_t used = 0;

	for (size_t i = 0; i < length; i++) {
		char character = value[i];

		if (character == '%' && i + 2 < length && hex_digit(value[i + 1]) >= 0 && hex_digit(value[i + 2]) >= 0) {
			character = (char)(hex_digit(value[i + 1]) * 16 + hex_digit(value[i + 2]));
			i += 2;
		}
		if (used + 1 >= size || (uint8_t)character < ' ')
			return false;
		ret_value[used++] = character;
	}
	ret_value[used] = '\0';
	return true;
}

bool ua_uri_param(const char *uri, const char *name, char *ret_value, size_t size)
{
	const char *host = strchr(uri, '@'), *at;
	size_t name_length = strlen(name);

	for (at = strchr(host ? host : uri, ';'); at && *at == ';'; at += strcspn(at, ";?")) {
		at++;
		size_t length = strcspn(at, ";?"), name_ends = strcspn(at, "=;?");

		if (name_ends != name_length || strncasecmp(at, name, name_length) != 0)
			continue;
		if (name_ends == length)
			return unescape("", 0, ret_value, size);
		return unescape(at + name_ends + 1, length - name_ends - 1, ret_value, size);
	}
	return false;
}

bool ua_param(const char *params, const char *between, const char *name, char *ret_value, size_t size)
{
	size_t name_length = strlen(name);

	if (ret_value)
		ret_value[0] = '\0';
	for (const char *at = params ? params : ""; *at; at += strspn(at, between)) {
		size_t length = strcspn(at, between);
		bool is_it = length >= name_length && strncasecmp(at, name, name_length) == 0 &&
			     (length == name_length || at[name_length] == '=');

		if (is_it && ret_value && length > name_length &&
		    !unescape(at + name_length + 1, length - name_length - 1, ret_value, size))
			ret_value[0] = '\0';
		if (is_it)
			return true;
		at += length;
	}
	return false;
}

bool ua_path_has_flow(const sip_path_t *path)
{
	while (path && path->r_next)
		path = path->r_next;
	return path && ua_param(path->r_url->url_params, ";", "ob", NULL, 0);
}
