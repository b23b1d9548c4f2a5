/*
 * presence - busy lamps, and how colleagues are
 *
 * presence.h has the picture. lines.c knows the calls of every account, dialog_info.c writes them for lamps, access.c judges who may see what, xml.c writes
 * documents; people.c knows how everybody is, pidf.c writes it and pidf_read.c reads it, requests.c and codes.c let them choose. message_summary.c tells how many messages
 * wait, mailboxes.c takes the counts of who is no plugin; reg_info.c tells where phones are; lists.c makes pages of lamps.
 */
#include "presence.h"
#include <stdlib.h>
#include <string.h>

#define WHO PBX_CHOICES("everybody", "group", "nobody")

static const struct pbx_setting list_rows[] = {
	PBX_TEXT(struct list_settings, name, .least = 1, .most = 40, .help = "What phones subscribe to"),
	PBX_LIST(struct list_settings, members, .initial_text = "",
		 .help = "Numbers of extensions, parking slots and other lamps, in order"),
};

static const struct pbx_setting settings[] = {
	PBX_CHOICE(struct presence_settings, watchers, .initial_text = "everybody", .choices = WHO,
		   .help = "Who may watch an extension: all extensions, those of its pickup group, or none but itself and administrators"),
	PBX_CHOICE(struct presence_settings, identities, .initial_text = "everybody", .choices = WHO,
		   .help = "Who of them also sees with whom it talks, and may pick up from the lamp"),
	PBX_CHOICE(struct presence_settings, mailboxes, .initial_text = "nobody", .choices = WHO,
		   .help = "Who may watch how many messages wait in somebody else's mailbox; administrators always may"),
	PBX_CHOICE(struct presence_settings, registrations, .initial_text = "nobody", .choices = WHO,
		   .help = "Who may watch where somebody else's phones are registered; administrators always may"),
	PBX_BOOL(struct presence_settings, tell_phones, .initial = true,
		 .help = "Tell registered phones their message counts when they do not subscribe to them"),
	PBX_OBJECTS(struct presence_settings, lists, .fields = PBX_TABLE(list_rows), .object_size = sizeof(struct list_settings),
		    .help = "Pages of lamps that a phone watches with one subscription (RFC 4662)"),
	PBX_UINT(struct presence_settings, auto_away_s, .initial = 300, .least = 0, .most = 86400, .unit = "s",
		 .help = "Who has done nothing for so long is shown as away; 0: never"),
	PBX_UINT(struct presence_settings, auto_offline_s, .initial = 1800, .least = 0, .most = 604800, .unit = "s",
		 .help = "And after so long as offline; 0: never"),
	PBX_TEXT(struct presence_settings, code, .initial_text = "*30", .most = 10, .flags = PBX_SETTING_RESTART,
		 .help = "Dialled before a digit: 0 automatic, 1 available, 2 busy, 3 away, 4 in a meeting; empty: no code"),
};

static const struct pbx_migration migrations[] = {
	{ 1, "state",
	  "CREATE TABLE presence_state (extension TEXT PRIMARY KEY, status TEXT NOT NULL, message TEXT NOT NULL, source TEXT NOT NULL,"
	  " until INTEGER NOT NULL, changed_at INTEGER NOT NULL)" },
	{ 2, "mailboxes",
	  "CREATE TABLE presence_mailboxes (number TEXT PRIMARY KEY, new_voice INTEGER NOT NULL, old_voice INTEGER NOT NULL,"
	  " new_urgent INTEGER NOT NULL, old_urgent INTEGER NOT NULL, new_fax INTEGER NOT NULL, old_fax INTEGER NOT NULL)" },
	{ 3, "idle", "CREATE TABLE presence_idle (extension TEXT PRIMARY KEY, away_s INTEGER NOT NULL, offline_s INTEGER NOT NULL)" },
};

