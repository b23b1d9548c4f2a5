/*
 * legs - at which legs a filter stands
 *
 * When a leg answers, the first row of the settings that is for it decides; from then on somebody may say otherwise for this leg.
 * Where nothing is to be done there is no filter, so that the leg can be relayed. What needs memory (echo, noise) is done by states
 * opened anew; gains and mute follow at once.
 */
#include "audio.h"

#include <fnmatch.h>
#include <stdlib.h>
#include <string.h>

/* ---- what the settings say ---- */

/* "1001", "10*", "trunk:NAME", "trunk:*", "*". */
static bool is_for(const char *legs, const struct pbx_leg_info *info)
{
	if (strncmp(legs, "trunk:", 6) == 0)
		return *info->peer && fnmatch(legs + 6, info->peer, 0) == 0;
	const char *who = *info->account ? info->account : info->number;

	return !*info->peer && fnmatch(legs, who, 0) == 0;
}

struct sound_wishes audio_wishes_of(const struct audio_settings *settings, const struct pbx_leg_info *info)
{
	const struct leg_settings *rows = settings->processing.rows;

	for (uint32_t i = 0; i < settings->processing.count; i++) {
		const struct leg_settings *row = &rows[i];

		if (is_for(row->legs, info))
			return (struct sound_wishes){ .denoise_db = row->denoise_db,
						      .agc = row->agc,
						      .aec = row->aec,
						      .aec_tail_ms = row->aec_tail_ms,
						      .gain_in_db = (int32_t)row->gain_in_db,
						      .gain_out_db = (int32_t)row->gain_out_db,
						      .limit_in_dbfs = (int32_t)row->limit_in_dbfs,
						      .limit_out_dbfs = (int32_t)row->limit_out_dbfs };
	}
	return (struct sound_wishes){ .aec_tail_ms = 128 };
}

static bool asks_for_something(const struct sound_wishes *wishes)
{
	return wishes->denoise_db > 0 || wishes->agc || wishes->aec || wishes->gain_in_db || wishes->gain_out_db || wishes->limit_in_dbfs ||
	       wishes->limit_out_dbfs || wishes->muted;
}

static bool needs_other_states(const struct sound_wishes *a, const struct sound_wishes *b)
{
	return a->denoise_db != b->denoise_db || a->aec != b->aec || (a->aec && a->aec_tail_ms != b->aec_tail_ms);
}

/* ---- parties ---- */

static void party_free_unused(struct party *party)
{
	if (!party->listed && party->states == 0)
		free(party);
}

static void unlist(struct party *party)
{
	struct party **at = &party->audio->parties;

	while (*at != party)
		at = &(*at)->next;
	*at = party->next;
	party->listed = false;
	party_free_unused(party);
}

static struct party *find(const struct audio_processing *audio, pbx_leg leg)
{
	struct party *party = audio->parties;

	while (party && party->leg.id != leg.id)
		party = party->next;
	return party;
}

const struct party *audio_party(const struct audio_processing *audio, pbx_leg leg)
{
	return find(audio, leg);
}

void audio_forget_all(struct audio_processing *audio)
{
	while (audio->parties)
		unlist(audio->parties);
}

/* ---- the filter ---- */

static int on_open(void *context, uint32_t rate_hz, void **ret_state)
{
	struct party *party = context;
	struct sound *sound = sound_new(&party->controls, &party->wishes, rate_hz);

	if (!sound)
		return PBX_ENOMEM;
	sound_own(sound, party);
	party->states++;
	*ret_state = sound;
	return PBX_OK;
}

static void on_close(void *state)
{
	struct party *party = sound_owner(state);

	sound_free(state);
	party->states--;
	party_free_unused(party);
}

static void on_said(void *state, int16_t *samples, uint32_t count)
{
	sound_said(state, samples, count);
}

static void on_heard(void *state, int16_t *samples, uint32_t count)
{
	sound_heard(state, samples, count);
}

static void on_gone(void *context)
{
	unlist(context);
}

static const struct pbx_audio_filter filter = {
	.size = sizeof filter, .open = on_open, .close = on_close, .said = on_said, .heard = on_heard, .gone = on_gone
};

/* ---- wishes ---- */

static void set_controls(struct party *party, const struct sound_wishes *wishes)
{
	party->wishes = *wishes;
	party->controls.agc = wishes->agc;
	party->controls.muted = wishes->muted;
	party->controls.gain_in_db = wishes->gain_in_db;
	party->controls.gain_out_db = wishes->gain_out_db;
	party->controls.limit_in_dbfs = wishes->limit_in_dbfs;
	party->controls.limit_out_dbfs = wishes->limit_out_dbfs;
}

