/* core/store_journal_inner.h - what store_journal.c, which writes, and store_journal_replay.c, which sends back, know of each other. All of it: [loop]. */
#pragma once
#include "store_journal_file.h"

/* ---- the files (store_journal.c) ---- */

const char *store_journal_dir(void);
void store_journal_path(char *ret_path, size_t size, uint64_t file); /* of the file with this number */
bool store_journal_is_closing(void);
/* Whether a file is being written, so that nothing can be sent: store_journal_replay() is called again when that is over. */
bool store_journal_puts_off(void);
void store_journal_try_later(void); /* writing and sending, in a second */
/* So many records on disk have reached the engine. */
void store_journal_sent(uint32_t records, size_t bytes);
/* Whether a file is there to be sent; if so, nothing is written to it any more. No: everything has been sent, and those who wait for that are told. */
bool store_journal_offers(uint64_t file);

/* ---- the way back (store_journal_replay.c) ---- */

/* How far a directory's files had been sent: file, offset; zeros: not at all. */
void store_journal_position(const char *dir, uint64_t ret_position[2]);
void store_journal_replay_open(uint64_t file, uint64_t at); /* from where it goes on */
void store_journal_replay_close(void);                      /* waits for a read under way */
