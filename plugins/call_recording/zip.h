/* call_recording/zip.h - a ZIP file that is made while it is handed out. May block: [work]. */
#pragma once
#include <stddef.h>
#include <stdint.h>

struct zip;

/* NULL: no memory. */
struct zip *zip_new(void);
/* A file in it begins; the one before has ended. PBX_OK, PBX_ENOMEM. */
int zip_file(struct zip *zip, const char *name, int64_t size, int64_t wall_us);
/* What is in it, as many octets as were told. PBX_OK, PBX_ENOMEM. */
int zip_write(struct zip *zip, const uint8_t *data, size_t size);
/* All files are in it. PBX_OK, PBX_ENOMEM. */
int zip_end(struct zip *zip);
/* What of the ZIP file has been made since the last time: borrowed until any other call. */
const uint8_t *zip_made(const struct zip *zip, size_t *ret_size);
void zip_taken(struct zip *zip); /* that was handed out */
void zip_free(struct zip *zip);  /* NULL is fine */
