/*
 * unrecorded - a call that must not go on without a recorder: both parties are told why, and hung up
 *
 * They are taken apart first, so that nothing more is said unrecorded.
 */
#include "call_recording.h"

#define PROMPT "recording_unavailable"

static void on_told(void *self, pbx_leg leg)
{
	const struct plugin *plugin = self;

	(void)plugin->calls->hangup(leg, PBX_CAUSE_FAILURE); /* or it has gone: as good */
}

static const struct pbx_controller controller = { .size = sizeof controller, .media_done = on_told };

static void tell(struct plugin *plugin, pbx_leg leg)
{
	if (plugin->calls->control(plugin->host, leg, &controller, plugin) == PBX_OK && plugin->calls->play(leg, PROMPT) != PBX_OK)
		on_told(plugin, leg);
}

void unrecorded_end(struct plugin *plugin, pbx_leg one, pbx_leg other)
{
	pbx_warn(plugin->host, "call_ended_unrecorded", "reason=no_recorder");
	tell(plugin, one);
	if (other.id != one.id)
		tell(plugin, other);
}
