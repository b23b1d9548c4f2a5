/*
 * tapping - from a listening to a plugin's ring
 *
 * The listener's thread puts blocks into the ring and has the loop told when the plugin reads there. A tap is closed by its owner, also
 * when its leg has ended before; its memory goes when the thread has let go of it and the owner has closed it.
 */
#include "tapping.h"
#include "engine_inner.h"
#include "listener.h"

#include <core/owner.h>
#include <core/tap_reader.h>
#include <stdlib.h>
#include <string.h>

struct tapping {
	struct rtp_listening listening; /* first */
	uint64_t id;
	pbx_leg leg;
	struct core_charge charge;
	struct pbx_host *owner;
	struct pbx_tap_watcher watcher;
	void *self;
	uint32_t what, block_ms;
	struct pbx_tap_reader *reader;
	_Atomic uint64_t blocks; /* made */
	bool over, closed;
};

static struct core_handles tappings;

void rtp_tapping_init(void)
{
	core_handles_init(&tappings, 'T');
}

/* ---- the thread ---- */

static int16_t mixed(int16_t a, int16_t b)
{
	int32_t sum = a + b;

	return (int16_t)(sum > INT16_MAX ? INT16_MAX : sum < INT16_MIN ? INT16_MIN : sum);
}

static void take(struct rtp_listening *listening, const int16_t *says, const int16_t *hears, uint64_t at_us)
{
	struct tapping *tapping = (struct tapping *)listening;
	int16_t both[2 * RTP_MOST_LISTENED_SAMPLES];
	const int16_t *samples = says ? says : hears;

	for (uint32_t i = 0; says && hears && i < listening->block_samples; i++) {
		if (tapping->what == PBX_TAP_MIXED) {
			both[i] = mixed(says[i], hears[i]);
		} else {
			both[2 * i] = says[i];
			both[2 * i + 1] = hears[i];
		}
		samples = both;
	}
	rtp_count(&tapping->blocks, 1);
	if (core_tap_reader_put(tapping->reader, samples, at_us) && tapping->watcher.ready)
		rtp_listening_tell(listening);
}

/* ---- the loop ---- */

static void tapping_free(struct tapping *tapping)
{
	if (!tapping)
		return;
	rtp_listening_fini(&tapping->listening);
	core_handle_free(&tappings, tapping->id);
	core_charge_remove(&tapping->charge);
	core_tap_reader_free(tapping->reader);
	free(tapping);
}

static void told(struct rtp_listening *listening)
{
	struct tapping *tapping = (struct tapping *)listening;
	pbx_tap name = { tapping->id };

	if (!tapping->closed)
		CORE_INTO(tapping->owner, tapping->watcher.ready(tapping->self, name));
}

static void over(struct rtp_listening *listening)
{
	struct tapping *tapping = (struct tapping *)listening;
	pbx_tap name = { tapping->id };

	tapping->over = true;
	if (tapping->closed) {
		tapping_free(tapping);
		return;
	}
	core_tap_reader_end(tapping->reader);
	if (tapping->watcher.ended)
		CORE_INTO(tapping->owner, tapping->watcher.ended(tapping->self, name));
}

static const struct rtp_sink sink = { .take = take, .told = told, .over = over };

/* Nobody hears of it any more. */
static void finish(struct tapping *tapping)
{
	tapping->closed = true;
	core_handle_free(&tappings, tapping->id);
	core_charge_remove(&tapping->charge);
	tapping->id = 0;
	if (tapping->over)
		tapping_free(tapping);
	else
		rtp_listening_end(&tapping->listening);
}

static void on_owner_stopped(struct core_charge *charge)
{
	finish((struct tapping *)((char *)charge - offsetof(struct tapping, charge)));
}

static uint8_t directions_of(uint32_t what)
{
	return what == PBX_TAP_SAYS ? 1u << RTP_SAYS : what == PBX_TAP_HEARS ? 1u << RTP_HEARS : 1u << RTP_SAYS | 1u << RTP_HEARS;
}

static struct tapping *tapping_new(const struct pbx_tap_spec *spec)
{
	struct tapping *tapping = aligned_alloc(64, (sizeof *tapping + 63) / 64 * 64);
	uint32_t samples = spec->rate_hz / 1000 * spec->block_ms;
	const struct rtp_listening_wish wish = { .directions = directions_of(spec->what),
						 .music = spec->music,
						 .rate_hz = spec->rate_hz,
						 .block_samples = samples,
						 .late_ms = spec->late_ms };

	if (!tapping)
		return NULL;
	memset(tapping, 0, sizeof *tapping);
	tapping->what = spec->what;
	tapping->block_ms = spec->block_ms;
	tapping->reader = core_tap_reader_new(spec->what == PBX_TAP_APART ? 2 * samples : samples, spec->room_ms / spec->block_ms);
	tapping->id = core_handle_new(&tappings, tapping);
	if (tapping->reader && tapping->id && rtp_listening_init(&tapping->listening, &sink, &wish) == PBX_OK)
		return tapping;
	tapping_free(tapping);
	return NULL;
}

int rtp_tapping_open(struct pbx_host *owner, core_stream name, pbx_leg leg, const struct pbx_tap_spec *spec,
		     const struct pbx_tap_watcher *watcher, void *self, pbx_tap *ret_tap)
{
	struct rtp_stream *stream = rtp_stream_find(name);

	if (!stream)
		return PBX_ENOENT;
	struct tapping *tapping = tapping_new(spec);

	if (!tapping)
		return PBX_ENOMEM;
	tapping->leg = leg;
	tapping->owner = owner;
	tapping->watcher = *watcher;
	tapping->self = self;
	int err = rtp_listening_begin(&tapping->listening, stream);

	if (err != PBX_OK) {
		tapping_free(tapping);
		return err;
	}
	core_charge_add(owner, &tapping->charge, "tap", true, on_owner_stopped);
	*ret_tap = (pbx_tap){ tapping->id };
	return PBX_OK;
}

int rtp_tapping_close(pbx_tap name)
{
	struct tapping *tapping = core_handle_find(&tappings, name.id);

	if (!tapping)
		return PBX_ENOENT;
	finish(tapping);
	return PBX_OK;
}

int rtp_tapping_reader(pbx_tap name, struct pbx_tap_reader **ret_reader)
{
	const struct tapping *tapping = core_handle_find(&tappings, name.id);

	if (!tapping)
		return PBX_ENOENT;
	*ret_reader = tapping->reader;
	return PBX_OK;
}

int rtp_tapping_state(pbx_tap name, struct pbx_tap_state *ret_state)
{
	const struct tapping *tapping = core_handle_find(&tappings, name.id);

	if (!tapping)
		return PBX_ENOENT;
	ret_state->ended = tapping->over;
	ret_state->leg = tapping->leg.id;
	ret_state->waiting_ms = core_tap_reader_waiting(tapping->reader) * tapping->block_ms;
	ret_state->made_ms = rtp_read(&tapping->blocks) * tapping->block_ms;
	ret_state->dropped_ms = core_tap_reader_dropped(tapping->reader) * tapping->block_ms;
	ret_state->lost = rtp_read(&tapping->listening.tap.lost);
	return PBX_OK;
}
