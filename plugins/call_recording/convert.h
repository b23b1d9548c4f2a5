/* call_recording/convert.h - a recording's sound in another form: another format, one of its sides, both in one. May block: [work]. */
#pragma once
#include "stored.h"
#include <pbx/recorder.h>

#define FORM_AS_IS UINT32_MAX /* of both */

#define SIDE_LEFT 0u
#define SIDE_RIGHT 1u
#define SIDE_MIX 2u

struct form {
	uint32_t format; /* convert_format(), FORM_AS_IS */
	uint32_t side;   /* SIDE_…, FORM_AS_IS */
};

/* By its name in settings or in a request ("ogg-opus", "opus"); FORM_AS_IS: there is none of that name. [any] */
uint32_t convert_format(const char *name);
/* Whether the library of this machine can write it. [any] */
bool convert_can(uint32_t format);
const char *convert_type(uint32_t format);      /* "audio/wav" [any] */
const char *convert_extension(uint32_t format); /* "wav" [any] */

struct convert;

struct convert_spec {
	struct stored stored; /* open; taken */
	struct form form;     /* format is none of AS_IS */
	const char *folder;   /* where the file is made, without a name */
	uint32_t least_free_mb;
	struct pbx_record_mark marks[PBX_RECORD_MOST_MARKS]; /* for those formats that can tell */
	uint32_t mark_count;
};

/* Takes spec->stored, also when it fails. PBX_OK, PBX_EINVAL (not readable as sound), PBX_ENOTSUP (format), PBX_ENOSPC, PBX_EIO, PBX_ENOMEM. */
int convert_begin(struct convert_spec *spec, struct convert **ret_convert);
/* Goes on for some minutes of sound. PBX_ELATER: there is more; PBX_OK: it is whole; PBX_ENOSPC, PBX_EIO. */
int convert_step(struct convert *convert);
/* The whole of it, which is the caller's from then on. */
void convert_take(struct convert *convert, struct stored *ret_made);
void convert_free(struct convert *convert); /* NULL is fine */
