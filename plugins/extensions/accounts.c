/*
 * accounts - every extension in memory, so that a call or a registration never waits for the database; and the row behind each
 */
#include "extensions.h"
#include <stdlib.h>
#include <string.h>

#define INSERT_SQL                                                                                                                         \
	"INSERT INTO extensions_accounts (number, name, email, language, music_class, pickup_group, caller_id, sip_secret, web_hash, "     \
	"pin_hash,"                                                                                                                        \
	" forward_always, forward_busy, forward_no_answer, forward_offline, flags, ring_s, max_contacts, max_calls, created_at, "          \
	"updated_at)"                                                                                                                      \
	" VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19, $20)"

const char account_insert_sql[] = INSERT_SQL;
const char account_upsert_sql[] =
	INSERT_SQL " ON CONFLICT (number) DO UPDATE SET name = $2, email = $3, language = $4, music_class = $5, pickup_group = $6,"
		   " caller_id = $7, sip_secret = $8, web_hash = $9, pin_hash = $10, forward_always = $11, forward_busy = $12,"
		   " forward_no_answer = $13, forward_offline = $14, flags = $15, ring_s = $16, max_contacts = $17, max_calls = $18,"
		   " updated_at = $20";

/* The column `flags`. */
#define FLAG_OUTSIDE 1
#define FLAG_ADMIN 2
#define FLAG_DND 4

static uint32_t bucket_of(const char *number)
{
	uint32_t hash = 2166136261u;

	for (; *number; number++)
		hash = (hash ^ (unsigned char)*number) * 16777619u;
	return hash % ACCOUNT_BUCKETS;
}

static struct account_entry **place_of(struct extensions *extensions, const char *number)
{
	struct account_entry **at = &extensions->buckets[bucket_of(number)];

	while (*at && strcmp((*at)->account.number, number) != 0)
		at = &(*at)->next;
	return at;
}

const struct account *account_find(const struct extensions *extensions, const char *number)
{
	const struct account_entry *entry = extensions->buckets[bucket_of(number)];

	while (entry && strcmp(entry->account.number, number) != 0)
		entry = entry->next;
	return entry ? &entry->account : NULL;
}

int account_put(struct extensions *extensions, const struct account *account)
{
	struct account_entry **at = place_of(extensions, account->number);

	if (!*at) {
		*at = calloc(1, sizeof **at);
		if (!*at)
			return PBX_ENOMEM;
		extensions->count++;
	}
	(*at)->account = *account;
	return PBX_OK;
}

void account_drop(struct extensions *extensions, const char *number)
{
	struct account_entry **at = place_of(extensions, number), *entry = *at;

	if (!entry)
		return;
	*at = entry->next;
	free(entry);
	extensions->count--;
}

void accounts_clear(struct extensions *extensions)
{
	for (uint32_t bucket = 0; bucket < ACCOUNT_BUCKETS; bucket++)
		while (extensions->buckets[bucket]) {
			struct account_entry *entry = extensions->buckets[bucket];

			extensions->buckets[bucket] = entry->next;
			free(entry);
		}
	extensions->count = 0;
}

static int by_number(const void *a, const void *b)
{
	const struct account *const *left = a, *const *right = b;

	return strcmp((*left)->number, (*right)->number);
}

/* In order of number: that is how people read lists. */
void accounts_each(const struct extensions *extensions, void (*each)(void *context, const struct account *account), void *context)
{
	const struct account **sorted = calloc(extensions->count + 1, sizeof *sorted);
	uint32_t count = 0;

	if (!sorted)
		return;
	for (uint32_t bucket = 0; bucket < ACCOUNT_BUCKETS; bucket++)
		for (const struct account_entry *entry = extensions->buckets[bucket]; entry; entry = entry->next)
			sorted[count++] = &entry->account;
	qsort(sorted, count, sizeof *sorted, by_number);
	for (uint32_t i = 0; i < count; i++)
		each(context, sorted[i]);
	free(sorted);
}

/* ---- rows ----------------------------------------------------------------------------- */

void account_values(const struct account *account, struct pbx_value ret_values[ACCOUNT_COLUMNS])
{
	const char *const texts[] = { account->number,      account->name,         account->email,      account->language,
				      account->music_class, account->pickup_group, account->caller_id,  account->sip_secret,
				      account->web_hash,    account->pin_hash,     account->forward[0], account->forward[1],
				      account->forward[2],  account->forward[3] };
	const int64_t numbers[] = { (account->may_call_outside ? FLAG_OUTSIDE : 0) | (account->is_admin ? FLAG_ADMIN : 0) |
					    (account->dnd ? FLAG_DND : 0),
				    account->ring_s,
				    account->max_contacts,
				    account->max_calls,
				    account->created_us,
				    account->updated_us };

	for (uint32_t i = 0; i < 14; i++)
		ret_values[i] = pbx_v_text(texts[i]);
	for (uint32_t i = 0; i < 6; i++)
		ret_values[14 + i] = PBX_V_INT(numbers[i]);
}

static void take_text(char *into, size_t size, const struct pbx_rows *rows, uint32_t row, uint32_t column)
{
	(void)snprintf(into, size, "%s", pbx_cell_text(rows, row, column));
}
#define TAKE_TEXT(member, column) take_text(account->member, sizeof account->member, rows, row, column)

static void account_from_row(struct account *account, const struct pbx_rows *rows, uint32_t row)
{
	const int64_t flags = pbx_cell_int(rows, row, 14);

	memset(account, 0, sizeof *account);
	TAKE_TEXT(number, 0), TAKE_TEXT(name, 1), TAKE_TEXT(email, 2), TAKE_TEXT(language, 3), TAKE_TEXT(music_class, 4);
	TAKE_TEXT(pickup_group, 5), TAKE_TEXT(caller_id, 6), TAKE_TEXT(sip_secret, 7), TAKE_TEXT(web_hash, 8), TAKE_TEXT(pin_hash, 9);
	for (uint32_t kind = 0; kind < FORWARD_KINDS; kind++)
		TAKE_TEXT(forward[kind], 10 + kind);
	account->may_call_outside = flags & FLAG_OUTSIDE;
	account->is_admin = flags & FLAG_ADMIN;
	account->dnd = flags & FLAG_DND;
	account->ring_s = (uint32_t)pbx_cell_int(rows, row, 15);
	account->max_contacts = (uint32_t)pbx_cell_int(rows, row, 16);
	account->max_calls = (uint32_t)pbx_cell_int(rows, row, 17);
	account->created_us = pbx_cell_int(rows, row, 18);
	account->updated_us = pbx_cell_int(rows, row, 19);
}

static void on_rows(void *self, const struct pbx_rows *rows)
{
	struct extensions *extensions = self;
	struct account account;

	for (uint32_t row = 0; row < rows->count; row++) {
		account_from_row(&account, rows, row);
		if (account_put(extensions, &account) != PBX_OK) {
			extensions->host->ready(extensions->host, PBX_ENOMEM, "there is no memory for all accounts");
			return;
		}
	}
	extensions->host->ready(extensions->host, rows->status, rows->error);
}

int accounts_load(struct extensions *extensions)
{
	int err = extensions->store->run(
		extensions->host,
		"SELECT number, name, email, language, music_class, pickup_group, caller_id, sip_secret, web_hash, pin_hash,"
		" forward_always, forward_busy, forward_no_answer, forward_offline, flags, ring_s, max_contacts, max_calls,"
		" created_at, updated_at FROM extensions_accounts",
		NULL, 0, on_rows, extensions);

	return err == PBX_OK ? PBX_ELATER : err;
}
