/* pbx/abi.h - the ground every other header stands on: versions, results, handles, tables
 *
 * Whatever crosses the line between the daemon and a shared object is made of what is here:
 * fixed-width integers, text, booleans, handles, tables that know their row size, and
 * function pointers. Nothing else crosses: no enum, bit-field, long, time_t or errno. */
#pragma once
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#ifdef __cplusplus
extern "C" {
#endif

/* ---- versions ------------------------------------------------------------------------- */

#define PBX_MAGIC 0x31584250u /* "PBX1" in memory on a little-endian machine */
#define PBX_ABI_MAJOR 0u      /* 0: the headers still move, daemon and plugin must match */
#define PBX_ABI_MINOR 1u

/* The first sixteen bytes of a plugin's descriptor and of every service table. Frozen for
 * ever: they tell a reader of any age how much of the rest there is to read. */
struct pbx_header {
	uint32_t magic;
	uint16_t abi_major, abi_minor;
	uint32_t size;  /* of the structure that begins with this header, in bytes */
	uint32_t flags; /* none defined yet: 0 */
};

#define PBX_HEADER(type)                                                                                                                   \
	{                                                                                                                                  \
		PBX_MAGIC, PBX_ABI_MAJOR, PBX_ABI_MINOR, (uint32_t)sizeof(type), 0                                                         \
	}
#define PBX_EXPORT __attribute__((visibility("default")))
#define PBX_PRINTF(text_at, args_at) __attribute__((format(printf, text_at, args_at)))

/* ---- results -------------------------------------------------------------------------- */

/* What a function that can fail returns: PBX_OK, or one of these. Negative, stable, appended only. */
#define PBX_OK 0
#define PBX_EINVAL (-1) /* an argument is not acceptable */
#define PBX_ENOMEM (-2)
#define PBX_ENOENT (-3)  /* it does not exist, or no longer: the ordinary answer to a stale handle */
#define PBX_EEXIST (-4)  /* somebody has it already */
#define PBX_ENOSPC (-5)  /* a named limit is reached */
#define PBX_EBUSY (-6)   /* in use, try later */
#define PBX_EPERM (-7)   /* not allowed */
#define PBX_ESTATE (-8)  /* not in this state (answer an answered leg) */
#define PBX_ENOTSUP (-9) /* this provider cannot do that */
#define PBX_ETIMEOUT (-10)
#define PBX_EIO (-11)      /* the world outside failed: disk, database, network */
#define PBX_ELATER (-12)   /* not an error: the answer comes by callback */
#define PBX_EVERSION (-13) /* made for another ABI */
#define PBX_ECANCELLED (-14)

/* A sentence for the person who waits for the answer (settings, commands, REST): what is wrong and
 * what would be right. The callee writes it only when it fails. */
struct pbx_diag {
	char field[96]; /* which setting, argument or JSON member; "" when none */
	char text[416];
};

static inline void PBX_PRINTF(3, 4) pbx_diag_set(struct pbx_diag *diag, const char *field, const char *format, ...)
{
	va_list args;

	if (!diag)
		return;
	(void)snprintf(diag->field, sizeof diag->field, "%s", field ? field : "");
	va_start(args, format);
	(void)vsnprintf(diag->text, sizeof diag->text, format, args);
	va_end(args);
}

/* ---- handles -------------------------------------------------------------------------- */

/* A handle names a thing that may be gone by the time it is used; then the answer is PBX_ENOENT.
 * Each kind is a type of its own, so that the compiler tells a leg from a bridge. id 0 names nothing. */
typedef struct pbx_call {
	uint64_t id;
} pbx_call;
typedef struct pbx_leg {
	uint64_t id;
} pbx_leg;
typedef struct pbx_bridge {
	uint64_t id;
} pbx_bridge;
typedef struct pbx_dial {
	uint64_t id;
} pbx_dial;
typedef struct pbx_room {
	uint64_t id;
} pbx_room; /* pbx/rooms.h */
typedef struct pbx_source {
	uint64_t id;
} pbx_source;
typedef struct pbx_timer {
	uint64_t id;
} pbx_timer;
typedef struct pbx_query {
	uint64_t id;
} pbx_query;
typedef struct pbx_request {
	uint64_t id;
} pbx_request;
typedef struct pbx_route_query {
	uint64_t id;
} pbx_route_query;
typedef struct pbx_subscription {
	uint64_t id;
} pbx_subscription;
typedef struct pbx_transfer {
	uint64_t id;
} pbx_transfer; /* an HTTP exchange of pbx.fetch/1 */
typedef struct pbx_sip_client {
	uint64_t id;
} pbx_sip_client; /* a series of requests, pbx/sip.h */
typedef struct pbx_watch {
	uint64_t id;
} pbx_watch; /* a phone's subscription, pbx/notifier.h */
typedef struct pbx_io_watch {
	uint64_t id;
} pbx_io_watch; /* a descriptor, pbx/io.h */

/* ---- tables --------------------------------------------------------------------------- */

/* Rows with their size beside them, so that rows may grow: a reader takes the part it knows, and
 * what the writer did not know reads as zero. */
struct pbx_table {
	const void *rows;
	uint32_t count, row_size;
};

#define PBX_TABLE(array)                                                                                                                   \
	{                                                                                                                                  \
		(array), (uint32_t)(sizeof(array) / sizeof((array)[0])), (uint32_t)sizeof((array)[0])                                      \
	}

/* What a value is, in settings, arguments, events and answers alike. */
#define PBX_TYPE_BOOL 1u
#define PBX_TYPE_INT 2u     /* int64 */
#define PBX_TYPE_NUMBER 3u  /* double */
#define PBX_TYPE_TEXT 4u    /* UTF-8 */
#define PBX_TYPE_CHOICE 5u  /* one of .choices, as text */
#define PBX_TYPE_LIST 6u    /* of texts */
#define PBX_TYPE_OBJECT 7u  /* JSON object */
#define PBX_TYPE_OBJECTS 8u /* list of objects, each described by .fields */
#define PBX_TYPE_SECRET 9u  /* text that is never shown, logged or dumped */
#define PBX_TYPE_TIME 10u   /* int64 microseconds since 1970 UTC; RFC 3339 in JSON */

struct pbx_list {
	const char *const *items;
	uint32_t count;
};

struct pbx_objects {
	const void *rows;
	uint32_t count, row_size;
};

#ifdef __cplusplus
}
#endif
