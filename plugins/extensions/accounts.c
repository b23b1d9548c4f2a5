/*
 * accounts - every extension in memory, so that a call or a registration never waits for the database; and the row behind each
 *
 * There may be ten thousand, most of them with a number and a secret and nothing else: each takes as much memory as its texts have letters.
 */
#include "extensions.h"
#include <stdlib.h>
#include <string.h>

#define INSERT_SQL                                                                                                                         \
	"INSERT INTO extensions_accounts (number, name, email, language, music_class, pickup_group, caller_id, sip_secret, web_hash, "     \
	"pin_hash,"                                                                                                                        \
	" forward_always, forward_busy, forward_no_answer, forward_offline, flags, ring_s, max_contacts, max_calls, created_at, "          \
	"updated_at, max_outgoing)"                                                                                                        \
	" VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19, $20, $21)"

const char account_insert_sql[] = INSERT_SQL;
const char account_upsert_sql[] =
	INSERT_SQL " ON CONFLICT (number) DO UPDATE SET name = $2, email = $3, language = $4, music_class = $5, pickup_group = $6,"
		   " caller_id = $7, sip_secret = $8, web_hash = $9, pin_hash = $10, forward_always = $11, forward_busy = $12,"
		   " forward_no_answer = $13, forward_offline = $14, flags = $15, ring_s = $16, max_contacts = $17, max_calls = $18,"
		   " updated_at = $20, max_outgoing = $21";

/* The column `flags`. */
#define FLAG_OUTSIDE 1
#define FLAG_ADMIN 2
#define FLAG_DND 4
#define FLAG_NO_WAITING 8
#define CLASS_SHIFT 4 /* three bits hold the class, and 0 means none: rows of before have it */
#define FLAG_TRUSTED 128
#define SRTP_SHIFT 8  /* three bits: of srtp_choices */
#define DTMF_SHIFT 11 /* two bits: of dtmf_choices */
#define T38_SHIFT 13  /* two bits: of t38_choices */

#define LOADED_AT_ONCE 500 /* rows read in one callback at the start */

uint32_t account_hash(const char *number)
{
	uint32_t hash = 2166136261u;

	for (; *number; number++)
		hash = (hash ^ (unsigned char)*number) * 16777619u;
	return hash;
}

static struct account **place_of(struct extensions *extensions, const char *number)
{
	struct account **at = &extensions->buckets[account_hash(number) % ACCOUNT_BUCKETS];

	while (*at && strcmp((*at)->number, number) != 0)
		at = &(*at)->next;
	return at;
}

const struct account *account_find(const struct extensions *extensions, const char *number)
{
	const struct account *account = extensions->buckets[account_hash(number) % ACCOUNT_BUCKETS];

	while (account && strcmp(account->number, number) != 0)
		account = account->next;
	return account;
}

/* The texts of both, in the same order. */
#define TEXTS 14u

static void texts_of(const struct account_draft *draft, const char *ret_texts[TEXTS])
{
	const char *const texts[TEXTS] = { draft->number,       draft->name,       draft->email,      draft->language,  draft->music_class,
					   draft->pickup_group, draft->caller_id,  draft->sip_secret, draft->web_hash,  draft->pin_hash,
					   draft->forward[0],   draft->forward[1], draft->forward[2], draft->forward[3] };

	memcpy(ret_texts, texts, sizeof texts);
}

struct account *account_new(const struct account_draft *draft)
{
	const char *texts[TEXTS];
	size_t size = 0;

	texts_of(draft, texts);
	for (uint32_t i = 0; i < TEXTS; i++)
		size += texts[i][0] ? strlen(texts[i]) + 1 : 0;

	struct account *account = malloc(sizeof *account + size);
	if (!account)
		return NULL;
	char *at = (char *)(account + 1);

	for (uint32_t i = 0; i < TEXTS; i++) {
		const char *from = texts[i];

		texts[i] = from[0] ? at : "";
		if (from[0])
			at = stpcpy(at, from) + 1;
	}
	*account = (struct account){
		.number = texts[0],
		.name = texts[1],
		.email = texts[2],
		.language = texts[3],
		.music_class = texts[4],
		.pickup_group = texts[5],
		.caller_id = texts[6],
		.sip_secret = texts[7],
		.web_hash = texts[8],
		.pin_hash = texts[9],
		.forward = { texts[10], texts[11], texts[12], texts[13] },
		.ring_s = draft->ring_s,
		.max_contacts = draft->max_contacts,
		.max_calls = draft->max_calls,
		.max_outgoing = draft->max_outgoing,
		.may_call_outside = draft->may_call_outside,
		.call_class = draft->call_class,
		.srtp = draft->srtp,
		.dtmf = draft->dtmf,
		.t38 = draft->t38,
		.no_waiting = draft->no_waiting,
		.trusted = draft->trusted,
		.is_admin = draft->is_admin,
		.dnd = draft->dnd,
		.created_us = draft->created_us,
		.updated_us = draft->updated_us,
	};
	return account;
}

void account_free(struct account *account)
{
	free(account);
}

#define COPY_TEXT(member) (void)snprintf(ret_draft->member, sizeof ret_draft->member, "%s", account->member)

