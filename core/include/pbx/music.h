/* pbx/music.h - what a held party hears
 * Offered as "pbx.music/1" by whichever plugin keeps music classes. All of it: [loop]. */
#pragma once
#include <pbx/media.h>

#ifdef __cplusplus
extern "C" {
#endif

struct pbx_music {
	struct pbx_header header;
	void *self; /* the provider: first argument of every function */

	/* The source behind a class; NULL, "" or an unknown name: the default class. The provider keeps it.
	 * PBX_OK, PBX_ENOENT (there is no music at all). */
	int (*source)(void *self, const char *music_class, pbx_source *ret_source);
};

PBX_SERVICE(pbx_music, "pbx.music/1")

#ifdef __cplusplus
}
#endif