static const struct pbx_field changed_fields[] = {
	{ "extension", PBX_TYPE_TEXT, "Whose" },
	{ "old", PBX_TYPE_TEXT, "How it was" },
	{ "new", PBX_TYPE_TEXT, "How it is" },
	{ "message", PBX_TYPE_TEXT, "What they say of it" },
	{ "source", PBX_TYPE_TEXT, "Why: dnd, call, manual, published, registration or idle" },
};
static const struct pbx_field mailbox_changed_fields[] = {
	{ "mailbox", PBX_TYPE_TEXT, "Which" },
	{ "new", PBX_TYPE_INT, "Messages not heard yet" },
	{ "old", PBX_TYPE_INT, "Messages heard" },
	{ "new_urgent", PBX_TYPE_INT, "The urgent ones among the new" },
	{ "owner", PBX_TYPE_TEXT, "The plugin that states it" },
};
static const struct pbx_event_type events[] = {
	{ "presence.changed", "Somebody's availability is another one", PBX_TABLE(changed_fields) },
	{ "mwi.changed", "Other messages wait in a mailbox", PBX_TABLE(mailbox_changed_fields) },
};

#define STATUSES PBX_CHOICES("available", "busy", "away", "do_not_disturb", "in_call", "in_meeting", "offline", "automatic")

static const struct pbx_field state_fields[] = {
	{ "extension", PBX_TYPE_TEXT, "Whose" },
	{ "name", PBX_TYPE_TEXT, "Their name" },
	{ "status", PBX_TYPE_TEXT, "available, busy, away, do_not_disturb, in_call, in_meeting or offline" },
	{ "message", PBX_TYPE_TEXT, "What they say of it" },
	{ "source", PBX_TYPE_TEXT, "Why: dnd, call, manual, published, registration or idle" },
	{ "until", PBX_TYPE_TIME, "When what was chosen ends, or null" },
	{ "idle_s", PBX_TYPE_INT, "Since when they have done nothing" },
	{ "auto_away_s", PBX_TYPE_INT, "After how long of that they are away; 0: never" },
	{ "auto_offline_s", PBX_TYPE_INT, "And offline" },
};
static const struct pbx_arg show_args[] = {
	{ .name = "extension", .type = PBX_TYPE_TEXT, .flags = PBX_ARG_REQUIRED, .help = "Whose", .completes = "extension" },
};
static const struct pbx_arg set_args[] = {
	{ .name = "extension", .type = PBX_TYPE_TEXT, .flags = PBX_ARG_REQUIRED, .help = "Whose", .completes = "extension" },
	{ .name = "status",
	  .type = PBX_TYPE_CHOICE,
	  .flags = PBX_ARG_REQUIRED,
	  .choices = STATUSES,
	  .help = "How they are; automatic: nothing is chosen any more" },
	{ .name = "message", .type = PBX_TYPE_TEXT, .most = 199, .help = "What they say of it" },
	{ .name = "for_s", .type = PBX_TYPE_INT, .least = 1, .most = 31536000, .help = "For so many seconds; left out: until changed" },
};

static const struct pbx_arg idle_args[] = {
	{ .name = "extension", .type = PBX_TYPE_TEXT, .flags = PBX_ARG_REQUIRED, .help = "Whose", .completes = "extension" },
	{ .name = "auto_away_s",
	  .type = PBX_TYPE_INT,
	  .least = 0,
	  .most = 86400,
	  .help = "Away after so long, 0: never; left out: as the setting says" },
	{ .name = "auto_offline_s", .type = PBX_TYPE_INT, .least = 0, .most = 604800, .help = "Offline after so long, in the same way" },
};
static const struct pbx_field mailbox_fields[] = {
	{ "mailbox", PBX_TYPE_TEXT, "Which" },
	{ "new", PBX_TYPE_INT, "Messages not heard yet" },
	{ "old", PBX_TYPE_INT, "Messages heard" },
	{ "new_urgent", PBX_TYPE_INT, "The urgent ones among the new" },
	{ "old_urgent", PBX_TYPE_INT, "The urgent ones among the old" },
	{ "new_fax", PBX_TYPE_INT, "Faxes not read yet" },
	{ "old_fax", PBX_TYPE_INT, "Faxes read" },
	{ "owner", PBX_TYPE_TEXT, "The plugin that states it; presence: somebody by REST or pbxctl" },
};
#define MAILBOX_ARG                                                                                                                        \
	{                                                                                                                                  \
		.name = "mailbox", .type = PBX_TYPE_TEXT, .flags = PBX_ARG_REQUIRED, .least = 1, .most = 63, .help = "Which",              \
		.completes = "extension"                                                                                                   \
	}
