/*
 * config - what people have said about a subscription: one table of members and columns, from which it is stored, read and copied
 */
#include "webhooks.h"
#include <stdlib.h>
#include <string.h>

enum kind { TEXT, JSON, SEALED_JSON, FLAG, SMALL, BIG };

#define COLUMN(name, kind, member)                                                                                                         \
	{                                                                                                                                  \
		name, kind, offsetof(struct config, member)                                                                                \
	}
static const struct column {
	const char *name;
	enum kind kind;
	size_t offset;
} columns[] = {
	COLUMN("name", TEXT, name),
	COLUMN("url", TEXT, url),
	COLUMN("description", TEXT, description),
	COLUMN("events", TEXT, events),
	COLUMN("extension", TEXT, extension),
	COLUMN("queue", TEXT, queue),
	COLUMN("trunk", TEXT, trunk),
	COLUMN("headers", SEALED_JSON, headers),
	COLUMN("match", JSON, match),
	COLUMN("omit", JSON, omit),
	COLUMN("legacy_signature", FLAG, legacy_signature),
	COLUMN("ed25519", FLAG, ed25519),
	COLUMN("secret", TEXT, secret),
	COLUMN("secret_before", TEXT, secret_before),
	COLUMN("signing_key", TEXT, key),
	COLUMN("signing_key_before", TEXT, key_before),
	COLUMN("rotated_at", BIG, rotated_us),
	COLUMN("client_certificate", TEXT, client_certificate),
	COLUMN("client_key", TEXT, client_key),
	COLUMN("ca", TEXT, ca),
	COLUMN("oauth_token_url", TEXT, oauth_token_url),
	COLUMN("oauth_client_id", TEXT, oauth_client_id),
	COLUMN("oauth_client_secret", TEXT, oauth_client_secret),
	COLUMN("oauth_scope", TEXT, oauth_scope),
	COLUMN("oauth_audience", TEXT, oauth_audience),
	COLUMN("oauth_auth", TEXT, oauth_auth),
	COLUMN("batch_events", SMALL, batch_events),
	COLUMN("batch_ms", SMALL, batch_ms),
	COLUMN("batch_bytes", SMALL, batch_bytes),
	COLUMN("state", TEXT, state),
	COLUMN("reason", TEXT, reason),
	COLUMN("created_at", BIG, created_us),
	COLUMN("updated_at", BIG, updated_us),
	COLUMN("failing_since", BIG, failing_since_us),
	COLUMN("replay_until", BIG, replay_until_us),
	COLUMN("replay_end", BIG, replay_end_seq),
};
#define COLUMNS (sizeof columns / sizeof columns[0])

static void *member(const struct config *config, const struct column *column)
{
	return (char *)(uintptr_t)config + column->offset;
}

static bool is_json(const struct column *column)
{
	return column->kind == JSON || column->kind == SEALED_JSON;
}

/* ---- in memory ------------------------------------------------------------------------ */

int config_set(char **text_member, const char *text)
{
	char *copy = text && text[0] ? strdup(text) : NULL;

	if (!copy && text && text[0])
		return PBX_ENOMEM;
	free(*text_member);
	*text_member = copy;
	return PBX_OK;
}

void config_free(const struct webhooks *webhooks, struct config *config)
{
	for (size_t i = 0; i < COLUMNS; i++) {
		void **at = member(config, &columns[i]);

		if (columns[i].kind == TEXT)
			free(*at);
		else if (is_json(&columns[i]))
			webhooks->json->free(*at);
	}
	memset(config, 0, sizeof *config);
}

int config_copy(const struct webhooks *webhooks, const struct config *from, struct config *ret_config)
{
	struct config copy = *from;
	int err = PBX_OK;

	for (size_t i = 0; i < COLUMNS; i++) {
		void **at = member(&copy, &columns[i]);
		const bool is_text = columns[i].kind == TEXT;

		if (!is_text && !is_json(&columns[i]))
			continue;
		const void *original = *at;
		*at = !original ? NULL : is_text ? (void *)strdup(original) : (void *)webhooks->json->copy(original);
		if (original && !*at)
			err = PBX_ENOMEM;
	}
	if (err == PBX_OK)
		*ret_config = copy;
	else
		config_free(webhooks, &copy);
	return err;
}

static bool same_json(const struct webhooks *webhooks, const struct pbx_json *a, const struct pbx_json *b)
{
	char *text_a = a ? webhooks->json->print(a) : NULL, *text_b = b ? webhooks->json->print(b) : NULL;
	const bool same = text_a && text_b ? strcmp(text_a, text_b) == 0 : !a && !b;

	webhooks->json->free_text(text_a);
	webhooks->json->free_text(text_b);
	return same;
}

static bool same_member(const struct webhooks *webhooks, const struct column *column, const void *a, const void *b)
{
	switch (column->kind) {
	case TEXT:
		return !*(char *const *)a || !*(char *const *)b ? *(char *const *)a == *(char *const *)b
								: strcmp(*(char *const *)a, *(char *const *)b) == 0;
	case JSON:
	case SEALED_JSON:
		return same_json(webhooks, *(struct pbx_json *const *)a, *(struct pbx_json *const *)b);
	case FLAG:
		return *(const bool *)a == *(const bool *)b;
	case SMALL:
		return *(const uint32_t *)a == *(const uint32_t *)b;
	case BIG:
		break;
	}
	return *(const int64_t *)a == *(const int64_t *)b;
}

