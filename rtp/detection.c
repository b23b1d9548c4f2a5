/*
 * detection - from a listening to detectors, and what they find to a plugin
 *
 * Detectors run on the listener's thread, on what comes some LATE_MS later. What they find goes through a small ring to the loop; nobody can find so
 * much in one round of the loop that it would be full.
 */
#include "detection.h"
#include "detect.h"
#include "engine_inner.h"
#include "listener.h"

#include <core/owner.h>
#include <stdlib.h>
#include <string.h>

#define BLOCK_MS 20u
#define LATE_MS 160u
#define MOST_FOUND 32u

struct detection {
	struct rtp_listening listening; /* first */
	uint64_t id;
	struct core_charge charge;
	struct pbx_host *owner;
	struct pbx_detect_watcher watcher;
	void *self;
	struct rtp_detector *detector; /* the thread's */
	bool hears;
	uint32_t most_ms, heard_ms;
	_Atomic bool limit; /* most_ms have been heard */
	bool stopped, limited;
	struct pbx_detected found[MOST_FOUND];
	_Atomic uint32_t written, read;
};

static struct core_handles detections;

void rtp_detections_init(void)
{
	core_handles_init(&detections, 'D');
}

/* ---- the thread ---- */

static void on_found(void *context, const struct pbx_detected *found)
{
	struct detection *detection = context;
	uint32_t written = atomic_load_explicit(&detection->written, memory_order_relaxed);

	if (written - atomic_load_explicit(&detection->read, memory_order_acquire) == MOST_FOUND)
		return;
	detection->found[written % MOST_FOUND] = *found;
	atomic_store_explicit(&detection->written, written + 1, memory_order_release);
	rtp_listening_tell(&detection->listening);
}

static void take(struct rtp_listening *listening, const int16_t *says, const int16_t *hears, uint64_t at_us)
{
	struct detection *detection = (struct detection *)listening;

	(void)at_us;
	if (detection->most_ms && detection->heard_ms >= detection->most_ms)
		return;
	rtp_detector_feed(detection->detector, detection->hears ? hears : says, listening->block_samples);
	detection->heard_ms += BLOCK_MS;
	if (detection->most_ms && detection->heard_ms >= detection->most_ms) {
		atomic_store(&detection->limit, true);
		rtp_listening_tell(listening);
	}
}

/* ---- the loop ---- */

static void detection_free(struct detection *detection)
{
	if (!detection)
		return;
	rtp_listening_fini(&detection->listening);
	core_handle_free(&detections, detection->id);
	core_charge_remove(&detection->charge);
	rtp_detector_free(detection->detector);
	free(detection);
}

static void told(struct rtp_listening *listening)
{
	struct detection *detection = (struct detection *)listening;
	bool limit = atomic_load(&detection->limit); /* before what was found until then */
	uint32_t read;

	while (!detection->stopped && (read = atomic_load_explicit(&detection->read, memory_order_relaxed)) !=
					      atomic_load_explicit(&detection->written, memory_order_acquire)) {
		const struct pbx_detected found = detection->found[read % MOST_FOUND];
		pbx_detection name = { detection->id };

		atomic_store_explicit(&detection->read, read + 1, memory_order_release);
		CORE_INTO(detection->owner, detection->watcher.found(detection->self, name, &found));
	}
	if (limit && !detection->stopped) {
		detection->limited = true;
		rtp_listening_end(listening);
	}
}

static void over(struct rtp_listening *listening)
{
	struct detection *detection = (struct detection *)listening;

	told(listening); /* its last words */
	if (!detection->stopped && detection->watcher.over) {
		uint32_t how = detection->limited ? PBX_DETECTION_LIMIT : PBX_DETECTION_LEG_ENDED;
		pbx_detection name = { detection->id };

		CORE_INTO(detection->owner, detection->watcher.over(detection->self, name, how));
	}
	detection_free(detection);
}

static const struct rtp_sink sink = { .take = take, .told = told, .over = over };

/* It ends, and nobody hears of it any more. */
static void stop(struct detection *detection)
{
	detection->stopped = true;
	core_handle_free(&detections, detection->id);
	core_charge_remove(&detection->charge);
	detection->id = 0;
	rtp_listening_end(&detection->listening);
}

static void on_owner_stopped(struct core_charge *charge)
{
	stop((struct detection *)((char *)charge - offsetof(struct detection, charge)));
}

static int detection_new(const struct pbx_detect_spec *spec, struct detection **ret_detection)
{
	struct detection *detection = aligned_alloc(64, (sizeof *detection + 63) / 64 * 64);
	const struct rtp_listening_wish wish = { .directions = (uint8_t)(1u << (spec->hears ? RTP_HEARS : RTP_SAYS)),
						 .music = true,
						 .rate_hz = RTP_DETECT_HZ,
						 .block_samples = RTP_DETECT_HZ / 1000 * BLOCK_MS,
						 .late_ms = LATE_MS };

	if (!detection)
		return PBX_ENOMEM;
	memset(detection, 0, sizeof *detection);
	detection->hears = spec->hears;
	detection->most_ms = spec->most_ms;
	detection->id = core_handle_new(&detections, detection);
	int err = detection->id ? rtp_detector_new(spec, spec->country ? spec->country : rtp_engine.settings->country, on_found, detection,
						   &detection->detector)
				: PBX_ENOMEM;

	if (err == PBX_OK)
		err = rtp_listening_init(&detection->listening, &sink, &wish);
	if (err != PBX_OK) {
		detection_free(detection);
		return err;
	}
	*ret_detection = detection;
	return PBX_OK;
}

int rtp_detection_start(struct pbx_host *owner, core_stream name, const struct pbx_detect_spec *spec,
			const struct pbx_detect_watcher *watcher, void *self, pbx_detection *ret_detection)
{
	struct rtp_stream *stream = rtp_stream_find(name);
	struct detection *detection = NULL;

	if (!stream)
		return PBX_ENOENT;
	int err = detection_new(spec, &detection);

	if (err != PBX_OK)
		return err;
	detection->owner = owner;
	detection->watcher = *watcher;
	detection->self = self;
	err = rtp_listening_begin(&detection->listening, stream);
	if (err != PBX_OK) {
		detection_free(detection);
		return err;
	}
	core_charge_add(owner, &detection->charge, "detection", true, on_owner_stopped);
	*ret_detection = (pbx_detection){ detection->id };
	return PBX_OK;
}

int rtp_detection_stop(pbx_detection name)
{
	struct detection *detection = core_handle_find(&detections, name.id);

	if (!detection)
		return PBX_ENOENT;
	stop(detection);
	return PBX_OK;
}
