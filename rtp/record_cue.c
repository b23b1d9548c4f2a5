/*
 * record_cue - the chunks "cue " and "LIST adtl" behind a recording's samples
 *
 * libsndfile writes cue points in front of the sound or not at all, and while it grows nobody knows them. RIFF lets them follow (Multimedia Programming
 * Interface and Data Specifications 1.0, chapter 3): a point is a frame, its label tells what it marks, "ltxt" how long that lasts. RF64 (EBU Tech 3306)
 * differs in where the length of the file stands.
 */
#include "record_cue.h"

#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define POINT_BYTES 24u
#define REGION_BYTES 28u
#define LABEL_BYTES 60u /* most of one, with its head */
#define CHUNKS_SIZE (32u + PBX_RECORD_MOST_MARKS * (POINT_BYTES + REGION_BYTES + LABEL_BYTES))

struct chunks {
	uint8_t bytes[CHUNKS_SIZE];
	uint32_t used;
};

static void put_word(struct chunks *chunks, const char word[4])
{
	memcpy(chunks->bytes + chunks->used, word, 4);
	chunks->used += 4;
}

static void set_number(uint8_t *at, uint64_t number, uint32_t bytes)
{
	for (uint32_t i = 0; i < bytes; i++)
		at[i] = (uint8_t)(number >> 8 * i);
}

static void put_number(struct chunks *chunks, uint64_t number)
{
	set_number(chunks->bytes + chunks->used, number, 4);
	chunks->used += 4;
}

static void put_point(struct chunks *chunks, uint32_t id, uint64_t frame)
{
	put_number(chunks, id);
	put_number(chunks, frame);
	put_word(chunks, "data");
	put_number(chunks, 0); /* a list of silences and sounds there is none */
	put_number(chunks, 0);
	put_number(chunks, frame);
}

static void put_label(struct chunks *chunks, uint32_t id, const struct pbx_record_mark *mark)
{
	char text[LABEL_BYTES - 14];
	uint32_t length = (uint32_t)snprintf(text, sizeof text, "paused %llu.%03llu s%s", (unsigned long long)(mark->for_ms / 1000),
					     (unsigned long long)(mark->for_ms % 1000), mark->how == PBX_PAUSE_CUT ? ", left out" : "") +
			  1;

	put_word(chunks, "labl");
	put_number(chunks, 4 + length);
	put_number(chunks, id);
	memcpy(chunks->bytes + chunks->used, text, length);
	chunks->used += length;
	if (length % 2)
		chunks->bytes[chunks->used++] = 0;
}

static void put_region(struct chunks *chunks, uint32_t id, uint64_t frames)
{
	put_word(chunks, "ltxt");
	put_number(chunks, REGION_BYTES - 8);
	put_number(chunks, id);
	put_number(chunks, frames);
	put_word(chunks, "rgn ");
	put_number(chunks, 0); /* country and language, dialect and code page: none */
	put_number(chunks, 0);
}

static void make(struct chunks *chunks, uint32_t rate_hz, const struct pbx_record_mark *marks, uint32_t count)
{
	put_word(chunks, "cue ");
	put_number(chunks, 4 + count * POINT_BYTES);
	put_number(chunks, count);
	for (uint32_t i = 0; i < count; i++)
		put_point(chunks, i + 1, marks[i].at_ms * rate_hz / 1000);
	put_word(chunks, "LIST");
	uint32_t length_at = chunks->used;

	put_number(chunks, 0);
	put_word(chunks, "adtl");
	for (uint32_t i = 0; i < count; i++) {
		put_label(chunks, i + 1, &marks[i]);
		if (marks[i].how == PBX_PAUSE_SILENCE)
			put_region(chunks, i + 1, marks[i].for_ms * rate_hz / 1000);
	}
	set_number(chunks->bytes + length_at, chunks->used - length_at - 4, 4);
}

/* The length of the whole file, without the eight octets in front: 32 bits of it in RIFF, 64 in RF64. */
static bool set_length(int fd, const char head[12], uint64_t length)
{
	bool is_long = memcmp(head, "RF64", 4) == 0;
	uint8_t number[8];

	set_number(number, length, 8);
	return pwrite(fd, number, is_long ? 8 : 4, is_long ? 20 : 4) == (is_long ? 8 : 4);
}

void rtp_record_cue(int fd, uint32_t rate_hz, const struct pbx_record_mark *marks, uint32_t count)
{
	struct chunks chunks = { .used = 0 };
	struct stat file;
	char head[12];

	if (count == 0 || fstat(fd, &file) != 0 || pread(fd, head, sizeof head, 0) != (ssize_t)sizeof head ||
	    memcmp(head + 8, "WAVE", 4) != 0)
		return;
	make(&chunks, rate_hz, marks, count < PBX_RECORD_MOST_MARKS ? count : PBX_RECORD_MOST_MARKS);
	off_t end = file.st_size + file.st_size % 2;

	if (pwrite(fd, chunks.bytes, chunks.used, end) != (ssize_t)chunks.used || !set_length(fd, head, (uint64_t)end + chunks.used - 8))
		(void)!ftruncate(fd, file.st_size); /* a reader passes over what does not fit the length */
}
