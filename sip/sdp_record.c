/*
 * sdp_record.c - whether a conversation is recorded, and whether its party likes that
 */
#include "sdp_record.h"
#include "media_desc.h"
#include <stddef.h>
#include <string.h>
#include <strings.h>

uint8_t ua_sdp_record_wish(const char *text)
{
	static const struct {
		const char *word;
		uint8_t wish;
	} words[] = { { "on", CORE_RECORD_ON },
		      { "off", CORE_RECORD_OFF },
		      { "pause", CORE_RECORD_PAUSED },
		      { "nopreference", CORE_RECORD_AS_YOU_LIKE } };
	size_t length = text ? strcspn(text, " \t\r\n") : 0;

	for (size_t i = 0; i < sizeof words / sizeof words[0]; i++)
		if (length == strlen(words[i].word) && strncasecmp(text, words[i].word, length) == 0)
			return words[i].wish;
	return 0;
}

const char *ua_sdp_record_name(uint8_t record)
{
	return record == CORE_RECORD_ON ? "on" : record == CORE_RECORD_PAUSED ? "paused" : "off";
}
