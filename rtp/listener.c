/*
 * listener - one thread that hears for all who listen
 *
 * It begins by a command to the thread and one to the stream's worker, which fills the tap, and ends the other way round, as a recording does
 * (recorder.c). The thread looks fifty times a second while anybody listens. A packet that is missing is waited for half as long as one
 * may be late.
 */
#include "listener.h"
#include "engine_inner.h"
#include "thread.h"

#include <core/log.h>
#include <core/loop.h>
#include <stdlib.h>
#include <string.h>

#define ROUND_MS 20

#define BEGIN (RTP_LISTEN_COMMANDS + 0u)
#define LEARN (RTP_LISTEN_COMMANDS + 1u)  /* tongue */
#define FINISH (RTP_LISTEN_COMMANDS + 2u) /* no more packets come; comes back when it has let go */
#define NEWS (RTP_LISTEN_COMMANDS + 3u)   /* from the thread */

static struct {
	struct rtp_common *common;
	struct rtp_thread thread;
	struct rtp_listening *running; /* the thread's own */
} listener;

/* ---- the thread ---- */

static void give_back(struct rtp_listen_command *command)
{
	rtp_queue_push(&listener.common->returns, &command->command.node);
	listener.common->wake();
}

void rtp_listening_tell(struct rtp_listening *listening)
{
	if (!atomic_exchange(&listening->telling, true))
		give_back(&listening->news);
}

static void read_tap(struct rtp_listening *listening)
{
	struct rtp_tap_packet packet;
	uint8_t payload[RTP_TAP_PAYLOAD];

	while (rtp_tap_take(&listening->tap, listening->until, &packet, payload)) {
		struct rtp_speech *voice = rtp_interpreter_voice(&listening->interpreter, &packet);

		if (voice)
			rtp_track_put(listening->tracks[packet.direction], voice, &packet, payload);
	}
}

static void hand_on(struct rtp_listening *listening)
{
	int16_t samples[2][RTP_MOST_LISTENED_SAMPLES];
	const int16_t *taken[2] = { NULL, NULL };

	for (uint8_t i = 0; i < 2; i++) {
		if (!listening->tracks[i])
			continue;
		rtp_track_take(listening->tracks[i], samples[i], listening->block_samples);
		taken[i] = samples[i];
	}
	listening->sink->take(listening, taken[RTP_SAYS], taken[RTP_HEARS],
			      listening->begins_at_us + listening->at * 1000000 / listening->rate_hz);
	listening->at += listening->block_samples;
}

/* Whole blocks of what was said before that instant. */
static void hear_until(struct rtp_listening *listening, uint64_t at_us)
{
	if (at_us <= listening->begins_at_us)
		return;
	uint64_t end = (at_us - listening->begins_at_us) * listening->rate_hz / 1000000;

	for (uint8_t i = 0; i < 2; i++) {
		if (listening->tracks[i])
			rtp_track_pass(listening->tracks[i], at_us);
	}
	while (listening->at + listening->block_samples <= end)
		hand_on(listening);
}

static void finish(struct rtp_listening *listening)
{
	struct rtp_listening **at = &listener.running;

	while (*at && *at != listening)
		at = &(*at)->next_running;
	if (*at)
		*at = listening->next_running;
	listening->until = rtp_tap_written(&listening->tap);
	read_tap(listening);
	hear_until(listening, listening->ends_at_us);
	rtp_interpreter_forget(&listening->interpreter);
}

static void obey(struct rtp_listen_command *command)
{
	switch (command->command.kind) {
	case BEGIN:
		command->listening->next_running = listener.running;
		listener.running = command->listening;
		break;
	case LEARN:
		rtp_interpreter_learn(&command->listening->interpreter, command->tongue);
		break;
	default:
		finish(command->listening);
		break;
	}
	give_back(command);
}

/* Commands come after a look at the taps and before their packets: what a packet's plan means is known by then. */
static int one_round(void)
{
	struct rtp_node *node;

	for (struct rtp_listening *listening = listener.running; listening; listening = listening->next_running)
		listening->until = rtp_tap_written(&listening->tap);
	while ((node = rtp_thread_take(&listener.thread)))
		obey((struct rtp_listen_command *)node);
	uint64_t now_us = core_now_us();

	for (struct rtp_listening *listening = listener.running; listening; listening = listening->next_running) {
		read_tap(listening);
		hear_until(listening, now_us - listening->late_us);
	}
	return listener.running ? ROUND_MS : -1;
}

/* ---- its life ---- [loop] */

static void to_thread(uint32_t kind, struct rtp_listen_command *command)
{
	command->command.kind = kind;
	rtp_thread_send(&listener.thread, &command->command.node);
}

int rtp_listener_start(struct rtp_common *common)
{
	listener.common = common;
	listener.running = NULL;
	return rtp_thread_start(&listener.thread, "listener", one_round);
}

