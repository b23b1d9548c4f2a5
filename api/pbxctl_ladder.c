/*
 * pbxctl_ladder.c - messages between parties, drawn as a ladder
 *
 * The first party stands on the left, the PBX beside it, the others on the right, each with a line that goes down. A message is an arrow between
 * the PBX and the party it came from or went to. Widths follow the terminal; what does not fit there is cut, never wrapped.
 */
#include <string.h>

#include "pbxctl_ladder.h"

#define TIME_WIDTH 15 /* " +1234.567 s   " or "12:34:56.789   " */
#define COLUMN_WIDTH 26
#define COLUMN_LEAST 14

static const char green[] = "\033[32m", yellow[] = "\033[33m", red[] = "\033[31m", cyan[] = "\033[36m", dim[] = "\033[2m",
		  normal[] = "\033[0m";

static const char *text_in_rung(const cJSON *rung, const char *name)
{
	const char *text = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(rung, name));

	return text ? text : "";
}

static int status_in(const cJSON *rung)
{
	const cJSON *status = cJSON_GetObjectItemCaseSensitive(rung, "status");

	return cJSON_IsNumber(status) ? status->valueint : 0;
}

static const char *colour_of_rung(const cJSON *rung)
{
	int status = status_in(rung);

	if (cJSON_IsTrue(cJSON_GetObjectItemCaseSensitive(rung, "repeat")))
		return dim;
	return status == 0 ? cyan : status < 200 ? yellow : status < 300 ? green : status == 401 || status == 407 ? yellow : red;
}

/* ---- columns: the first party, the PBX, the other parties ------------------------------- */

static int party_of(struct ladder *ladder, const cJSON *rung)
{
	const char *address = text_in_rung(rung, "remote"), *name = text_in_rung(rung, "peer");
	int at = 0;

	while (at < ladder->count && strcmp(ladder->parties[at].address, address) != 0)
		at++;
	if (at == LADDER_PARTIES)
		return LADDER_PARTIES - 1; /* a crowd: the last column is everybody else's */
	if (at == ladder->count) {
		(void)snprintf(ladder->parties[at].address, sizeof ladder->parties[at].address, "%.63s", address);
		ladder->count++;
	}
	if (!*ladder->parties[at].name)
		(void)snprintf(ladder->parties[at].name, sizeof ladder->parties[at].name, "%.63s", name);
	return at;
}

/* 0 is the left edge's column. */
static int column_of_party(int party)
{
	return party == 0 ? 0 : party + 1;
}

static int column_width(const struct ladder *ladder, const struct look *look)
{
	int columns = ladder->count + 1, room = look->width > 0 ? (look->width - TIME_WIDTH) / columns : COLUMN_WIDTH;

	return room > COLUMN_WIDTH ? COLUMN_WIDTH : room < COLUMN_LEAST ? COLUMN_LEAST : room;
}

/* Bytes of the text that make at most `width` columns. */
static size_t fitting(const char *text, int width)
{
	size_t bytes = 0;

	for (int columns = 0; text[bytes]; bytes++)
		if (((unsigned char)text[bytes] & 0xc0) != 0x80 && ++columns > width)
			break;
	return bytes;
}

static void print_centred(const struct look *look, const char *text, int width)
{
	char part[160];

	(void)snprintf(part, sizeof part, "%.*s", (int)fitting(text, width - 1), text);
	int left = (width - width_of(part)) / 2;
	(void)fprintf(look->out, "%*s", left, "");
	print_plain(look->out, part);
	(void)fprintf(look->out, "%*s", width - left - width_of(part), "");
}

static const char *heading(const struct ladder *ladder, int column, bool of_address)
{
	if (column == 1)
		return of_address ? "" : "PBX";
	int party = column == 0 ? 0 : column - 1;
	return of_address ? ladder->parties[party].address : ladder->parties[party].name;
}

static void print_heading(struct ladder *ladder, const struct look *look)
{
	int width = column_width(ladder, look);

	for (int row = 0; row < 2; row++) {
		(void)fputs(look->colours ? bold : "", look->out);
		(void)fprintf(look->out, "%*s", TIME_WIDTH, "");
		for (int column = 0; column <= ladder->count; column++)
			print_centred(look, heading(ladder, column, row == 1), width);
		(void)fputs(look->colours ? normal : "", look->out);
		(void)fputc('\n', look->out);
	}
	ladder->drawn = ladder->count;
}

/* ---- rungs ------------------------------------------------------------------------------ */

