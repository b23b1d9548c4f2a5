/* requests - what is done to a leg's sound, shown and changed: GET and PUT /media/legs/{id}/audio, and pbxctl audio */
#include "audio.h"

/* A number that has not been measured yet is null. */
static void set_db(const struct audio_processing *audio, struct pbx_json *json, const char *name, int32_t cdb)
{
	if (cdb)
		(void)audio->json->set_number(json, name, cdb / 100.0);
	else
		(void)audio->json->set(json, name, audio->json->new_text(NULL));
}

static void set_wishes(const struct audio_processing *audio, struct pbx_json *json, const struct sound_wishes *wishes)
{
	(void)audio->json->set_integer(json, "denoise_db", wishes->denoise_db);
	(void)audio->json->set_boolean(json, "agc", wishes->agc);
	(void)audio->json->set_boolean(json, "aec", wishes->aec);
	(void)audio->json->set_integer(json, "aec_tail_ms", wishes->aec_tail_ms);
	(void)audio->json->set_integer(json, "gain_in_db", wishes->gain_in_db);
	(void)audio->json->set_integer(json, "gain_out_db", wishes->gain_out_db);
	(void)audio->json->set_integer(json, "limit_in_dbfs", wishes->limit_in_dbfs);
	(void)audio->json->set_integer(json, "limit_out_dbfs", wishes->limit_out_dbfs);
	(void)audio->json->set_boolean(json, "muted", wishes->muted);
}

static void set_measured(const struct audio_processing *audio, struct pbx_json *json, const struct sound_controls *controls)
{
	uint64_t said_ms = controls->said_ms;

	set_db(audio, json, "speech_dbfs", controls->speech_cdb);
	set_db(audio, json, "noise_dbfs", controls->noise_cdb);
	set_db(audio, json, "erle_db", controls->erle_cdb);
	(void)audio->json->set_number(json, "agc_gain_db", controls->gain_cdb / 100.0);
	(void)audio->json->set_number(json, "talk_ratio", said_ms ? (double)controls->speech_ms / (double)said_ms : 0);
	(void)audio->json->set_integer(json, "silent_ms", controls->silent_ms);
	(void)audio->json->set_boolean(json, "data", controls->data);
}

/* party NULL: nothing is done there. */
static struct pbx_json *leg_json(const struct audio_processing *audio, const char *leg_id, const struct party *party)
{
	static const struct sound_controls nothing;
	const struct sound_wishes none = { .aec_tail_ms = 128 };
	struct pbx_json *json = audio->json->new_object();

	(void)audio->json->set_text(json, "leg_id", leg_id);
	set_wishes(audio, json, party ? &party->wishes : &none);
	(void)audio->json->set_boolean(json, "by_hand", party && party->by_hand);
	set_measured(audio, json, party ? &party->controls : &nothing);
	return json;
}

void audio_on_list(void *self, pbx_request request)
{
	const struct audio_processing *audio = self;
	struct pbx_json *list = audio->json->new_array();

	for (const struct party *party = audio->parties; party; party = party->next)
		(void)audio->json->append(list, leg_json(audio, party->leg_id, party));
	(void)audio->requests->reply(request, 200, list); /* an asker who has gone misses nothing */
}

/* The leg in the path. False: refused. */
static bool take_leg(const struct audio_processing *audio, pbx_request request, pbx_leg *ret_leg, const char **ret_id)
{
	*ret_id = audio->requests->text(request, "id");
	if (audio->calls->find_leg(*ret_id, ret_leg) == PBX_OK)
		return true;
	(void)audio->requests->fail(request, 404, "not_found", "id", "There is no leg %s: calls list shows those there are", *ret_id);
	return false;
}

void audio_on_show(void *self, pbx_request request)
{
	const struct audio_processing *audio = self;
	const char *id;
	pbx_leg leg;

	if (take_leg(audio, request, &leg, &id))
		(void)audio->requests->reply(request, 200, leg_json(audio, id, audio_party(audio, leg)));
}

/* What is not given stays as it is. */
static struct sound_wishes take_wishes(const struct audio_processing *audio, pbx_request request, const struct party *party)
{
	const struct pbx_requests *requests = audio->requests;
	struct sound_wishes wishes = party ? party->wishes : (struct sound_wishes){ .aec_tail_ms = 128 };

	wishes.denoise_db = (uint32_t)requests->integer(request, "denoise_db", wishes.denoise_db);
	wishes.agc = requests->boolean(request, "agc", wishes.agc);
	wishes.aec = requests->boolean(request, "aec", wishes.aec);
	wishes.aec_tail_ms = (uint32_t)requests->integer(request, "aec_tail_ms", wishes.aec_tail_ms);
	wishes.gain_in_db = (int32_t)requests->integer(request, "gain_in_db", wishes.gain_in_db);
	wishes.gain_out_db = (int32_t)requests->integer(request, "gain_out_db", wishes.gain_out_db);
	wishes.limit_in_dbfs = (int32_t)requests->integer(request, "limit_in_dbfs", wishes.limit_in_dbfs);
	wishes.limit_out_dbfs = (int32_t)requests->integer(request, "limit_out_dbfs", wishes.limit_out_dbfs);
	wishes.muted = requests->boolean(request, "muted", wishes.muted);
	return wishes;
}

void audio_on_set(void *self, pbx_request request)
{
	struct audio_processing *audio = self;
	const char *id;
	pbx_leg leg;

	if (!take_leg(audio, request, &leg, &id))
		return;
	struct sound_wishes wishes = take_wishes(audio, request, audio_party(audio, leg));
	int err = audio_wish(audio, leg, &wishes);

	if (err == PBX_OK)
		(void)audio->requests->reply(request, 200, leg_json(audio, id, audio_party(audio, leg)));
	else if (err == PBX_ESTATE || err == PBX_ENOENT)
		(void)audio->requests->fail(request, 409, "no_media", NULL, "The leg has no sound now: it has not answered, or has ended");
	else
		(void)audio->requests->fail(request, 503, "no_memory", NULL, "There is no memory for this: try again later");
}
