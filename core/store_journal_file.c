/*
 * store_journal_file.c - records as bytes in a file
 *
 * A frame is a mark, the length and the CRC-32 of what follows, and then the statement: its text, the number of its
 * parameters and each of these. Numbers are in the machine's own order: a journal does not travel. What a crash leaves at
 * the end of a file fails the checksum and is cut off when the file is opened again.
 */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>
#include "store_journal_file.h"

#define MARK 0x314a4257u /* "WBJ1" */
#define HEAD (3 * sizeof(uint32_t))
#define FRAME_MOST 67108864u /* what is longer is damage */

static uint32_t crc32_of(const char *data, size_t size)
{
	uint32_t crc = 0xffffffffu;

	for (size_t i = 0; i < size; i++) {
		crc ^= (unsigned char)data[i];
		for (int bit = 0; bit < 8; bit++)
			crc = (crc >> 1) ^ (0xedb88320u & (0u - (crc & 1u)));
	}
	return ~crc;
}

static bool has_bytes(const struct pbx_value *value)
{
	return value->type == PBX_VALUE_TEXT || value->type == PBX_VALUE_BYTES;
}

size_t frame_size(const struct store_statement *statement)
{
	size_t size = HEAD + 2 * sizeof(uint32_t) + strlen(statement->sql) + 1;

	for (uint32_t i = 0; i < statement->count; i++) {
		const struct pbx_value *value = &statement->params[i];

		size += 2 * sizeof(uint32_t) + (has_bytes(value) ? value->length + 1u : sizeof value->as);
	}
	return size;
}

static char *put(char *at, const void *bytes, size_t size)
{
	if (size)
		memcpy(at, bytes, size);
	return at + size;
}

static char *put32(char *at, uint32_t value)
{
	return put(at, &value, sizeof value);
}

void frame_put(char *at, const struct store_statement *statement)
{
	char *body = at + HEAD, *end = put32(body, (uint32_t)strlen(statement->sql));

	end = put(end, statement->sql, strlen(statement->sql) + 1);
	end = put32(end, statement->count);
	for (uint32_t i = 0; i < statement->count; i++) {
		const struct pbx_value *value = &statement->params[i];

		end = put32(end, value->type);
		end = put32(end, value->length);
		if (has_bytes(value))
			end = put(put(end, value->as.bytes, value->length), "", 1);
		else
			end = put(end, &value->as, sizeof value->as);
	}
	at = put32(at, MARK);
	at = put32(at, (uint32_t)(end - body));
	(void)put32(at, crc32_of(body, (size_t)(end - body)));
}

size_t frame_check(const char *data, size_t size, size_t *ret_wanted)
{
	uint32_t head[3];

	*ret_wanted = HEAD;
	if (size < HEAD)
		return 0;
	memcpy(head, data, sizeof head);
	if (head[0] != MARK || head[1] > FRAME_MOST) {
		*ret_wanted = 0;
		return 0;
	}
	*ret_wanted = HEAD + head[1];
	if (size < HEAD + head[1])
		return 0;
	if (crc32_of(data + HEAD, head[1]) != head[2]) {
		*ret_wanted = 0;
		return 0;
	}
	return HEAD + head[1];
}

/* What is left to read of a frame. */
struct reader {
	const char *at, *end;
};

static const char *take(struct reader *reader, size_t size)
{
	const char *at = reader->at;

	if ((size_t)(reader->end - at) < size)
		return NULL;
	reader->at += size;
	return at;
}

static bool take32(struct reader *reader, uint32_t *ret_value)
{
	const char *at = take(reader, sizeof *ret_value);

	if (at)
		memcpy(ret_value, at, sizeof *ret_value);
	return at != NULL;
}

static bool take_value(struct reader *reader, struct pbx_value *ret_value)
{
	if (!take32(reader, &ret_value->type) || !take32(reader, &ret_value->length))
		return false;
	if (has_bytes(ret_value)) {
		ret_value->as.bytes = take(reader, ret_value->length + (size_t)1);
		return ret_value->as.bytes != NULL;
	}

	const char *at = take(reader, sizeof ret_value->as);
	if (at)
		memcpy(&ret_value->as, at, sizeof ret_value->as);
	return at != NULL;
}

int frame_read(const char *frame, size_t size, struct pbx_statement *ret_statement, struct pbx_value *params)
{
	struct reader reader = { frame + HEAD, frame + size };
	uint32_t length, count;

	if (!take32(&reader, &length))
		return PBX_EINVAL;
	const char *sql = take(&reader, length + (size_t)1);
	if (!sql || sql[length] != '\0' || !take32(&reader, &count) || count > FRAME_PARAMS_MOST)
		return PBX_EINVAL;
	for (uint32_t i = 0; i < count; i++)
		if (!take_value(&reader, &params[i]))
			return PBX_EINVAL;
	*ret_statement = (struct pbx_statement){ .sql = sql, .params = params, .param_count = count };
	return PBX_OK;
}

static uint64_t walk(const char *data, size_t size, uint64_t from, struct frame_count *count)
{
	size_t at = 0, wanted;

	for (size_t length; at < size && (length = frame_check(data + at, size - at, &wanted)); at += length) {
		if (at < from)
			continue;
		count->frames++;
		count->bytes += length;
	}
	return at;
}

/* What is cut off is put beside the file: it may be damage, and somebody may want to look. */
static void keep_cut(const char *path, const char *bytes, size_t size)
{
	char cut_path[600];

	(void)snprintf(cut_path, sizeof cut_path, "%s.cut", path);
	int fd = open(cut_path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
	if (fd < 0)
		return;
	(void)!write(fd, bytes, size); /* as much as the disk takes */
	(void)close(fd);
}

int frame_scan(const char *path, uint64_t from, struct frame_count *ret_count)
{
	struct frame_count count = { 0 };
	struct stat info;
	int fd = open(path, O_RDWR | O_CLOEXEC), err = PBX_OK;

	if (fd < 0)
		return PBX_EIO;
	if (fstat(fd, &info) != 0) {
		(void)close(fd);
		return PBX_EIO;
	}
	size_t size = (size_t)info.st_size;
	char *data = size ? mmap(NULL, size, PROT_READ, MAP_PRIVATE, fd, 0) : NULL;

	if (data == MAP_FAILED) {
		err = PBX_EIO;
	} else if (data) {
		uint64_t good = walk(data, size, from, &count);

		count.cut_bytes = size - good;
		if (count.cut_bytes)
			keep_cut(path, data + good, size - good);
		(void)munmap(data, size);
		if (count.cut_bytes && ftruncate(fd, (off_t)good) != 0)
			err = PBX_EIO;
	}
	(void)close(fd);
	if (err == PBX_OK)
		*ret_count = count;
	return err;
}
