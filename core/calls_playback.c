/* calls_playback.c - what a party hears, steered by request: /calls/{id}/playback and `calls playback`
 *
 * Whoever plays it is neither asked nor told: a file, a saying or the prompt of a collection is steered as by pbx_calls.pause_media and its neighbours,
 * and the answer is how far it has come. What is asked for is heard with the next packet, so an answer may still tell the place before. */
#include "calls_part.h"
#include "json.h"
#include "request.h"
#include <string.h>

static const struct pbx_jsons *const json = &core_json_service;
static const struct pbx_requests *const requests = &core_requests_service;

#define CDB 100 /* hundredths of a decibel */

/* From where it stands, as loud as wished, and only then on or not. */
static int steer(pbx_request request, struct core_leg *leg)
{
	const char *action = requests->text(request, "action");
	int err = PBX_OK;

	if (requests->has(request, "seek_ms"))
		err = core_leg_steer(leg, CORE_STEER_SEEK, (int32_t)requests->integer(request, "seek_ms", 0));
	if (err == PBX_OK && requests->has(request, "gain_db"))
		err = core_leg_steer(leg, CORE_STEER_GAIN, (int32_t)requests->integer(request, "gain_db", 0) * CDB);
	if (err == PBX_OK && action)
		err = core_leg_steer(leg, strcmp(action, "pause") == 0 ? CORE_STEER_PAUSE : CORE_STEER_RESUME, 0);
	return err;
}

static struct pbx_json *shown(const struct core_leg *leg, const struct pbx_media_state *state)
{
	struct pbx_json *object = json->new_object();

	if (!object)
		return NULL;
	(void)json->set_text(object, "call_id", leg->call->id);
	(void)json->set_text(object, "leg_id", leg->id);
	(void)json->set_integer(object, "position_ms", state->position_ms);
	if (state->length_ms)
		(void)json->set_integer(object, "length_ms", state->length_ms);
	(void)json->set_boolean(object, "paused", state->paused);
	(void)json->set_number(object, "gain_db", (double)state->gain_cdb / CDB);
	return object;
}

static void refuse(pbx_request request, int err)
{
	if (err == PBX_ENOMEM)
		(void)requests->fail(request, 503, "no_memory", NULL, "out of memory, try again later");
	else
		(void)requests->fail(
			request, 409, "nothing_plays", NULL,
			"this party hears nothing that could be steered: files, sayings and questions can be, music, tones and an echo "
			"cannot");
}

void core_calls_playback(void *self, pbx_request request)
{
	struct core_leg *leg = core_calls_party_asked(request);
	struct pbx_media_state state = { .size = sizeof state };

	(void)self;
	if (!leg)
		return; /* refused */
	int err = steer(request, leg);

	if (err == PBX_OK)
		err = core_leg_played_so_far(leg, &state);
	if (err == PBX_OK)
		(void)requests->reply(request, 200, shown(leg, &state));
	else
		refuse(request, err);
}
