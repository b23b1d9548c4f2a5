/* sip/sdp_record.h - the words of a=record and a=recordpref (RFC 7866 9). Pure: [any]. */
#pragma once
#include <stdint.h>

/* CORE_RECORD_…; 0: text is NULL or none of the words. */
uint8_t ua_sdp_record_wish(const char *text);
/* "on", "off", "paused". */
const char *ua_sdp_record_name(uint8_t record);
