/* cause.c - Q.850 causes and SIP status codes, there and back (RFC 3398 7.2.4.1 and 8.2.6.1) */
#include "leg_driver.h"
#include <stddef.h>

static const struct {
	uint16_t cause, sip_code;
} to_sip[] = {
	{ PBX_CAUSE_NOT_FOUND, 404 },
	{ 2, 404 },
	{ 3, 404 },
	{ PBX_CAUSE_NORMAL, 487 },
	{ PBX_CAUSE_BUSY, 486 },
	{ PBX_CAUSE_NO_RESPONSE, 408 },
	{ PBX_CAUSE_NO_ANSWER, 480 },
	{ PBX_CAUSE_OFFLINE, 480 },
	{ PBX_CAUSE_REJECTED, 403 },
	{ 22, 410 },
	{ 23, 410 },
	{ 25, 482 },
	{ PBX_CAUSE_ANSWERED_ELSEWHERE, 487 },
	{ 27, 502 },
	{ PBX_CAUSE_INVALID_NUMBER, 484 },
	{ 29, 501 },
	{ 31, 480 },
	{ PBX_CAUSE_CONGESTION, 503 },
	{ 38, 503 },
	{ PBX_CAUSE_FAILURE, 500 },
	{ 42, 503 },
	{ CORE_CAUSE_NO_RESOURCE, 503 },
	{ 55, 403 },
	{ 57, 403 },
	{ 58, 503 },
	{ 65, 488 },
	{ 70, 488 },
	{ 79, 501 },
	{ 87, 403 },
	{ PBX_CAUSE_NOT_ACCEPTABLE, 488 },
	{ PBX_CAUSE_TIMER, 504 },
};

static const struct {
	uint16_t sip_code, cause;
} from_sip[] = {
	{ 400, 41 },
	{ 401, 21 },
	{ 402, 21 },
	{ 403, PBX_CAUSE_REJECTED },
	{ 404, PBX_CAUSE_NOT_FOUND },
	{ 405, 63 },
	{ 406, 79 },
	{ 407, 21 },
	{ 408, PBX_CAUSE_NO_RESPONSE },
	{ 410, 22 },
	{ 413, 127 },
	{ 414, 127 },
	{ 415, 79 },
	{ 416, 127 },
	{ 420, 127 },
	{ 421, 127 },
	{ 423, 127 },
	{ 480, PBX_CAUSE_NO_ANSWER },
	{ 481, 41 },
	{ 482, 25 },
	{ 483, 25 },
	{ 484, PBX_CAUSE_INVALID_NUMBER },
	{ 485, 1 },
	{ 486, PBX_CAUSE_BUSY },
	{ 487, PBX_CAUSE_NORMAL },
	{ 488, PBX_CAUSE_NOT_ACCEPTABLE },
	{ 500, PBX_CAUSE_FAILURE },
	{ 501, 79 },
	{ 502, 38 },
	{ 503, PBX_CAUSE_CONGESTION },
	{ 504, PBX_CAUSE_TIMER },
	{ 505, 127 },
	{ 513, 127 },
	{ 600, PBX_CAUSE_BUSY },
	{ 603, PBX_CAUSE_REJECTED },
	{ 604, PBX_CAUSE_NOT_FOUND },
	{ 606, PBX_CAUSE_NOT_ACCEPTABLE },
};

uint32_t core_cause_to_sip(uint32_t cause)
{
	for (size_t i = 0; i < sizeof to_sip / sizeof to_sip[0]; i++)
		if (to_sip[i].cause == cause)
			return to_sip[i].sip_code;
	return 500;
}

uint32_t core_cause_of(int err)
{
	switch (err) {
	case PBX_ENOTSUP:
		return PBX_CAUSE_NOT_ACCEPTABLE;
	case PBX_ENOSPC:
	case PBX_ENOMEM:
		return CORE_CAUSE_NO_RESOURCE;
	default:
		return PBX_CAUSE_FAILURE;
	}
}

uint32_t core_cause_from_sip(uint32_t sip_code)
{
	for (size_t i = 0; i < sizeof from_sip / sizeof from_sip[0]; i++)
		if (from_sip[i].sip_code == sip_code)
			return from_sip[i].cause;
	if (sip_code < 400)
		return PBX_CAUSE_NORMAL;
	return sip_code < 500 || sip_code >= 600 ? 31 : PBX_CAUSE_FAILURE;
}
