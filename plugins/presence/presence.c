/*
 * presence - busy lamps, and how colleagues are
 *
 * presence.h has the picture. lines.c knows the calls of every account, dialog_info.c writes them for lamps, access.c judges who may see what, xml.c writes
 * documents.
 */
#include "presence.h"
#include <stdlib.h>
#include <string.h>

#define WHO PBX_CHOICES("everybody", "group", "nobody")

static const struct pbx_setting settings[] = {
	PBX_CHOICE(struct presence_settings, watchers, .initial_text = "everybody", .choices = WHO,
		   .help = "Who may watch an extension: all extensions, those of its pickup group, or none but itself and administrators"),
	PBX_CHOICE(struct presence_settings, identities, .initial_text = "everybody", .choices = WHO,
		   .help = "Who of them also sees with whom it talks, and may pick up from the lamp"),
};

static int presence_load(void *self)
{
	struct presence *presence = self;
	struct pbx_host *host = presence->host;

	presence->calls = pbx_calls(host);
	presence->bus = pbx_bus(host);
	presence->directory = pbx_directory(host);
	presence->lamps = pbx_lamps(host);
	presence->notifier = pbx_notifier(host);
	presence->json = pbx_jsons(host);
	presence->stamp = 1;
	xml_keep_library();
	return PBX_OK;
}

static int presence_start(void *self)
{
	struct presence *presence = self;
	int err = lines_start(presence);

	if (err == PBX_OK)
		err = dialog_info_start(presence);
	return err;
}

static void presence_unload(void *self)
{
	struct presence *presence = self;

	lines_free(presence);
	free(presence->head);
}

PBX_PLUGIN(presence)
= {
	PBX_PLUGIN_HEADER,
	.name = "presence",
	.version = "1.0.0",
	.summary = "Busy lamps and availability of colleagues",
	.needs = PBX_NEEDS("pbx.calls/1", "pbx.bus/1", "pbx.directory/1?", "pbx.lamps/1", "pbx.notifier/1", "pbx.json/1"),
	.instance_size = sizeof(struct presence),
	PBX_SETTINGS(struct presence_settings, settings),
	.load = presence_load,
	.start = presence_start,
	.unload = presence_unload,
};
