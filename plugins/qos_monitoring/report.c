/*
 * report - application/vq-rtcpxr (RFC 6035), read
 *
 * A report is lines "Name: value" and "Name:A=1 B=2". What the phone says of its remote end is what we know better, so only its own metrics are taken.
 */
#include "report.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

static void keep(char *into, size_t size, const char *from, size_t length)
{
	(void)snprintf(into, size, "%.*s", (int)(length < size ? length : size - 1), from);
}

/* The value of NAME=value in a line's words; -1: it has none that is a number. */
static double word(const char *line, size_t length, const char *name)
{
	size_t name_length = strlen(name);

	for (size_t at = 0; at + name_length + 1 < length; at++) {
		bool begins = at == 0 || line[at - 1] == ' ' || line[at - 1] == ':';
		char number[24], *end;

		if (!begins || strncasecmp(line + at, name, name_length) != 0 || line[at + name_length] != '=')
			continue;
		keep(number, sizeof number, line + at + name_length + 1, length - at - name_length - 1);
		double value = strtod(number, &end);

		return end != number && value >= 0 && value < 1e6 ? value : -1;
	}
	return -1;
}

static void text_word(const char *line, size_t length, const char *name, char *into, size_t size)
{
	size_t name_length = strlen(name);

	for (size_t at = 0; at + name_length < length; at++)
		if ((at == 0 || line[at - 1] == ' ' || line[at - 1] == ':') && strncasecmp(line + at, name, name_length) == 0 &&
		    line[at + name_length] == '=') {
			const char *value = line + at + name_length + 1;
			size_t rest = length - at - name_length - 1;
			const char *stop = memchr(value, ' ', rest);

			keep(into, size, value, stop ? (size_t)(stop - value) : rest);
			return;
		}
}

static bool is_line(const char *line, size_t length, const char *name)
{
	size_t name_length = strlen(name);

	return length > name_length && strncasecmp(line, name, name_length) == 0 && line[name_length] == ':';
}

static void take_metric(struct qos_report *report, const char *line, size_t length)
{
	if (is_line(line, length, "SessionDesc")) {
		text_word(line, length, "PD", report->codec, sizeof report->codec);
	} else if (is_line(line, length, "PacketLoss")) {
		report->lost_percent = word(line, length, "NLR");
		report->discarded_percent = word(line, length, "JDR");
	} else if (is_line(line, length, "BurstGapLoss")) {
		report->burst_density = word(line, length, "BLD");
		report->gap_density = word(line, length, "GLD");
	} else if (is_line(line, length, "Delay")) {
		report->rtt_ms = word(line, length, "RTD");
		report->jitter_ms = word(line, length, "IAJ");
		report->jitter_most_ms = word(line, length, "MAJ");
	} else if (is_line(line, length, "QualityEst")) {
		report->mos_lq = word(line, length, "MOSLQ");
		report->mos_cq = word(line, length, "MOSCQ");
		report->r = word(line, length, "RCQ");
	}
}

static void take_line(struct qos_report *report, const char *line, size_t length, bool *is_local)
{
	if (is_line(line, length, "VQSessionReport") || is_line(line, length, "VQIntervalReport") || is_line(line, length, "VQAlertReport"))
		report->known = true;
	else if (is_line(line, length, "LocalMetrics"))
		*is_local = true;
	else if (is_line(line, length, "RemoteMetrics"))
		*is_local = false;
	else if (is_line(line, length, "CallID")) {
		const char *value = line + strlen("CallID:");
		size_t blanks = strspn(value, " ");

		keep(report->dialog, sizeof report->dialog, value + blanks, length - strlen("CallID:") - blanks);
	} else if (*is_local)
		take_metric(report, line, length);
}

static bool can_be(const struct qos_report *report)
{
	return report->lost_percent <= 100 && report->discarded_percent <= 100 && report->burst_density <= 100 &&
	       report->gap_density <= 100 && report->mos_lq <= 5 && report->mos_cq <= 5 && report->r <= 120;
}

bool qos_report_read(const char *body, struct qos_report *ret_report)
{
	bool is_local = false;

	*ret_report = (struct qos_report){ .lost_percent = -1,
					   .discarded_percent = -1,
					   .burst_density = -1,
					   .gap_density = -1,
					   .rtt_ms = -1,
					   .jitter_ms = -1,
					   .jitter_most_ms = -1,
					   .mos_lq = -1,
					   .mos_cq = -1,
					   .r = -1 };
	for (const char *line = body; *line;) {
		size_t length = strcspn(line, "\r\n");

		take_line(ret_report, line, length, &is_local);
		line += length;
		line += strspn(line, "\r\n");
	}
	return ret_report->known && ret_report->dialog[0] && can_be(ret_report);
}
