/* pbx/metrics.h - numbers for Prometheus
 * Served by the core as "pbx.metrics/1". [loop]. Families are declared in .metrics; here is how they move. */
#pragma once
#include <pbx/plugin.h>

#ifdef __cplusplus
extern "C" {
#endif

struct pbx_metrics {
	struct pbx_header header;

	/* family: its row in our table. labels: as many values as the row names, separated by commas; NULL for none.
	 * PBX_OK, PBX_EINVAL (no such row, wrong labels), PBX_ENOSPC (over 1,000 series in a family). */
	int (*add)(struct pbx_host *host, uint32_t family, const char *labels, double amount);    /* COUNTER (amount >= 0), GAUGE */
	int (*set)(struct pbx_host *host, uint32_t family, const char *labels, double value);     /* GAUGE */
	int (*observe)(struct pbx_host *host, uint32_t family, const char *labels, double value); /* HISTOGRAM */
};

PBX_SERVICE(pbx_metrics, "pbx.metrics/1")

#ifdef __cplusplus
}
#endif
