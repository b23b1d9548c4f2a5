/* tests/core/postgres_fixture.h - a PostgreSQL server of the test's own, on a Unix socket in a folder of its own, without passwords */
#pragma once
#include <stdbool.h>

struct postgres;

bool postgres_is_here(void); /* server programs are installed under /usr/lib/postgresql */
/* Makes an empty database once, for all servers that are started afterwards: it costs seconds. */
void postgres_prepare(void);
void postgres_unprepare(void);
struct postgres *postgres_start(void); /* an empty server, answering; fails the test when it cannot. Owned. */
const char *postgres_url(const struct postgres *postgres);
void postgres_run(struct postgres *postgres, const char *sql); /* as somebody else would */
void postgres_empty(struct postgres *postgres);                /* no tables are left */
void postgres_halt(struct postgres *postgres);                 /* like a power cut: the database stays on disk */
void postgres_freeze(struct postgres *postgres, bool frozen);  /* it neither answers nor closes */
void postgres_resume(struct postgres *postgres);               /* after halt: answers again when this returns */
void postgres_stop(struct postgres *postgres);                 /* and removes it; NULL is fine */
