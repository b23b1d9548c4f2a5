/*
 * detect_machine - a person or a machine, by how it greets
 *
 * People say a word or two and wait; machines speak at length. Words are runs of voice that are long enough, pauses that are too short are within
 * one. The first of the rules in struct pbx_detect_spec that holds decides.
 */
#include "detect.h"

static void decide(struct rtp_machine *machine, const char *name, const char *cause, uint64_t now_ms, rtp_found_fn found, void *context)
{
	const struct pbx_detected detected = { .what = PBX_DETECT_MACHINE,
					       .name = name,
					       .cause = cause,
					       .began_ms = machine->began_ms,
					       .for_ms = machine->begun ? (uint32_t)(now_ms - machine->began_ms) : 0,
					       .words = machine->words,
					       .initial_silence_ms = machine->begun ? machine->initial_silence_ms : machine->total_ms,
					       .greeting_ms = machine->greeting_ms,
					       .after_greeting_ms = machine->begun ? machine->quiet_ms : 0 };

	machine->decided = true;
	found(context, &detected);
}

/* The sound is long enough to be a word. */
static void begin_word(struct rtp_machine *machine, uint64_t now_ms)
{
	machine->in_word = true;
	machine->words++;
	if (machine->begun)
		return;
	machine->begun = true;
	machine->began_ms = now_ms - machine->voiced_ms;
	machine->initial_silence_ms = machine->total_ms > machine->voiced_ms ? machine->total_ms - machine->voiced_ms : 0;
}

static void hear(struct rtp_machine *machine, bool voiced, uint64_t now_ms)
{
	machine->total_ms += RTP_DETECT_FRAME_MS;
	if (voiced) {
		if (machine->voiced_ms && machine->quiet_ms)
			machine->voiced_ms += machine->quiet_ms;
		machine->voiced_ms += RTP_DETECT_FRAME_MS;
		machine->quiet_ms = 0;
		if (!machine->in_word && machine->voiced_ms >= machine->spec->least_word_ms)
			begin_word(machine, now_ms);
	} else {
		machine->quiet_ms += RTP_DETECT_FRAME_MS;
		if (machine->quiet_ms >= machine->spec->between_words_ms) {
			machine->in_word = false;
			machine->voiced_ms = 0;
		}
	}
	if (machine->begun && machine->in_word && voiced)
		machine->greeting_ms = (uint32_t)(now_ms - machine->began_ms);
}

void rtp_machine_step(struct rtp_machine *machine, bool voiced, uint64_t now_ms, rtp_found_fn found, void *context)
{
	const struct pbx_detect_spec *spec = machine->spec;

	if (machine->decided)
		return;
	hear(machine, voiced, now_ms);
	if (!machine->begun && machine->total_ms >= spec->initial_silence_ms && machine->voiced_ms == 0)
		decide(machine, "silence", "initial_silence", now_ms, found, context);
	else if (machine->in_word && machine->voiced_ms >= spec->most_word_ms)
		decide(machine, "machine", "long_word", now_ms, found, context);
	else if (machine->greeting_ms >= spec->greeting_ms)
		decide(machine, "machine", "long_greeting", now_ms, found, context);
	else if (machine->words > spec->most_words)
		decide(machine, "machine", "many_words", now_ms, found, context);
	else if (machine->begun && machine->quiet_ms >= spec->after_greeting_ms)
		decide(machine, "human", "greeting_over", now_ms, found, context);
	else if (machine->total_ms >= spec->total_ms)
		decide(machine, "unsure", "total", now_ms, found, context);
}
