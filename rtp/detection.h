/* rtp/detection.h - detections of plugins (pbx/detect.h) on streams. All of it: [loop]. */
#pragma once
#include <core/media_driver.h>

void rtp_detections_init(void);

/* Of the driver. */
int rtp_detection_start(struct pbx_host *owner, core_stream stream, const struct pbx_detect_spec *spec,
			const struct pbx_detect_watcher *watcher, void *self, pbx_detection *ret_detection);
int rtp_detection_stop(pbx_detection detection);