/* Texts fit: they came out of a draft. */
void account_copy(const struct account *account, struct account_draft *ret_draft)
{
	memset(ret_draft, 0, sizeof *ret_draft); /* drafts are compared with all their bytes */
	COPY_TEXT(number), COPY_TEXT(name), COPY_TEXT(email), COPY_TEXT(language), COPY_TEXT(music_class), COPY_TEXT(pickup_group);
	COPY_TEXT(caller_id), COPY_TEXT(sip_secret), COPY_TEXT(web_hash), COPY_TEXT(pin_hash);
	for (uint32_t kind = 0; kind < FORWARD_KINDS; kind++)
		COPY_TEXT(forward[kind]);
	ret_draft->ring_s = account->ring_s;
	ret_draft->max_contacts = account->max_contacts;
	ret_draft->max_calls = account->max_calls;
	ret_draft->max_outgoing = account->max_outgoing;
	ret_draft->may_call_outside = account->may_call_outside;
	ret_draft->call_class = account->call_class;
	ret_draft->srtp = account->srtp;
	ret_draft->dtmf = account->dtmf;
	ret_draft->t38 = account->t38;
	ret_draft->no_waiting = account->no_waiting;
	ret_draft->trusted = account->trusted;
	ret_draft->is_admin = account->is_admin;
	ret_draft->dnd = account->dnd;
	ret_draft->created_us = account->created_us;
	ret_draft->updated_us = account->updated_us;
}

void account_place(struct extensions *extensions, struct account *taken)
{
	struct account **at = place_of(extensions, taken->number), *old = *at;

	taken->next = old ? old->next : NULL;
	*at = taken;
	extensions->count += !old;
	account_free(old);
}

void account_drop(struct extensions *extensions, const char *number)
{
	struct account **at = place_of(extensions, number), *account = *at;

	if (!account)
		return;
	*at = account->next;
	account_free(account);
	extensions->count--;
}

void accounts_clear(struct extensions *extensions)
{
	for (uint32_t bucket = 0; bucket < ACCOUNT_BUCKETS; bucket++)
		while (extensions->buckets[bucket]) {
			struct account *account = extensions->buckets[bucket];

			extensions->buckets[bucket] = account->next;
			account_free(account);
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
		for (const struct account *account = extensions->buckets[bucket]; account; account = account->next)
			sorted[count++] = account;
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
					    (account->dnd ? FLAG_DND : 0) | (account->no_waiting ? FLAG_NO_WAITING : 0) |
					    (account->trusted ? FLAG_TRUSTED : 0) | (int64_t)account->srtp << SRTP_SHIFT |
					    (int64_t)account->dtmf << DTMF_SHIFT | (int64_t)account->t38 << T38_SHIFT |
					    (account->call_class == CLASS_UNSET ? 0 : (int64_t)(account->call_class + 1) << CLASS_SHIFT),
				    account->ring_s,
				    account->max_contacts,
				    account->max_calls,
				    account->created_us,
				    account->updated_us,
				    account->max_outgoing };

	for (uint32_t i = 0; i < 14; i++)
		ret_values[i] = pbx_v_text(texts[i]);
	for (uint32_t i = 0; i < 7; i++)
		ret_values[14 + i] = PBX_V_INT(numbers[i]);
}

static void take_text(char *into, size_t size, const struct pbx_rows *rows, uint32_t row, uint32_t column)
{
	(void)snprintf(into, size, "%s", pbx_cell_text(rows, row, column));
}
#define TAKE_TEXT(member, column) take_text(account->member, sizeof account->member, rows, row, column)

static void draft_from_row(struct account_draft *account, const struct pbx_rows *rows, uint32_t row)
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
	account->no_waiting = flags & FLAG_NO_WAITING;
	account->trusted = flags & FLAG_TRUSTED;
	account->srtp = (uint32_t)(flags >> SRTP_SHIFT & 7);
	account->dtmf = (uint32_t)(flags >> DTMF_SHIFT & 3);
	account->t38 = (uint32_t)(flags >> T38_SHIFT & 3);
	account->call_class = flags >> CLASS_SHIFT & 7 ? (uint32_t)(flags >> CLASS_SHIFT & 7) - 1 : CLASS_UNSET;
	account->ring_s = (uint32_t)pbx_cell_int(rows, row, 15);
	account->max_contacts = (uint32_t)pbx_cell_int(rows, row, 16);
	account->max_calls = (uint32_t)pbx_cell_int(rows, row, 17);
	account->created_us = pbx_cell_int(rows, row, 18);
	account->updated_us = pbx_cell_int(rows, row, 19);
	account->max_outgoing = (uint32_t)pbx_cell_int(rows, row, 20);
}

static int load_some(struct extensions *extensions);

static void on_rows(void *self, const struct pbx_rows *rows)
{
	struct extensions *extensions = self;
	struct account_draft draft;
	int err = rows->status;

	for (uint32_t row = 0; err == PBX_OK && row < rows->count; row++) {
		draft_from_row(&draft, rows, row);
		struct account *account = account_new(&draft);

		if (account)
			account_place(extensions, account);
		else
			err = PBX_ENOMEM;
	}
	if (err == PBX_OK && rows->count == LOADED_AT_ONCE) {
		memcpy(extensions->loaded_to, draft.number, sizeof extensions->loaded_to);
		err = load_some(extensions);
		if (err == PBX_OK)
			return;
	}
	extensions->host->ready(extensions->host, err, err == PBX_ENOMEM ? "there is no memory for all accounts" : rows->error);
}

static int load_some(struct extensions *extensions)
{
	const struct pbx_value params[] = { pbx_v_text(extensions->loaded_to), PBX_V_INT(LOADED_AT_ONCE) };

	return extensions->store->run(
		extensions->host,
		"SELECT number, name, email, language, music_class, pickup_group, caller_id, sip_secret, web_hash, pin_hash,"
		" forward_always, forward_busy, forward_no_answer, forward_offline, flags, ring_s, max_contacts, max_calls,"
		" created_at, updated_at, max_outgoing FROM extensions_accounts WHERE number > $1 ORDER BY number LIMIT $2",
		params, 2, on_rows, extensions);
}

int accounts_load(struct extensions *extensions)
{
	int err = load_some(extensions);

	return err == PBX_OK ? PBX_ELATER : err;
}
