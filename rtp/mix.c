/*
 * mix - a tick of a room
 *
 * The room's clock is its worker's: each member's ear gives what was said since the last tick, the mixer sums, each mouth says the rest. A
 * member that is played something to, or sent digits, misses the room meanwhile, and is heard all the same. Who contributes nothing
 * and speaks G.711 at the room's own rate gets one encoding made for all of them.
 */
#include "mix.h"
#include "ear.h"
#include "mouth.h"
#include "sound.h"

#include <pbx/calls.h>
#include <string.h>

/* ---- who is there ---- */

void rtp_mix_begin(struct rtp_worker *worker, struct rtp_mix *mix)
{
	mix->worker = worker;
	mix->prev = NULL;
	mix->next = worker->mixes;
	if (mix->next)
		mix->next->prev = mix;
	worker->mixes = mix;
}

void rtp_mix_end(struct rtp_mix *mix)
{
	rtp_mix_stop(mix, PBX_MEDIA_STOPPED);
	if (mix->prev)
		mix->prev->next = mix->next;
	else
		mix->worker->mixes = mix->next;
	if (mix->next)
		mix->next->prev = mix->prev;
}

void rtp_mix_change(struct rtp_mix_member *member, const struct rtp_mix_wish *wish)
{
	struct rtp_mix_voice *voice = &member->voice;

	voice->talks = wish->talks;
	voice->hears = wish->hears;
	voice->confidant = wish->to ? &wish->to->voice : NULL;
	voice->talk_gain = wish->talk_gain;
	voice->hear_gain = wish->hear_gain;
}

void rtp_mix_enter(struct rtp_mix *mix, struct rtp_mix_member *member, const struct rtp_mix_wish *wish)
{
	rtp_mix_voice_init(&member->voice);
	member->voice.steady = !mix->gated;
	rtp_mix_change(member, wish);
	member->mix = mix;
	member->next = NULL;
	member->prev = mix->last;
	*(mix->last ? &mix->last->next : &mix->first) = member;
	mix->last = member;
	member->session->member = member;
	rtp_worker_keep_time(mix->worker);
}

void rtp_mix_leave(struct rtp_mix_member *member)
{
	struct rtp_mix *mix = member->mix;

	rtp_mixer_drop(&mix->mixer, &member->voice);
	for (struct rtp_mix_member *other = mix->first; other; other = other->next)
		if (other->voice.confidant == &member->voice)
			other->voice.confidant = NULL;
	*(member->prev ? &member->prev->next : &mix->first) = member->next;
	*(member->next ? &member->next->prev : &mix->last) = member->prev;
	member->session->member = NULL;
	if (!member->session->play)
		rtp_mouth_rest(member->session);
	rtp_relay_interrupted(member->session);
}

void rtp_mix_set_rate(struct rtp_mix *mix, uint32_t rate_hz)
{
	mix->rate_hz = rate_hz;
}

void rtp_mix_heard(struct rtp_session *session, const struct rtp_packet *packet)
{
	if (session->ear && rtp_ear_hears(session->ear, packet->type))
		rtp_ear_put(session->ear, packet, session->worker->now_us);
}

/* ---- what everybody hears ---- */

void rtp_mix_play(struct rtp_mix *mix, struct rtp_play *play)
{
	rtp_mix_stop(mix, PBX_MEDIA_STOPPED);
	mix->play = play;
	rtp_play_begin(play);
}

void rtp_mix_stop(struct rtp_mix *mix, uint32_t how)
{
	struct rtp_play *play = mix->play;

	if (!play)
		return;
	mix->play = NULL;
	play->how = how;
	rtp_worker_return(mix->worker, &play->command);
}

/* Sounds are in memory at 8 and 16 kHz; what is wider hears those of 16. */
static void put_play(struct rtp_mix *mix, uint32_t count)
{
	int16_t samples[RTP_MIX_MOST_SAMPLES], wide[RTP_MIX_MOST_SAMPLES];
	uint32_t rate_hz = mix->rate_hz > RTP_SOUND_HZ ? RTP_SOUND_HZ : mix->rate_hz;
	uint32_t taken = count / (mix->rate_hz / rate_hz);

	if (!mix->play)
		return;
	if (!rtp_play_take(mix->play, rate_hz, samples, taken)) {
		rtp_mix_stop(mix, PBX_MEDIA_FINISHED);
		return;
	}
	if (rate_hz == mix->rate_hz) {
		rtp_mixer_put_all(&mix->mixer, samples);
		return;
	}
	memset(wide, 0, sizeof wide);
	(void)rtp_resample(&mix->of_play, mix->rate_hz, samples, taken, wide, count);
	rtp_mixer_put_all(&mix->mixer, wide);
}

/* ---- a tick ---- */

