/* pbx/fmtp.h - the parameters of a codec as SDP writes them: "maxplaybackrate=16000;useinbandfec=1"
 *
 * For codec plugins: reads what a=fmtp said and writes our own. Names are compared without case, blanks around names and values mean nothing,
 * quotes around a value are taken off (RFC 5574 writes them). A parameter that comes twice counts once, the first time. NULL reads as "". [any] */
#pragma once
#include <pbx/abi.h>
#include <string.h>

#ifdef __cplusplus
extern "C" {
#endif

static inline bool pbx_fmtp_is_blank(char c)
{
	return c == ' ' || c == '\t';
}

static inline char pbx_fmtp_lower(char c)
{
	return c >= 'A' && c <= 'Z' ? (char)(c - 'A' + 'a') : c;
}

/* Whether the text from `begin` to `end`, blanks aside, is this name. */
static inline bool pbx_fmtp_is(const char *begin, const char *end, const char *name)
{
	while (begin < end && pbx_fmtp_is_blank(*begin))
		begin++;
	while (end > begin && pbx_fmtp_is_blank(end[-1]))
		end--;
	while (begin < end && *name && pbx_fmtp_lower(*begin) == pbx_fmtp_lower(*name)) {
		begin++;
		name++;
	}
	return begin == end && !*name;
}

/* Copies a value, cut to size - 1. false: there is no such parameter, ret_value is "". A name without "=" has the value "". */
static inline bool pbx_fmtp_text(const char *fmtp, const char *name, char *ret_value, size_t size)
{
	ret_value[0] = '\0';
	while (fmtp && *fmtp) {
		const char *end = fmtp + strcspn(fmtp, ";");
		const char *name_end = fmtp + strcspn(fmtp, ";=");

		if (!pbx_fmtp_is(fmtp, name_end, name)) {
			fmtp = *end ? end + 1 : end;
			continue;
		}
		const char *value = name_end < end ? name_end + 1 : end;
		while (value < end && (pbx_fmtp_is_blank(*value) || *value == '"'))
			value++;
		while (end > value && (pbx_fmtp_is_blank(end[-1]) || end[-1] == '"'))
			end--;
		size_t length = (size_t)(end - value) < size ? (size_t)(end - value) : size - 1;
		memcpy(ret_value, value, length);
		ret_value[length] = '\0';
		return true;
	}
	return false;
}

/* A number without sign; `otherwise` when it is not there, is no number or lies outside of least to most. */
static inline uint32_t pbx_fmtp_number(const char *fmtp, const char *name, uint32_t least, uint32_t most, uint32_t otherwise)
{
	char text[12];
	uint64_t number = 0;

	if (!pbx_fmtp_text(fmtp, name, text, sizeof text) || !text[0])
		return otherwise;
	for (const char *digit = text; *digit; digit++) {
		if (*digit < '0' || *digit > '9')
			return otherwise;
		number = number * 10 + (uint64_t)(*digit - '0');
	}
	return number < least || number > most ? otherwise : (uint32_t)number;
}

/* Appends "name=value", with a semicolon when there is something before it. PBX_OK, PBX_ENOSPC (nothing was appended). */
static inline int PBX_PRINTF(3, 4) pbx_fmtp_add(char *fmtp, size_t size, const char *format, ...)
{
	size_t used = strlen(fmtp), at = used;
	va_list args;

	if (used && used + 1 < size)
		fmtp[at++] = ';';
	va_start(args, format);
	int length = vsnprintf(fmtp + at, size - at, format, args);
	va_end(args);
	if (length >= 0 && (size_t)length < size - at)
		return PBX_OK;
	fmtp[used] = '\0';
	return PBX_ENOSPC;
}

#ifdef __cplusplus
}
#endif