static void say_what(const cJSON *rung, char *ret_text, size_t size)
{
	const char *line = text_in_rung(rung, "line"), *method = text_in_rung(rung, "method");
	bool again = cJSON_IsTrue(cJSON_GetObjectItemCaseSensitive(rung, "repeat")), has_sdp = *text_in_rung(rung, "sdp") != '\0';

	if (status_in(rung) && strncmp(line, "SIP/2.0 ", 8) == 0)
		(void)snprintf(ret_text, size, "%.60s%s%s", line + 8, has_sdp ? " (SDP)" : "", again ? " again" : "");
	else
		(void)snprintf(ret_text, size, "%.60s%s%s", method, has_sdp ? " (SDP)" : "", again ? " again" : "");
}

/* When it was; on a whole ladder, how long after the first message. */
static void print_time(const struct ladder *ladder, const struct look *look, const cJSON *rung)
{
	const char *time = text_in_rung(rung, "time"), *clock = strchr(time, 'T');
	double offset_ms = cJSON_GetNumberValue(cJSON_GetObjectItemCaseSensitive(rung, "offset_ms"));

	if (ladder->is_whole && offset_ms > 0)
		(void)fprintf(look->out, "%+10.3f s%*s", offset_ms / 1000, TIME_WIDTH - 12, "");
	else
		(void)fprintf(look->out, "%-*.12s", TIME_WIDTH, clock ? clock + 1 : time);
}

/* From the middle of column `left` to the middle of column `right`. */
static void print_arrow(const struct look *look, const char *what, const char *colour, int cells, bool to_right)
{
	int room = cells - 4, length;
	char part[96];

	(void)snprintf(part, sizeof part, "%.*s", (int)fitting(what, room > 0 ? room : 0), what);
	length = width_of(part);
	(void)fputs(look->colours ? colour : "", look->out);
	(void)fputs(to_right ? "─" : "◄", look->out);
	for (int i = 0; i < (cells - 2 - length) / 2; i++)
		(void)fputs("─", look->out);
	print_plain(look->out, part);
	for (int i = 0; i < cells - 2 - length - (cells - 2 - length) / 2; i++)
		(void)fputs("─", look->out);
	(void)fputs(to_right ? "►" : "─", look->out);
	(void)fputs(look->colours ? normal : "", look->out);
}

static void print_lines_between(const struct look *look, int from, int to, int width)
{
	for (int column = from; column < to; column++) {
		int left = (width - 1) / 2;
		(void)fprintf(look->out, "%*s│%*s", left, "", width - left - 1, "");
	}
}

bool print_rung(struct ladder *ladder, const struct look *look, const cJSON *rung)
{
	if (!cJSON_IsObject(rung) || !*text_in_rung(rung, "remote"))
		return false;

	int column = column_of_party(party_of(ladder, rung)), width = column_width(ladder, look), half = (width - 1) / 2;
	int left = column < 1 ? column : 1, right = column < 1 ? 1 : column;
	bool is_out = strcmp(text_in_rung(rung, "direction"), "out") == 0;
	char what[160];

	if (ladder->drawn != ladder->count)
		print_heading(ladder, look);
	say_what(rung, what, sizeof what);
	print_time(ladder, look, rung);
	print_lines_between(look, 0, left, width);
	(void)fprintf(look->out, "%*s│", half, "");
	print_arrow(look, what, colour_of_rung(rung), (right - left) * width - 1, is_out == (column > 1));
	(void)fprintf(look->out, "│%*s", width - half - 1, "");
	print_lines_between(look, right + 1, ladder->count + 1, width);
	(void)fputc('\n', look->out);
	if (*text_in_rung(rung, "text")) {
		const char *text = text_in_rung(rung, "text");
		for (const char *end; *text; text = *end ? end + 1 : end) {
			char line[1024];
			end = text + strcspn(text, "\n");
			(void)snprintf(line, sizeof line, "%.*s", (int)(end - text - (end > text && end[-1] == '\r')), text);
			(void)fputs("    ", look->out);
			print_plain(look->out, line);
			(void)fputc('\n', look->out);
		}
	}
	return true;
}

void print_ladder(const struct look *look, const cJSON *rungs)
{
	struct ladder ladder = { .is_whole = true };
	const cJSON *rung;

	cJSON_ArrayForEach(rung, rungs)(void) party_of(&ladder, rung); /* the heading has everybody from the start */
	cJSON_ArrayForEach(rung, rungs)(void) print_rung(&ladder, look, rung);
}