static void tell(const struct rtp_mix_member *member, uint32_t kind, bool on, bool *told)
{
	struct rtp_event event = { .stream = member->session->stream, .kind = kind, .for_ms = on };

	if (rtp_worker_tell(member->mix->worker, &event) && told)
		*told = on; /* no room in the ring: the next tick tries again */
}

static void put_member(struct rtp_mix *mix, struct rtp_mix_member *member, uint32_t count)
{
	struct rtp_session *session = member->session;
	int16_t samples[RTP_MIX_MOST_SAMPLES];

	if (!session->ear || !rtp_ear_take(session->ear, mix->rate_hz, samples, count, mix->worker->now_us))
		memset(samples, 0, count * sizeof *samples);
	rtp_mixer_put(&mix->mixer, &member->voice, samples);

	bool talking = member->voice.open && (member->voice.talks || member->voice.confidant);

	rtp_write(&member->level_cdbov, member->voice.level_cdbov);
	rtp_write(&member->talking, talking);
	if (talking != member->told_talking)
		tell(member, RTP_EVENT_TALKING, talking, &member->told_talking);
}

/* G.711 that many listeners get: of the mix that they share, or of silence. */
struct shared {
	bool made[2][RTP_LAWS];
	uint8_t packets[2][RTP_LAWS][RTP_HEADER_BYTES + RTP_MIX_MOST_SAMPLES];
};

static void give_shared(struct rtp_session *session, struct shared *shared, uint32_t law, bool silence, const int16_t *samples,
			uint32_t count)
{
	uint8_t *payload = shared->packets[silence][law] + RTP_HEADER_BYTES;

	if (!shared->made[silence][law])
		rtp_g711_encode_all(law, samples, payload, count);
	shared->made[silence][law] = true;
	rtp_mouth_give_payload(session, payload, count);
}

static void take_member(struct rtp_mix *mix, struct rtp_mix_member *member, struct shared *shared, uint32_t count)
{
	struct rtp_session *session = member->session;
	int16_t samples[RTP_MIX_MOST_SAMPLES];
	uint32_t law, what = rtp_mixer_take(&mix->mixer, &member->voice, samples);

	if (!session->mouth || session->digits || (session->play && session->play->kind != CORE_PLAY_ECHO))
		return;
	if (what != RTP_MIX_OWN && mix->rate_hz == 8000 && rtp_mouth_law(session->mouth, &law) &&
	    rtp_mouth_ptime_ms(session->mouth) == mix->mixer.tick_ms)
		give_shared(session, shared, law, what == RTP_MIX_SILENCE, samples, count);
	else
		rtp_mouth_give(session, mix->rate_hz, samples, count);
}

static struct rtp_mix_member *member_of(struct rtp_mix_voice *voice)
{
	return (struct rtp_mix_member *)((char *)voice - offsetof(struct rtp_mix_member, voice));
}

static void step(struct rtp_mix *mix, uint32_t tick_ms)
{
	uint32_t count = mix->rate_hz / 1000 * tick_ms;
	struct shared shared;

	memset(shared.made, 0, sizeof shared.made);
	rtp_mixer_begin(&mix->mixer, mix->rate_hz, count);
	put_play(mix, count);
	for (struct rtp_mix_member *member = mix->first; member; member = member->next)
		put_member(mix, member, count);
	if (rtp_mixer_speaker_changed(&mix->mixer))
		tell(member_of(mix->mixer.speaker), RTP_EVENT_SPEAKER, true, NULL);
	for (struct rtp_mix_member *member = mix->first; member; member = member->next)
		take_member(mix, member, &shared, count);
}

static uint32_t tick_ms_of(const struct rtp_mix *mix)
{
	for (const struct rtp_mix_member *member = mix->first; member; member = member->next)
		if (member->session->mouth && rtp_mouth_ptime_ms(member->session->mouth) % RTP_MIX_TICK_MS)
			return RTP_MIX_TICK_MS / 2;
	return RTP_MIX_TICK_MS;
}

void rtp_mixes_tick(struct rtp_worker *worker)
{
	for (struct rtp_mix *mix = worker->mixes; mix; mix = mix->next) {
		if (!mix->first || ++mix->ticks * RTP_TICK_MS < RTP_MIX_TICK_MS / 2)
			continue;
		uint32_t tick_ms = tick_ms_of(mix);

		if (mix->ticks * RTP_TICK_MS < tick_ms)
			continue;
		mix->ticks = 0;
		step(mix, tick_ms);
	}
}

bool rtp_mixes_are_busy(const struct rtp_worker *worker)
{
	for (const struct rtp_mix *mix = worker->mixes; mix; mix = mix->next)
		if (mix->first || mix->play)
			return true;
	return false;
}
