/* qos_monitoring/report.h - a phone's report of a call (RFC 6035), read. [any] */
#pragma once
#include <stdbool.h>

struct qos_report {
	bool known;       /* it is one of the three kinds */
	char dialog[128]; /* Call-ID of the call it is about */
	char codec[20];
	/* the phone's own metrics; below 0: it has not said */
	double lost_percent, discarded_percent, burst_density, gap_density, rtt_ms, jitter_ms, jitter_most_ms, mos_lq, mos_cq, r;
};

/* False: it is none, or its figures cannot be. */
bool qos_report_read(const char *body, struct qos_report *ret_report);
