/* audio.h - what the files of audio_processing know of each other. All of it: [loop] */
#pragma once
#include "filter.h"
#include <pbx/audio.h>
#include <pbx/bus.h>
#include <pbx/calls.h>
#include <pbx/json.h>
#include <pbx/metrics.h>
#include <pbx/requests.h>
#include <pbx/timers.h>

/* Whose sound is worked on, and how: a row of the settings. */
struct leg_settings {
	const char *legs;
	uint32_t denoise_db, aec_tail_ms;
	bool agc, aec;
	int64_t gain_in_db, gain_out_db, limit_in_dbfs, limit_out_dbfs;
};

struct audio_settings {
	struct pbx_objects processing;
	uint32_t silence_s;
};

/* A leg whose sound is worked on. Lives until it has left the list and no media worker has a state of it. */
struct party {
	struct party *next;
	struct audio_processing *audio;
	pbx_leg leg;
	char leg_id[64];
	struct sound_wishes wishes;
	bool by_hand; /* somebody has set them for this leg: the settings do not matter */
	bool listed, told_silence;
	uint32_t states;
	struct sound_controls controls;
};

struct audio_processing {
	PBX_INSTANCE(struct audio_settings);
	const struct pbx_calls *calls;
	const struct pbx_audio *media;
	const struct pbx_bus *bus;
	const struct pbx_jsons *json;
	const struct pbx_requests *requests;
	const struct pbx_metrics *metrics;
	const struct pbx_timers *timers;
	struct party *parties;
};

enum audio_metric { METRIC_LEGS, METRIC_SPEECH, METRIC_NOISE, METRIC_ERLE, METRIC_TALK, METRIC_DATA };

/* ---- legs.c ---- */

/* Does for every leg what the settings say, but for those that somebody has set by hand. */
void audio_settle_all(struct audio_processing *audio, const struct audio_settings *settings);
/* PBX_OK, or what attach answers. */
int audio_wish(struct audio_processing *audio, pbx_leg leg, const struct sound_wishes *wishes);
const struct party *audio_party(const struct audio_processing *audio, pbx_leg leg); /* NULL: nothing is done there */
/* What a leg would get by the settings: nothing when no row is for it. */
struct sound_wishes audio_wishes_of(const struct audio_settings *settings, const struct pbx_leg_info *info);
void audio_on_leg(void *self, const struct pbx_event *event); /* one has answered */
void audio_look_for_silence(struct audio_processing *audio);
void audio_forget_all(struct audio_processing *audio);

/* ---- requests.c ---- */

void audio_on_list(void *self, pbx_request request);
void audio_on_show(void *self, pbx_request request);
void audio_on_set(void *self, pbx_request request);