void rtp_listener_stop(void)
{
	rtp_thread_stop(&listener.thread);
}

/* ---- a listening ---- [loop] */

/* The worker has let go of the tap. */
static void untapped(struct rtp_command *command)
{
	struct rtp_listening *listening = (struct rtp_listening *)((char *)command->tap - offsetof(struct rtp_listening, tap));

	to_thread(FINISH, &listening->finish);
}

static void on_codec_leaving(void *context)
{
	rtp_listening_end(context);
}

int rtp_listening_init(struct rtp_listening *listening, const struct rtp_sink *sink, const struct rtp_listening_wish *wish)
{
	rtp_tap_init(&listening->tap, wish->directions, wish->music, untapped);
	listening->interpreter = (struct rtp_interpreter){ .on_leaving = on_codec_leaving, .context = listening };
	listening->sink = sink;
	listening->rate_hz = wish->rate_hz;
	listening->block_samples = wish->block_samples;
	listening->late_us = wish->late_ms * 1000;
	listening->begins_at_us = core_now_us();
	listening->finish.listening = listening->news.listening = listening;
	listening->news.command.kind = NEWS;
	for (uint8_t i = 0; i < 2; i++) {
		if (!(wish->directions & 1u << i))
			continue;
		listening->tracks[i] = rtp_track_new(wish->rate_hz, listening->begins_at_us);
		if (!listening->tracks[i]) {
			rtp_listening_fini(listening);
			return PBX_ENOMEM;
		}
		rtp_track_set_wait(listening->tracks[i], listening->late_us / 2);
	}
	return PBX_OK;
}

void rtp_listening_fini(struct rtp_listening *listening)
{
	for (uint8_t i = 0; i < 2; i++) {
		rtp_track_free(listening->tracks[i]);
		listening->tracks[i] = NULL;
	}
	rtp_interpreter_close(&listening->interpreter);
}

/* Before the worker hears of it. */
static int teach(struct rtp_listening *listening, const struct rtp_stream *stream)
{
	struct rtp_listen_command *command = calloc(1, sizeof *command);

	if (command)
		command->tongue = rtp_tongue_make(&listening->interpreter, stream);
	if (!command || !command->tongue) {
		free(command);
		return PBX_ENOMEM;
	}
	command->listening = listening;
	to_thread(LEARN, command);
	return PBX_OK;
}

int rtp_listening_begin(struct rtp_listening *listening, struct rtp_stream *stream)
{
	struct rtp_listen_command *begin = calloc(1, sizeof *begin);
	struct rtp_command *tap = rtp_command_new(RTP_TAP, stream);
	int err = begin && tap ? PBX_OK : PBX_ENOMEM;

	if (err == PBX_OK && stream->configured)
		err = teach(listening, stream);
	if (err != PBX_OK) {
		free(begin);
		free(tap);
		return err;
	}
	begin->listening = listening;
	to_thread(BEGIN, begin);
	tap->tap = &listening->tap;
	rtp_engine_send(tap);
	listening->stream = stream;
	listening->next = stream->listenings;
	stream->listenings = listening;
	return PBX_OK;
}

static void leave_stream(struct rtp_listening *listening)
{
	struct rtp_listening **at = &listening->stream->listenings;

	while (*at && *at != listening)
		at = &(*at)->next;
	if (*at)
		*at = listening->next;
	listening->stream = NULL;
}

/* The worker lets go first; see the story above. */
void rtp_listening_end(struct rtp_listening *listening)
{
	if (listening->ending)
		return;
	listening->ending = true;
	listening->ends_at_us = core_now_us();
	listening->untap = (struct rtp_command){ .kind = RTP_UNTAP,
						 .settles = true,
						 .session = &listening->stream->session,
						 .stream = listening->stream->id,
						 .tap = &listening->tap };
	leave_stream(listening);
	core_busy(1); /* until the thread has let go */
	rtp_engine_send(&listening->untap);
}

void rtp_listener_learn(struct rtp_stream *stream)
{
	for (struct rtp_listening *listening = stream->listenings; listening; listening = listening->next) {
		if (teach(listening, stream) != PBX_OK)
			core_log(PBX_LOG_WARN, RTP_OWNER, NULL, "tap_deaf", "reason=memory");
	}
}

void rtp_listener_leave(struct rtp_stream *stream)
{
	while (stream->listenings)
		rtp_listening_end(stream->listenings);
}

void rtp_listener_returned(struct rtp_command *returned)
{
	struct rtp_listen_command *command = (struct rtp_listen_command *)returned;
	struct rtp_listening *listening = command->listening;

	switch (returned->kind) {
	case NEWS:
		atomic_store(&listening->telling, false);
		listening->sink->told(listening);
		break;
	case FINISH:
		core_busy(-1);
		listening->sink->over(listening);
		break;
	default:
		free(command);
		break;
	}
}
