/*
 * plan - what people decide about a class: from a request, in a row, in an answer
 */
#include "music.h"
#include <string.h>
#include <strings.h>

#define SET(array, text) ((void)snprintf((array), sizeof(array), "%s", (text)))

const char plan_columns[] = "mode, sort, position, url, announcement, announce_every_s, gain_cdb, levels, playlist";

void plan_default(const struct music *music, struct music_plan *ret_plan)
{
	*ret_plan = (struct music_plan){ .mode = "files", .position = "shared" };
	SET(ret_plan->sort, music->settings->sort);
}

/* ---- rows ----------------------------------------------------------------------------- */

void plan_from_row(const struct pbx_rows *rows, uint32_t row, struct music_plan *ret_plan)
{
	SET(ret_plan->mode, pbx_cell_text(rows, row, 1));
	SET(ret_plan->sort, pbx_cell_text(rows, row, 2));
	SET(ret_plan->position, pbx_cell_text(rows, row, 3));
	SET(ret_plan->url, pbx_cell_text(rows, row, 4));
	SET(ret_plan->announcement, pbx_cell_text(rows, row, 5));
	ret_plan->announce_every_s = (uint32_t)pbx_cell_int(rows, row, 6);
	ret_plan->gain_cdb = (int32_t)pbx_cell_int(rows, row, 7);
	ret_plan->levels = pbx_cell_int(rows, row, 8) != 0;
	SET(ret_plan->playlist, pbx_cell_text(rows, row, 9));
}

void plan_values(const struct music_plan *plan, struct pbx_value ret_values[PLAN_COLUMNS - 1])
{
	const struct pbx_value values[PLAN_COLUMNS - 1] = {
		pbx_v_text(plan->mode),    pbx_v_text(plan->sort),         pbx_v_text(plan->position),
		pbx_v_text(plan->url),     pbx_v_text(plan->announcement), PBX_V_INT(plan->announce_every_s),
		PBX_V_INT(plan->gain_cdb), PBX_V_INT(plan->levels),        pbx_v_text(plan->playlist),
	};

	memcpy(ret_values, values, sizeof values);
}

/* ---- requests ------------------------------------------------------------------------- */

/* False: given, and longer than there is room for. */
static bool take_text(const struct music *music, pbx_request request, const char *name, char *room, size_t size)
{
	const char *text = music->requests->text(request, name);

	if (text && strlen(text) >= size) {
		(void)music->requests->fail(request, 422, "too_long", name, "%s has at most %zu characters", name, size - 1);
		return false;
	}
	if (text)
		(void)snprintf(room, size, "%s", text);
	return true;
}

static bool take_playlist(const struct music *music, pbx_request request, struct music_plan *plan)
{
	const struct pbx_json *list = music->requests->json(request, "playlist");
	char *text = list ? music->json->print(list) : NULL;
	bool good = !list || (text && strlen(text) < sizeof plan->playlist && music->json->count(list) <= MUSIC_MOST_PLAYLIST);

	if (!good)
		(void)music->requests->fail(request, 422, "too_long", "playlist", "a playlist has at most %u files and %zu characters",
					    MUSIC_MOST_PLAYLIST, sizeof plan->playlist - 1);
	else if (list)
		SET(plan->playlist, music->json->count(list) ? text : "");
	music->json->free_text(text);
	return good;
}

static bool is_url(const char *text)
{
	return (strncasecmp(text, "http://", 7) == 0 && text[7]) || (strncasecmp(text, "https://", 8) == 0 && text[8]);
}

/* What cannot work is refused now, not found out by somebody on hold. */
static bool makes_sense(const struct music *music, pbx_request request, const struct music_plan *plan)
{
	const struct pbx_requests *requests = music->requests;

	if (plan->url[0] && !is_url(plan->url)) {
		(void)requests->fail(request, 422, "bad_url", "source", "a source is the address of a stream: http:// or https://");
		return false;
	}
	if (strcmp(plan->mode, "stream") == 0 && !plan->url[0]) {
		(void)requests->fail(request, 422, "no_source", "source", "mode stream wants a source: the address of the stream");
		return false;
	}
	if (strcmp(plan->mode, "playlist") == 0 && !plan->playlist[0]) {
		(void)requests->fail(request, 422, "no_playlist", "playlist",
				     "mode playlist wants a playlist: names of files of the class");
		return false;
	}
	if (plan->announcement[0] && plan->announce_every_s == 0) {
		(void)requests->fail(request, 422, "no_interval", "announce_every_s",
				     "an announcement wants announce_every_s: how often it is to be heard");
		return false;
	}
	return true;
}

bool plan_from_request(const struct music *music, pbx_request request, struct music_plan *plan)
{
	const struct pbx_requests *requests = music->requests;

	if (!take_text(music, request, "mode", plan->mode, sizeof plan->mode) ||
	    !take_text(music, request, "sort", plan->sort, sizeof plan->sort) ||
	    !take_text(music, request, "position", plan->position, sizeof plan->position) ||
	    !take_text(music, request, "source", plan->url, sizeof plan->url) ||
	    !take_text(music, request, "announcement", plan->announcement, sizeof plan->announcement) ||
	    !take_playlist(music, request, plan))
		return false;
	plan->announce_every_s = (uint32_t)requests->integer(request, "announce_every_s", plan->announce_every_s);
	plan->gain_cdb = (int32_t)requests->integer(request, "gain_db", plan->gain_cdb / 100) * 100;
	plan->levels = requests->boolean(request, "levels", plan->levels);
	return makes_sense(music, request, plan);
}

void plan_describe(const struct music *music, const struct music_plan *plan, struct pbx_json *object)
{
	const struct pbx_jsons *json = music->json;
	struct pbx_diag diag;

	(void)json->set_text(object, "mode", plan->mode);
	(void)json->set_text(object, "sort", plan->sort);
	(void)json->set_text(object, "position", plan->position);
	(void)json->set_integer(object, "gain_db", plan->gain_cdb / 100);
	(void)json->set_boolean(object, "levels", plan->levels);
	(void)json->set_text(object, "source", plan->url);
	(void)json->set_text(object, "announcement", plan->announcement);
	(void)json->set_integer(object, "announce_every_s", plan->announce_every_s);
	(void)json->set(object, "playlist",
			plan->playlist[0] ? json->parse(plan->playlist, strlen(plan->playlist), &diag) : json->new_array());
}
