/* rtp/record_file.h - a sound file that grows, readable at any moment. May block: [work] and the recorder's thread. */
#pragma once
#include <pbx/recorder.h>

struct rtp_record_file;

/* format as in struct pbx_record_spec. False: there is no such. [any] */
bool rtp_record_has_format(const char *format);
/* most_ms: how long it may become, 0 any length. path + ".part" is made, its folders too. PBX_OK, PBX_EEXIST (something is at path, or at that), PBX_ENOSPC, PBX_EIO, PBX_ENOMEM, PBX_ENOTSUP. */
int rtp_record_open(const char *path, const char *format, uint32_t rate_hz, uint32_t channels, uint64_t most_ms,
		    struct rtp_record_file **ret_file);
/* Interleaved samples. PBX_OK, PBX_ENOSPC (what was written before is safe, and the file can still be closed well), PBX_EIO. */
int rtp_record_write(struct rtp_record_file *file, const int16_t *samples, size_t frames);
/* What a header says of the length is made true, for whoever reads the file after a crash. */
void rtp_record_mark(struct rtp_record_file *file);
/* Ends and frees it: the file is on the disk under its name, with these marks where its format has such. Nothing written: there is none. PBX_OK, PBX_EIO, PBX_EEXIST (then it keeps ".part"). */
int rtp_record_close(struct rtp_record_file *file, const struct pbx_record_mark *marks, uint32_t mark_count, uint64_t *ret_bytes);
/* From what a crash has left: ret_result gets rate, channels, duration, size. PBX_OK, PBX_ENOENT, PBX_EINVAL (cannot be read), or as open. */
int rtp_record_recover(const char *path, struct pbx_record_result *ret_result);
/* Octets free for us where path would be, in MiB; UINT64_MAX when that cannot be told. */
uint64_t rtp_record_free_mb(const char *path);
