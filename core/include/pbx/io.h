/* pbx/io.h - descriptors on the loop: for libraries that open sockets of their own
 * Served by the core as "pbx.io/1". All of it: [loop].
 *
 * A plugin has no thread and no poll() of its own. It hands over the descriptor of a socket or pipe, non-blocking, and is called when there is
 * something to read or room to write. For HTTP there is pbx/fetch.h. */
#pragma once
#include <pbx/plugin.h>

#ifdef __cplusplus
extern "C" {
#endif

#define PBX_IO_READ 1u
#define PBX_IO_WRITE 2u
#define PBX_IO_FAILED 4u /* told, never asked for: read or write to learn why, or stop watching */

typedef void (*pbx_io_fn)(void *self, pbx_io_watch watch, uint32_t what);

struct pbx_io {
	struct pbx_header header;

	/* fn(self, watch, what) as long as the descriptor is ready for any of what: READ, WRITE or both. The descriptor stays ours to close, after
	 * stop. PBX_OK, PBX_EINVAL (not open, a file on disk, or nothing asked for), PBX_EEXIST (it is watched already), PBX_ENOMEM. */
	int (*watch)(struct pbx_host *host, int32_t descriptor, uint32_t what, pbx_io_fn fn, void *self, pbx_io_watch *ret_watch);
	/* From now on for these. PBX_OK, PBX_ENOENT, PBX_EINVAL (none). */
	int (*change)(pbx_io_watch watch, uint32_t what);
	int (*stop)(pbx_io_watch watch); /* also from within fn. PBX_OK, PBX_ENOENT */
};

static inline const struct pbx_io *pbx_io(struct pbx_host *host)
{
	return (const struct pbx_io *)host->service(host, "pbx.io/1", (uint32_t)sizeof(struct pbx_io));
}

#ifdef __cplusplus
}
#endif