static const struct pbx_arg mailbox_arg[] = { MAILBOX_ARG };
#define MOST_MESSAGES 1000000
#define COUNT(what, text)                                                                                                                  \
	{                                                                                                                                  \
		.name = what, .type = PBX_TYPE_INT, .least = 0, .most = MOST_MESSAGES, .help = text                                        \
	}
static const struct pbx_arg counts_args[] = {
	MAILBOX_ARG,
	COUNT("new", "Messages not heard yet; what is left out is 0"),
	COUNT("old", "Messages heard"),
	COUNT("new_urgent", "The urgent ones among the new"),
	COUNT("old_urgent", "The urgent ones among the old"),
	COUNT("new_fax", "Faxes not read yet"),
	COUNT("old_fax", "Faxes read"),
};
static const struct pbx_route routes[] = {
	{ .method = "GET",
	  .path = "/presence",
	  .handle = presence_on_list,
	  .scope = "presence:read",
	  .summary = "How everybody is",
	  .reply = PBX_TABLE(state_fields) },
	{ .method = "GET",
	  .path = "/presence/{extension}",
	  .handle = presence_on_show,
	  .scope = "presence:read",
	  .summary = "How somebody is",
	  .args = PBX_TABLE(show_args),
	  .reply = PBX_TABLE(state_fields) },
	{ .method = "PUT",
	  .path = "/presence/{extension}",
	  .handle = presence_on_set,
	  .scope = "presence:write",
	  .summary = "Choose how one is",
	  .flags = PBX_ROUTE_WRITES,
	  .args = PBX_TABLE(set_args),
	  .reply = PBX_TABLE(state_fields) },
	{ .method = "PUT",
	  .path = "/presence/{extension}/idle",
	  .handle = presence_on_idle,
	  .scope = "presence:write",
	  .summary = "After how long one is away, and offline",
	  .flags = PBX_ROUTE_WRITES,
	  .args = PBX_TABLE(idle_args),
	  .reply = PBX_TABLE(state_fields) },
	{ .method = "GET",
	  .path = "/message-counts",
	  .handle = mailboxes_on_list,
	  .scope = "mwi:read",
	  .summary = "How many messages wait, by mailbox",
	  .reply = PBX_TABLE(mailbox_fields) },
	{ .method = "GET",
	  .path = "/message-counts/{mailbox}",
	  .handle = mailboxes_on_show,
	  .scope = "mwi:read",
	  .summary = "How many messages wait in a mailbox",
	  .args = PBX_TABLE(mailbox_arg),
	  .reply = PBX_TABLE(mailbox_fields) },
	{ .method = "PUT",
	  .path = "/message-counts/{mailbox}",
	  .handle = mailboxes_on_set,
	  .scope = "mwi:write",
	  .summary = "State how many messages wait in a mailbox that no plugin keeps",
	  .flags = PBX_ROUTE_WRITES,
	  .args = PBX_TABLE(counts_args),
	  .reply = PBX_TABLE(mailbox_fields) },
	{ .method = "DELETE",
	  .path = "/message-counts/{mailbox}",
	  .handle = mailboxes_on_clear,
	  .scope = "mwi:write",
	  .summary = "Forget the counts that were stated of a mailbox",
	  .flags = PBX_ROUTE_WRITES,
	  .args = PBX_TABLE(mailbox_arg) },
};
#define COLUMNS "extension,name,status,message,source,until"
static const struct pbx_command commands[] = {
	{ .words = "presence list", .handle = presence_on_list, .help = "How everybody is", .columns = COLUMNS },
	{ .words = "presence show",
	  .handle = presence_on_show,
	  .help = "How somebody is",
	  .args = PBX_TABLE(show_args),
	  .columns = COLUMNS },
	{ .words = "presence set",
	  .handle = presence_on_set,
	  .help = "Choose how somebody is",
	  .args = PBX_TABLE(set_args),
	  .columns = COLUMNS },
	{ .words = "presence idle",
	  .handle = presence_on_idle,
	  .help = "After how long somebody is away, and offline",
	  .args = PBX_TABLE(idle_args),
	  .columns = "extension,auto_away_s,auto_offline_s" },
	{ .words = "mwi list",
	  .handle = mailboxes_on_list,
	  .help = "How many messages wait, by mailbox",
	  .columns = "mailbox,new,old,new_urgent,new_fax,owner" },
	{ .words = "mwi show", .handle = mailboxes_on_show, .help = "How many messages wait in a mailbox", .args = PBX_TABLE(mailbox_arg) },
	{ .words = "mwi set",
	  .handle = mailboxes_on_set,
	  .help = "State how many messages wait in a mailbox that no plugin keeps",
	  .args = PBX_TABLE(counts_args) },
	{ .words = "mwi clear",
	  .handle = mailboxes_on_clear,
	  .help = "Forget the counts that were stated of a mailbox",
	  .args = PBX_TABLE(mailbox_arg) },
};

