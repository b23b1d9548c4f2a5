/* audio.c - "pbx.audio/1": who stands at a leg and changes what is said and heard there
 *
 * The leg owns the attachment and the media driver does the work; what a plugin has attached goes with the plugin, and with the leg. */
#include "calls_inner.h"
#include "overlap.h"
#include <pbx/audio.h>
#include <stdlib.h>
#include <string.h>

struct core_audio {
	struct core_charge charge; /* first */
	struct core_leg *leg;
	struct core_filter filter;
};

/* The leg is without it from here on. Its memory stays, for whoever calls to free. */
static void unhook(struct core_audio *audio)
{
	core_charge_remove(&audio->charge);
	audio->leg->audio = NULL;
}

static void tell_gone(const struct core_audio *audio)
{
	if (audio->filter.table.gone)
		CORE_INTO(audio->filter.owner, audio->filter.table.gone(audio->filter.context));
}

/* The plugin is being stopped. */
static void revoke_audio(struct core_charge *charge)
{
	struct core_audio *audio = (struct core_audio *)charge;
	core_stream stream = audio->leg->stream;

	unhook(audio);
	(void)core_media->set_filter(stream, NULL); /* without memory it stays until the leg ends, and the plugin waits for that */
	free(audio);
}

void core_audio_leg_ends(struct core_leg *leg)
{
	struct core_audio *audio = leg->audio;

	if (!audio)
		return;
	unhook(audio);
	tell_gone(audio);
	free(audio);
}

static int put(struct pbx_host *host, struct core_leg *leg, const struct pbx_audio_filter *filter, void *context)
{
	struct core_audio *audio = calloc(1, sizeof *audio), *before = leg->audio;

	if (!audio)
		return PBX_ENOMEM;
	core_copy_overlap(&audio->filter.table, sizeof *filter, filter, filter->size);
	audio->filter.context = context;
	audio->filter.owner = host;
	audio->leg = leg;
	int err = core_media->set_filter(leg->stream, &audio->filter);

	if (err != PBX_OK) {
		free(audio);
		return err;
	}
	if (before)
		unhook(before);
	leg->audio = audio;
	core_charge_add(host, &audio->charge, "audio filter", false, revoke_audio);
	if (before && (before->filter.owner != host || before->filter.context != context))
		tell_gone(before);
	free(before);
	return PBX_OK;
}

static int attach(struct pbx_host *host, pbx_leg handle, const struct pbx_audio_filter *filter, void *context)
{
	struct core_leg *leg = core_leg_find(handle);

	if (!leg || leg->state == PBX_LEG_ENDED)
		return PBX_ENOENT;
	if (filter->size <= offsetof(struct pbx_audio_filter, close) || !filter->open || !filter->close)
		return PBX_EINVAL;
	if (!leg->has_stream)
		return PBX_ESTATE;
	return core_media->set_filter ? put(host, leg, filter, context) : PBX_ENOTSUP;
}

static int detach(struct pbx_host *host, pbx_leg handle)
{
	struct core_leg *leg = core_leg_find(handle);
	struct core_audio *audio = leg ? leg->audio : NULL;

	if (!audio || audio->filter.owner != host)
		return PBX_ENOENT;
	int err = core_media->set_filter(leg->stream, NULL);

	if (err != PBX_OK)
		return err;
	unhook(audio);
	tell_gone(audio);
	free(audio);
	return PBX_OK;
}

const struct pbx_audio core_audio_service = {
	.header = PBX_HEADER(struct pbx_audio),
	.attach = attach,
	.detach = detach,
};
