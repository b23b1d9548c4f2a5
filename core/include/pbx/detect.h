/* pbx/detect.h - what a party's sound means: fax machines, tones of the network, answering machines, voice, silence
 * Served by the core as "pbx.detect/1". All of it: [loop].
 *
 * A detection listens to one leg beside its call, as a tap does (pbx/tap.h): the call stays as it is, and nothing runs where nobody has asked.
 * What is found is told with its evidence, a fifth of a second after it was heard; a detection goes on until it is stopped, its time is over or
 * the leg ends. Several kinds may be asked for at once, and several detections may stand at a leg. Times count from the moment at which
 * start() was called, so for a call that we make, call it when the leg is answered.
 *
 *	static void on_found(void *self, pbx_detection detection, const struct pbx_detected *found)
 *	{
 *		struct dialer *dialer = self;
 *
 *		if (found->what == PBX_DETECT_MACHINE && strcmp(found->name, "human") == 0)
 *			connect_agent(dialer);
 *		else if (found->what == PBX_DETECT_BEEP)
 *			leave_message(dialer);
 *	}
 *	const struct pbx_detect_spec spec = { .size = sizeof spec, .what = PBX_DETECT_MACHINE | PBX_DETECT_BEEP | PBX_DETECT_FAX, .most_ms = 60000 };
 *	const struct pbx_detect_watcher watcher = { .size = sizeof watcher, .found = on_found };
 *	err = dialer->detector->start(dialer->host, leg, &spec, &watcher, dialer, &dialer->detection); */
#pragma once
#include <pbx/plugin.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct pbx_detection {
	uint64_t id;
} pbx_detection;

/* A fax machine (ITU-T T.30): "cng", 1100 Hz, it calls; "ced", 2100 Hz, it answers, with or without phase reversals; "preamble", the V.21 flags that
 * follow. Each once. */
#define PBX_DETECT_FAX 1u
/* Tones of a country (as pbx_calls.tone): "dial", "ringback", "busy", "congestion", and "sit" (special information, ITU-T E.180). Told when as much
 * of the cadence has been heard as tells it from the others, two or three of its pulses, and again when another one follows. */
#define PBX_DETECT_TONES 2u
/* Who has answered, by the cadence of voice and silence: "human", "machine", "silence" (nobody speaks) or "unsure"; .cause says why. Once. */
#define PBX_DETECT_MACHINE 4u
/* "beep": a pure tone that has ended, as answering machines give before they record. Each. */
#define PBX_DETECT_BEEP 8u
#define PBX_DETECT_VOICE 16u   /* "voice": for voice_ms. Again after a pause of half a second */
#define PBX_DETECT_SILENCE 32u /* "silence": for silence_ms. Again after a voice */
#define PBX_DETECT_ALL 63u

/* Copied. What is 0 has the value behind it. Times in milliseconds. */
struct pbx_detect_spec {
	uint32_t size;
	uint32_t what;         /* PBX_DETECT_…, or-ed */
	bool hears;            /* what is sent to the party instead of what it says */
	const char *country;   /* of the tones, as media.country knows them ("us", "uk", "de"); NULL: that setting */
	uint32_t most_ms;      /* over() follows; 0: no limit */
	uint32_t voice_ms;     /* 300 */
	uint32_t silence_ms;   /* 2000 */
	int32_t threshold_cdb; /* what is voice: louder than so many hundredths of a dB of full scale, and 9 dB over the background; -4200 */
	/* MACHINE */
	uint32_t initial_silence_ms; /* 2500: no word until then: silence (initial_silence) */
	uint32_t greeting_ms;        /* 1500: words and pauses last longer: machine (long_greeting) */
	uint32_t after_greeting_ms;  /* 800: silence behind the words: human (greeting_over) */
	uint32_t total_ms;           /* 5000: nothing of all that: unsure (total) */
	uint32_t least_word_ms;      /* 100: shorter sounds are none */
	uint32_t most_word_ms;       /* 5000: a sound that lasts longer: machine (long_word) */
	uint32_t between_words_ms;   /* 50: shorter pauses are within a word */
	uint32_t most_words;         /* 2: more: machine (many_words) */
	/* BEEP */
	uint32_t least_beep_ms; /* 160 */
	uint32_t most_beep_ms;  /* 3000 */
};

/* Texts are static. What is not known, or not of this kind, is 0 or "". */
struct pbx_detected {
	uint32_t size;
	uint32_t what;     /* PBX_DETECT_…, one */
	const char *name;  /* see there */
	const char *cause; /* MACHINE */
	uint64_t began_ms; /* when what was found began, since start(); MACHINE: the first word */
	uint64_t at_ms;    /* when it was known */
	uint32_t for_ms;   /* how long it had lasted by then; BEEP: all of it */
	int32_t level_cdb; /* hundredths of a dB of full scale, over the last fifth of a second; BEEP: of the tone */
	uint32_t hz;       /* BEEP, FAX */
	/* MACHINE */
	uint32_t words, initial_silence_ms, greeting_ms, after_greeting_ms;
};

#define PBX_DETECTION_LIMIT 1u     /* most_ms have passed */
#define PBX_DETECTION_LEG_ENDED 2u /* or the plugin of its codec was taken away */

struct pbx_detect_watcher {
	uint32_t size;
	void (*found)(void *self, pbx_detection detection, const struct pbx_detected *found);
	/* It has ended by itself. NULL: nobody asks. */
	void (*over)(void *self, pbx_detection detection, uint32_t how); /* PBX_DETECTION_… */
};

struct pbx_detector {
	struct pbx_header header;

	/* Begins now. The leg has media already. Charged to the host, which is not unloaded while it lasts; stopped with it. PBX_OK, PBX_EINVAL (spec, no
	 * tones of that country), PBX_ENOENT (leg has ended), PBX_ESTATE (it has no media), PBX_ENOTSUP (this media cannot), PBX_ENOMEM. */
	int (*start)(struct pbx_host *host, pbx_leg leg, const struct pbx_detect_spec *spec, const struct pbx_detect_watcher *watcher,
		     void *self, pbx_detection *ret_detection);
	/* Nothing more is told. PBX_OK, PBX_ENOENT (it is over). */
	int (*stop)(pbx_detection detection);
	/* 1.1 and later append here. */
};

PBX_SERVICE(pbx_detector, "pbx.detect/1")

#ifdef __cplusplus
}
#endif