bool config_is_same(const struct webhooks *webhooks, const struct config *a, const struct config *b)
{
	for (size_t i = 0; i < COLUMNS; i++)
		if (columns[i].offset != offsetof(struct config, updated_us) &&
		    !same_member(webhooks, &columns[i], member(a, &columns[i]), member(b, &columns[i])))
			return false;
	return true;
}

/* ---- in the table --------------------------------------------------------------------- */

/* Owned; NULL: there is none, or no memory. */
static char *json_text(const struct webhooks *webhooks, const char *id, const struct pbx_json *json, enum kind kind)
{
	char *printed = json ? webhooks->json->print(json) : NULL;
	char *text = !printed ? NULL : kind == SEALED_JSON ? keys_seal(webhooks, id, printed) : strdup(printed);

	webhooks->json->free_text(printed);
	return text;
}

/* "INSERT … ON CONFLICT (id) DO UPDATE SET …", the columns in the table's order behind the id. */
static void write_upsert(char *sql, size_t size)
{
	size_t at = (size_t)snprintf(sql, size, "INSERT INTO webhooks_subscriptions (id");

	for (size_t i = 0; i < COLUMNS; i++)
		at += (size_t)snprintf(sql + at, size - at, ", %s", columns[i].name);
	at += (size_t)snprintf(sql + at, size - at, ") VALUES ($1");
	for (size_t i = 0; i < COLUMNS; i++)
		at += (size_t)snprintf(sql + at, size - at, ", $%zu", i + 2);
	at += (size_t)snprintf(sql + at, size - at, ") ON CONFLICT (id) DO UPDATE SET ");
	for (size_t i = 0; i < COLUMNS; i++)
		at += (size_t)snprintf(sql + at, size - at, "%s%s = $%zu", i ? ", " : "", columns[i].name, i + 2);
}

int config_store(struct webhooks *webhooks, const char *id, const struct config *config, pbx_rows_fn done, void *self)
{
	struct pbx_value params[COLUMNS + 1] = { pbx_v_text(id) };
	char *owned[COLUMNS] = { NULL }, sql[4096];

	for (size_t i = 0; i < COLUMNS; i++) {
		const void *at = member(config, &columns[i]);

		switch (columns[i].kind) {
		case TEXT:
			params[i + 1] = pbx_v_text(*(char *const *)at ? *(char *const *)at : "");
			break;
		case JSON:
		case SEALED_JSON:
			owned[i] = json_text(webhooks, id, *(struct pbx_json *const *)at, columns[i].kind);
			params[i + 1] = pbx_v_text(owned[i] ? owned[i] : "");
			break;
		case FLAG:
			params[i + 1] = PBX_V_INT(*(const bool *)at);
			break;
		case SMALL:
			params[i + 1] = PBX_V_INT(*(const uint32_t *)at);
			break;
		case BIG:
			params[i + 1] = PBX_V_INT(*(const int64_t *)at);
			break;
		}
	}
	write_upsert(sql, sizeof sql);
	int err = webhooks->store->run(webhooks->host, sql, params, COLUMNS + 1, done, self);
	for (size_t i = 0; i < COLUMNS; i++)
		free(owned[i]);
	return err;
}

const char *config_select(void)
{
	static char sql[1024];
	size_t at = (size_t)snprintf(sql, sizeof sql, "SELECT id");

	for (size_t i = 0; i < COLUMNS; i++)
		at += (size_t)snprintf(sql + at, sizeof sql - at, ", %s", columns[i].name);
	(void)snprintf(sql + at, sizeof sql - at, " FROM webhooks_subscriptions ORDER BY id");
	return sql;
}

/* Headers of before they were sealed begin with a brace. */
static int take_json(struct webhooks *webhooks, const char *id, const char *text, struct pbx_json **ret_json)
{
	char *opened = text[0] && text[0] != '{' && text[0] != '[' ? keys_open(webhooks, id, text) : NULL;
	const char *plain = opened ? opened : text;

	int err = PBX_OK;

	*ret_json = plain[0] ? webhooks->json->parse(plain, strlen(plain), NULL) : NULL;
	if (plain[0] && !*ret_json)
		err = PBX_EIO;
	webhooks->secrets->wipe(opened);
	return err;
}

int config_take_row(struct webhooks *webhooks, const char *id, const struct pbx_rows *rows, uint32_t row, struct config *ret_config)
{
	int result = PBX_OK;

	for (size_t i = 0; i < COLUMNS; i++) {
		const uint32_t column = (uint32_t)i + 1;
		void *at = member(ret_config, &columns[i]);
		int err = PBX_OK;

		switch (columns[i].kind) {
		case TEXT:
			err = config_set(at, pbx_cell_text(rows, row, column));
			break;
		case JSON:
		case SEALED_JSON:
			err = take_json(webhooks, id, pbx_cell_text(rows, row, column), at);
			break;
		case FLAG:
			*(bool *)at = pbx_cell_int(rows, row, column) != 0;
			break;
		case SMALL:
			*(uint32_t *)at = (uint32_t)pbx_cell_int(rows, row, column);
			break;
		case BIG:
			*(int64_t *)at = pbx_cell_int(rows, row, column);
			break;
		}
		if (err != PBX_OK)
			result = err;
	}
	return result;
}
