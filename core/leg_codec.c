/* leg_codec.c - a codec that fails amid a call is not spoken on that leg again
 *
 * Media has put another encoder in its place already, of another codec where the two sides had agreed on several. Here the leg forgets it: its party
 * is offered everything else anew, and neither our offers nor our answers on this leg have it from then on. Where nothing else is left, or the party
 * refuses, it stays, for a relay may still pass it on. Other legs are not concerned: what was wrong may have been this one's stream. */
#include "calls_inner.h"
#include <stdlib.h>
#include <strings.h>

static bool has_failed(const struct core_leg *leg, const struct core_codec *codec)
{
	for (uint8_t i = 0; i < leg->failed_count; i++)
		if (core_codec_same(&leg->failed[i], codec))
			return true;
	return false;
}

static bool is_speech(const struct core_codec *codec)
{
	return strcasecmp(codec->name, "telephone-event") != 0 && !core_codec_is_noise(codec);
}

bool core_leg_leave_out_failed(const struct core_leg *leg, struct core_media_desc *desc)
{
	bool has_speech = false;

	if (leg->failed_count == 0 || leg->failed_stays)
		return true;
	struct core_media_desc kept = *desc;

	kept.codec_count = 0;
	for (uint8_t i = 0; i < desc->codec_count; i++) {
		if (has_failed(leg, &desc->codecs[i]))
			continue;
		has_speech = has_speech || is_speech(&desc->codecs[i]);
		kept.codecs[kept.codec_count++] = desc->codecs[i];
	}
	if (has_speech)
		*desc = kept;
	return has_speech;
}

static int remember(struct core_leg *leg, const struct core_codec *codec)
{
	struct core_codec *failed = reallocarray(leg->failed, leg->failed_count + 1u, sizeof *failed);

	if (!failed)
		return PBX_ENOMEM;
	leg->failed = failed;
	leg->failed[leg->failed_count++] = *codec;
	return PBX_OK;
}

/* It is told as long as it lasts, and heard once. */
void core_media_on_codec_failed(core_stream stream, const struct core_codec *codec, bool encodes)
{
	struct core_leg *leg = core_leg_of_stream(stream);

	if (!leg || leg->state == PBX_LEG_ENDED || has_failed(leg, codec) || leg->failed_count == CORE_MOST_CODECS)
		return;
	if (remember(leg, codec) != PBX_OK)
		return;
	core_log(PBX_LOG_WARN, "calls", leg->call->id, "codec_failed", "leg=%s codec=%s encodes=%d", leg->id, codec->name, encodes);
	core_event_codec_failed(leg, codec, encodes);
	if (leg->state == PBX_LEG_ANSWERED)
		(void)core_leg_update(leg); /* refused: it goes on with what media has put in its place */
}
