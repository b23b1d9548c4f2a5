/* store_journal.c - records on disk while the engine is away */
#include "store_engine.h"

int store_journal_open(const char *dir)
{
	(void)dir;
	return PBX_OK;
}

void store_journal_flush(void)
{
}

void store_journal_close(void)
{
}

bool store_journal_is_empty(void)
{
	return true;
}

bool store_journal_is_on(void)
{
	return false;
}

void store_journal_add(struct store_job *job)
{
	store_settle(job);
}

void store_journal_replay(void)
{
}

void store_journal_stats(struct store_journal_stats *ret_stats)
{
	*ret_stats = (struct store_journal_stats){ 0 };
}
