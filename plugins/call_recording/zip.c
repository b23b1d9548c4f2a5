/*
 * zip - libarchive's ZIP writer with a buffer in the place of a file
 *
 * Octets of files go in, octets of the archive come out, and only what is between the two is in memory: somewhat more than was written since the last time it was
 * taken. Deflated at its quickest, which makes a third of a WAV go away and suits readers that take a ZIP file from a stream.
 */
#include "zip.h"
#include <archive.h>
#include <archive_entry.h>
#include <pbx/abi.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/types.h>

struct zip {
	struct archive *archive;
	uint8_t *made;
	size_t size, room;
	bool is_over;
};

static la_ssize_t on_made(struct archive *archive, void *self, const void *data, size_t size)
{
	struct zip *zip = self;

	(void)archive;
	if (zip->is_over)
		return (la_ssize_t)size;
	if (zip->size + size > zip->room) {
		size_t room = 2 * (zip->size + size);
		uint8_t *made = realloc(zip->made, room);

		if (!made)
			return -1;
		zip->made = made;
		zip->room = room;
	}
	memcpy(zip->made + zip->size, data, size);
	zip->size += size;
	return (la_ssize_t)size;
}

struct zip *zip_new(void)
{
	struct zip *zip = calloc(1, sizeof *zip);

	if (!zip)
		return NULL;
	zip->archive = archive_write_new();
	bool good = zip->archive && archive_write_set_format_zip(zip->archive) == ARCHIVE_OK &&
		    archive_write_set_options(zip->archive, "zip:compression=deflate,zip:compression-level=1") == ARCHIVE_OK &&
		    archive_write_set_bytes_per_block(zip->archive, 0) == ARCHIVE_OK &&
		    archive_write_open(zip->archive, zip, NULL, on_made, NULL) == ARCHIVE_OK;

	if (good)
		return zip;
	zip_free(zip);
	return NULL;
}

int zip_file(struct zip *zip, const char *name, int64_t size, int64_t wall_us)
{
	struct archive_entry *entry = archive_entry_new();

	if (!entry)
		return PBX_ENOMEM;
	archive_entry_set_pathname(entry, name);
	archive_entry_set_filetype(entry, S_IFREG);
	archive_entry_set_perm(entry, 0640);
	archive_entry_set_size(entry, size);
	archive_entry_set_mtime(entry, (time_t)(wall_us / 1000000), 0);
	int result = archive_write_header(zip->archive, entry);

	archive_entry_free(entry);
	return result == ARCHIVE_OK ? PBX_OK : PBX_ENOMEM;
}

int zip_write(struct zip *zip, const uint8_t *data, size_t size)
{
	return archive_write_data(zip->archive, data, size) == (la_ssize_t)size ? PBX_OK : PBX_ENOMEM;
}

int zip_end(struct zip *zip)
{
	return archive_write_close(zip->archive) == ARCHIVE_OK ? PBX_OK : PBX_ENOMEM;
}

const uint8_t *zip_made(const struct zip *zip, size_t *ret_size)
{
	*ret_size = zip->size;
	return zip->made;
}

void zip_taken(struct zip *zip)
{
	zip->size = 0;
}

void zip_free(struct zip *zip)
{
	if (!zip)
		return;
	zip->is_over = true;
	if (zip->archive)
		(void)archive_write_free(zip->archive); /* what it still writes goes nowhere */
	free(zip->made);
	free(zip);
}
