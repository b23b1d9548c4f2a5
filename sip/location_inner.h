/* sip/location_inner.h - what the files of the bindings share. All of it: [loop].
 *
 * location.c          the tables, and every change of them
 * location_store.c    the table `registrations`: written through, read back, and who waits until it is safe
 * location_service.c  "pbx.location/1" */
#pragma once
#include "location.h"

/* ---- location.c ---- */

/* One that is in no table yet, with a new id or one that was read. NULL: no memory. */
struct ua_binding *ua_binding_new(const struct ua_binding_news *news, const char *id);
void ua_binding_free(struct ua_binding *binding);
/* Into the tables, with a timer for its end. PBX_OK; PBX_ENOMEM: it has been freed. */
int ua_binding_add(const char *aor, struct ua_binding *binding);
/* Out of the tables, without a word to store and bus. */
void ua_binding_forget(struct ua_binding *binding);
bool ua_binding_keep(struct ua_binding *binding, const struct ua_binding_news *news); /* false: no memory */
/* Its q or its end is another. */
void ua_binding_moved(struct ua_binding *binding);
uint32_t ua_location_count(void); /* of all bindings */
/* All of an account, best first, or of everybody (aor NULL); how many. each may not change any. */
uint32_t ua_location_all(const char *aor, void (*each)(void *context, const struct ua_binding *binding), void *context);

/* ---- location_store.c ---- */

void ua_location_store_init(struct pbx_host *host);
void ua_location_write(const struct ua_binding *binding);
void ua_location_unwrite(const char *id);