static struct party *party_new(struct audio_processing *audio, pbx_leg leg)
{
	struct pbx_leg_info info = { .size = sizeof info };
	struct party *party = audio->calls->info(leg, &info) == PBX_OK ? calloc(1, sizeof *party) : NULL;

	if (!party)
		return NULL;
	party->audio = audio;
	party->leg = leg;
	(void)snprintf(party->leg_id, sizeof party->leg_id, "%s", info.id);
	party->listed = true;
	party->next = audio->parties;
	audio->parties = party;
	return party;
}

/* With the wishes that it has now. */
static int attach(struct party *party)
{
	return party->audio->media->attach(party->audio->host, party->leg, &filter, party);
}

static int wish(struct audio_processing *audio, pbx_leg leg, const struct sound_wishes *wishes, bool by_hand)
{
	struct party *party = find(audio, leg);
	bool is_new = !party;

	if (is_new && !asks_for_something(wishes))
		return PBX_OK;
	if (is_new)
		party = party_new(audio, leg);
	if (!party)
		return PBX_ENOMEM;
	struct sound_wishes before = party->wishes;

	set_controls(party, wishes);
	int err = is_new || needs_other_states(&before, wishes) ? attach(party) : PBX_OK;

	if (err != PBX_OK && is_new)
		unlist(party);
	else if (err != PBX_OK)
		set_controls(party, &before);
	else
		party->by_hand = by_hand;
	return err;
}

int audio_wish(struct audio_processing *audio, pbx_leg leg, const struct sound_wishes *wishes)
{
	if (!asks_for_something(wishes) && find(audio, leg))
		return audio->media->detach(audio->host, leg); /* on_gone forgets it */
	return wish(audio, leg, wishes, true);
}

/* ---- legs come, settings change ---- */

struct settling {
	struct audio_processing *audio;
	const struct audio_settings *settings;
};

static void settle(void *context, pbx_leg leg)
{
	const struct settling *settling = context;
	struct audio_processing *audio = settling->audio;
	struct pbx_leg_info info = { .size = sizeof info };
	const struct party *party = find(audio, leg);

	if (audio->calls->info(leg, &info) != PBX_OK || info.state != PBX_LEG_ANSWERED || (party && party->by_hand))
		return;
	struct sound_wishes wishes = audio_wishes_of(settling->settings, &info);
	int err = PBX_OK;

	if (party && !asks_for_something(&wishes))
		err = audio->media->detach(audio->host, leg); /* on_gone forgets it */
	else
		err = wish(audio, leg, &wishes, false);
	if (err != PBX_OK && err != PBX_ENOENT)
		pbx_warn(audio->host, "not_processed", "leg=%s result=%d", info.id, err);
}

void audio_settle_all(struct audio_processing *audio, const struct audio_settings *settings)
{
	struct settling settling = { audio, settings };

	audio->calls->each((pbx_call){ 0 }, settle, &settling);
}

void audio_on_leg(void *self, const struct pbx_event *event)
{
	struct audio_processing *audio = self;
	struct settling settling = { audio, audio->settings };
	const char *id = audio->json->text(audio->json->get(event->data, "leg_id"));
	pbx_leg leg;

	if (id && audio->calls->find_leg(id, &leg) == PBX_OK)
		settle(&settling, leg);
}

/* ---- silence ---- */

static void tell_silence(struct party *party, uint32_t silent_ms)
{
	struct audio_processing *audio = party->audio;
	struct pbx_leg_info info = { .size = sizeof info };
	struct pbx_json *data = audio->json->new_object();

	if (audio->calls->info(party->leg, &info) != PBX_OK) {
		audio->json->free(data);
		return;
	}
	(void)audio->json->set_text(data, "leg_id", info.id);
	(void)audio->json->set_text(data, "number", info.number);
	(void)audio->json->set_integer(data, "for_ms", silent_ms);
	(void)audio->bus->publish(audio->host, "media.silence", info.call, data); /* the log says itself what it cannot keep */
}

/* It says nothing while the other side speaks to it. */
static void look_at(struct party *party)
{
	uint32_t silent_ms = party->controls.silent_ms, least_ms = party->audio->settings->silence_s * 1000;
	bool silent = least_ms > 0 && silent_ms >= least_ms && party->controls.unanswered_ms >= 1000;

	if (silent && !party->told_silence)
		tell_silence(party, silent_ms);
	party->told_silence = silent;
}

void audio_look_for_silence(struct audio_processing *audio)
{
	for (struct party *party = audio->parties; party; party = party->next)
		look_at(party);
}
