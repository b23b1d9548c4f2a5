/* tests/fuzz/fuzz_report.c - a phone's report of a call (RFC 6035) of anything: it is read with figures that can be, or not at all */
#include <assert.h>
#include <math.h>
#include <qos_monitoring/report.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_figure(double value, double most)
{
	assert(isfinite(value) && value <= most);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char *text = strndup((const char *)data, size); /* as signalling hands it on: a text */
	struct qos_report report;

	assert(text);
	if (qos_report_read(text, &report)) {
		assert(strlen(report.dialog) < sizeof report.dialog && strlen(report.codec) < sizeof report.codec);
		check_figure(report.lost_percent, 100);
		check_figure(report.discarded_percent, 100);
		check_figure(report.mos_lq, 5);
		check_figure(report.mos_cq, 5);
		check_figure(report.r, 120);
		check_figure(report.rtt_ms, 1e9);
		check_figure(report.jitter_ms, 1e9);
	}
	free(text);
	return 0;
}
