/*
 * names - who comes in says their name, and the room hears it when they come and when they go
 *
 * A name is a file in our data folder. It is kept until the conference is over, for the room may still hear it when its member has gone. Who says
 * nothing, or presses # at once, is announced by their number.
 */
#include "conference.h"
#include <dirent.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define MOST_MS 5000u
#define SILENCE_MS 1500u
#define QUIET_CDB (-4000) /* nobody has spoken */
#define FORGOTTEN_S 86400 /* left behind by a crash */

/* ---- a name is said ------------------------------------------------------------------------ */

static struct member *member_saying(struct conference *conference, pbx_recording recording)
{
	for (struct room *room = conference->first; room; room = room->next)
		for (struct member *member = room->members; member; member = member->next)
			if (member->state == MEMBER_NAME && member->saying.id == recording.id)
				return member;
	return NULL;
}

static void on_said(void *self, pbx_recording recording, const struct pbx_record_result *result)
{
	struct member *member = member_saying(self, recording);
	bool is_name = member && result->how != PBX_RECORDED_FAILED && result->duration_ms > 0 && result->peak_cdb[0] >= QUIET_CDB;

	if (is_name)
		member->spoken_name = strdup(result->path); /* without memory: the number */
	if (!member || !member->spoken_name)
		(void)unlink(result->path); /* or there is none */
	if (!member)
		return;
	member->saying = (pbx_recording){ 0 };
	member_named(member);
}

static const struct pbx_record_watcher watcher = { .size = sizeof watcher, .done = on_said };

bool name_is_asked(const struct member *member)
{
	return member->room->rules.announce_names && !member->asked_name;
}

void name_ask(struct member *member)
{
	member->state = MEMBER_NAME;
	member->asked_name = true;
	if (member->room->conference->calls->play(member->leg, "conference_name") != PBX_OK)
		member_named(member);
}

void name_listen(struct member *member)
{
	struct conference *conference = member->room->conference;
	const char *folder = conference->host->data_dir(conference->host);
	char path[4096];
	const struct pbx_record_spec spec = { .size = sizeof spec,
					      .what = PBX_RECORD_SAYS,
					      .path = path,
					      .format = "wav",
					      .most_ms = MOST_MS,
					      .silence_ms = SILENCE_MS,
					      .stop_keys = "#" };

	(void)snprintf(path, sizeof path, "%s/names/%s.wav", folder ? folder : "", member->id);
	if (!folder || conference->recorder->record(conference->host, member->leg, &spec, &watcher, conference, &member->saying) != PBX_OK)
		member_named(member);
}

void name_typed(struct member *member, char digit)
{
	if (digit != '#' || member->saying.id)
		return; /* the recording ends with it */
	(void)member->room->conference->calls->stop_media(member->leg);
	member_named(member);
}

/* ---- and heard ------------------------------------------------------------------------------- */

void name_announce(const struct member *member, bool comes)
{
	const struct room *room = member->room;
	const struct pbx_rooms *rooms = room->conference->rooms;
	const struct pbx_say what = { .kind = PBX_SAY_PROMPT, .text = comes ? "conference_has_joined" : "conference_has_left" };
	const struct pbx_say spoken[] = { { .kind = PBX_SAY_PROMPT, .text = member->spoken_name }, what };
	const struct pbx_say number[] = { { .kind = PBX_SAY_DIGITS, .text = member->number }, what };
	const struct pbx_say somebody[] = { { .kind = PBX_SAY_PROMPT, .text = "conference_somebody" }, what };

	if (room_in(room) == 0 || (member->spoken_name && rooms->say(room->mix, spoken, 2) == PBX_OK))
		return;
	if (!member->number[0] || rooms->say(room->mix, number, 2) != PBX_OK)
		(void)rooms->say(room->mix, somebody, 2); /* or they come silently */
}

/* ---- and forgotten --------------------------------------------------------------------------- */

void name_leaves(struct member *member)
{
	struct spoken_name *name = member->spoken_name ? malloc(sizeof *name) : NULL;

	if (name) {
		*name = (struct spoken_name){ .next = member->room->names, .path = member->spoken_name };
		member->room->names = name;
		member->spoken_name = NULL;
	}
	if (member->spoken_name)
		(void)unlink(member->spoken_name);
	free(member->spoken_name);
	member->spoken_name = NULL;
}

void names_forget(struct room *room)
{
	while (room->names) {
		struct spoken_name *name = room->names;

		room->names = name->next;
		(void)unlink(name->path);
		free(name->path);
		free(name);
	}
}

/* [work] */
static void sweep(void *job)
{
	DIR *folder = opendir(job);
	const struct dirent *entry;

	while (folder && (entry = readdir(folder))) {
		struct stat status;

		if (fstatat(dirfd(folder), entry->d_name, &status, AT_SYMLINK_NOFOLLOW) == 0 && S_ISREG(status.st_mode) &&
		    time(NULL) - status.st_mtime > FORGOTTEN_S)
			(void)unlinkat(dirfd(folder), entry->d_name, 0);
	}
	if (folder)
		(void)closedir(folder);
}

static void swept(void *self, void *job, int status)
{
	(void)self;
	(void)status; /* the next start tries again */
	free(job);
}

void names_sweep(struct conference *conference)
{
	const char *data = conference->host->data_dir(conference->host);
	size_t size = data ? strlen(data) + sizeof "/names" : 0;
	char *folder = data ? malloc(size) : NULL;

	if (!folder)
		return;
	(void)snprintf(folder, size, "%s/names", data);
	if (conference->host->work(conference->host, sweep, swept, folder) != PBX_OK)
		free(folder);
}