static int presence_load(void *self)
{
	struct presence *presence = self;
	struct pbx_host *host = presence->host;

	presence->calls = pbx_calls(host);
	presence->bus = pbx_bus(host);
	presence->directory = pbx_directory(host);
	presence->lamps = pbx_lamps(host);
	presence->mwi = pbx_mwi(host);
	presence->notifier = pbx_notifier(host);
	presence->json = pbx_jsons(host);
	presence->stamp = 1;
	presence->location = pbx_location(host);
	presence->requests = pbx_requests(host);
	presence->routing = pbx_routing(host);
	presence->store = pbx_store(host);
	presence->timers = pbx_timers(host);
	xml_keep_library();
	return people_load(presence);
}

static int presence_start(void *self)
{
	struct presence *presence = self;
	int err = lines_start(presence);

	if (err == PBX_OK)
		err = people_start(presence);
	if (err == PBX_OK)
		err = codes_start(presence);
	if (err == PBX_OK)
		err = pidf_start(presence);
	if (err == PBX_OK)
		err = dialog_info_start(presence);
	if (err == PBX_OK)
		err = message_summary_start(presence);
	if (err == PBX_OK)
		err = reg_info_start(presence);
	if (err == PBX_OK)
		err = lists_start(presence);
	return err;
}

static int presence_reload(void *self, const void *proposed, struct pbx_diag *diag)
{
	struct presence *presence = self;
	int err = lists_check(presence, proposed, diag);

	return err == PBX_OK ? presence->host->post(presence->host, lists_apply, NULL, NULL) : err; /* they are not ours yet */
}

static void presence_unload(void *self)
{
	struct presence *presence = self;

	lines_free(presence);
	people_free(presence);
	mailboxes_free(presence);
	lists_free(presence);
	free(presence->head);
}

PBX_PLUGIN(presence)
= {
	PBX_PLUGIN_HEADER,
	.name = "presence",
	.version = "1.0.0",
	.summary = "Busy lamps and availability of colleagues",
	.needs = PBX_NEEDS("pbx.calls/1", "pbx.bus/1", "pbx.directory/1?", "pbx.lamps/1", "pbx.mwi/1", "pbx.notifier/1", "pbx.json/1",
			   "pbx.location/1", "pbx.requests/1", "pbx.route/1", "pbx.store/1", "pbx.timers/1"),
	.instance_size = sizeof(struct presence),
	PBX_SETTINGS(struct presence_settings, settings),
	.migrations = PBX_TABLE(migrations),
	.routes = PBX_TABLE(routes),
	.commands = PBX_TABLE(commands),
	.events = PBX_TABLE(events),
	.load = presence_load,
	.start = presence_start,
	.reload = presence_reload,
	.unload = presence_unload,
};
