/* rest.c - a value as runs: so many words of zeros, then so many as they are
 *
 * Words of eight octets: looking at 4 KiB takes a tenth of a microsecond, and a run's head is not longer than what it saves. */
#include "rest.h"
#include <pbx/abi.h>
#include <assert.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#define WORD sizeof(uint64_t)
#define MOST_BYTES 8192u
#define MOST_DATA                                                                                                                          \
	(MOST_BYTES + sizeof(struct run)) /* a run's head takes the place of a word of zeros at least; before the first there may be none */
#define LEAST_ROOM 252u                   /* what replaces it is often a little longer: it should not need memory in the midst of a call */

struct run {
	uint16_t zeros, words; /* zeros first; words that follow in the data. The last may be shorter than a word */
};

struct core_rest {
	uint16_t bytes, room;
	uint8_t data[];
};

static size_t least(size_t a, size_t b)
{
	return a < b ? a : b;
}

static uint64_t word_at(const uint8_t *value, size_t size, size_t word)
{
	uint64_t bits = 0;

	if ((word + 1) * WORD <= size)
		memcpy(&bits, value + word * WORD, WORD);
	else
		memcpy(&bits, value + word * WORD, size - word * WORD);
	return bits;
}

/* The next word from there that is not zero; as most are, four at a time. */
static size_t skip_zeros(const uint8_t *value, size_t size, size_t word)
{
	uint64_t four[4];

	for (; (word + 4) * WORD <= size; word += 4) {
		memcpy(four, value + word * WORD, sizeof four);
		if (four[0] | four[1] | four[2] | four[3])
			break;
	}
	while (word * WORD < size && word_at(value, size, word) == 0)
		word++;
	return word;
}

/* How many octets the runs take. ret_data has room for MOST_DATA. */
static size_t pack(const uint8_t *value, size_t size, uint8_t *ret_data)
{
	size_t used = 0;

	for (size_t at = 0, begin; (begin = skip_zeros(value, size, at)) * WORD < size;) {
		size_t end = begin + 1;
		while (end * WORD < size && word_at(value, size, end) != 0)
			end++;

		const struct run run = { (uint16_t)(begin - at), (uint16_t)(end - begin) };
		size_t bytes = least(size, end * WORD) - begin * WORD;
		memcpy(ret_data + used, &run, sizeof run);
		memcpy(ret_data + used + sizeof run, value + begin * WORD, bytes);
		used += sizeof run + bytes;
		at = end;
	}
	return used;
}

static void wipe(struct core_rest *rest)
{
	explicit_bzero(rest->data, rest->bytes);
}

int core_rest_keep(struct core_rest **rest, const void *value, size_t size)
{
	assert(rest && value && size <= MOST_BYTES);

	uint8_t data[MOST_DATA];
	size_t bytes = pack(value, size, data);
	if (bytes == 0 && !*rest)
		return PBX_OK;

	if (!*rest || (*rest)->room < bytes) {
		size_t room = bytes > LEAST_ROOM ? bytes : LEAST_ROOM;
		struct core_rest *grown = malloc(sizeof *grown + room);

		if (!grown)
			return PBX_ENOMEM;
		*grown = (struct core_rest){ .room = (uint16_t)room };
		core_rest_drop(rest);
		*rest = grown;
	}
	wipe(*rest);
	memcpy((*rest)->data, data, bytes);
	(*rest)->bytes = (uint16_t)bytes;
	explicit_bzero(data, bytes);
	return PBX_OK;
}

void core_rest_read(const struct core_rest *rest, void *ret_value, size_t size)
{
	uint8_t *value = ret_value;
	size_t at = 0;

	memset(value, 0, size);
	for (size_t used = 0; rest && used < rest->bytes;) {
		struct run run;

		memcpy(&run, rest->data + used, sizeof run);
		used += sizeof run;
		at += run.zeros * WORD;
		size_t bytes = least(run.words * WORD, size - at);
		memcpy(value + at, rest->data + used, bytes);
		used += bytes;
		at += bytes;
	}
}

void core_rest_drop(struct core_rest **rest)
{
	if (*rest)
		wipe(*rest);
	free(*rest);
	*rest = NULL;
}
