/* core/metrics.h - metric families and their text form; serves "pbx.metrics/1". [loop]. */
#pragma once
#include <pbx/metrics.h>

int core_metrics_init(void);
void core_metrics_fini(void);
/* All or none; a family may be shared by who declares the same. PBX_OK, PBX_EINVAL, PBX_EEXIST (diag names it), PBX_ENOMEM. */
int core_metrics_declare(struct pbx_host *owner, const struct pbx_table *metrics, struct pbx_diag *diag);
void core_metrics_undeclare(struct pbx_host *owner);
/* Called before each scrape, to set gauges. */
int core_metrics_on_scrape(struct pbx_host *owner, void (*fn)(void *self), void *self);
char *core_metrics_text(void); /* OpenMetrics 1.0 text; free() */

extern const struct pbx_metrics core_metrics_service;
