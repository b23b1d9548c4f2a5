/* core/services.c - tables of functions, between those who offer them and those who call them
 *
 * A consumer never holds a provider's own table. It holds a seat: a copy as long as the consumer's idea of the table, at an address that
 * stays for the consumer's whole life. When the provider is replaced or leaves, every seat is filled anew, so nobody has to be told; what the
 * provider lacks reads as NULL. */
#include "host_internal.h"
#include "log.h"
#include "loop.h"
#include <assert.h>
#include <stdalign.h>
#include <stdlib.h>
#include <string.h>

#define MOST_TABLE_BYTES 4096u

struct provider {
	struct provider *next;          /* newest last: the first one serves who asks for one */
	struct core_instance *instance; /* NULL: the daemon */
	const struct pbx_header *table;
	char id[];
};

struct seat {
	struct seat *next;
	struct pbx_host *consumer; /* NULL: the daemon */
	uint32_t size;
	char *id;
	alignas(max_align_t) unsigned char table[];
};

static struct provider *providers;
static struct seat *seats;
static uint64_t changes;

bool core_need_parse(const char *need, char *ret_id, size_t size, bool *ret_optional)
{
	size_t length = strlen(need);

	*ret_optional = length && need[length - 1] == '?';
	length -= *ret_optional;
	if (!length || length >= size)
		return false;
	memcpy(ret_id, need, length);
	ret_id[length] = '\0';
	return true;
}

bool core_card_offers(const struct pbx_plugin *card, const char *id)
{
	for (const char *const *offer = card->offers; offer && *offer; offer++)
		if (!strcmp(*offer, id))
			return true;
	return false;
}

static const struct provider *find_provider(const char *id)
{
	for (const struct provider *provider = providers; provider; provider = provider->next)
		if (!strcmp(provider->id, id))
			return provider;
	return NULL;
}

bool core_services_has(const char *id)
{
	return find_provider(id) != NULL;
}

/* ---- seats ---------------------------------------------------------------------------- */

static void fill(void *table, uint32_t size, const struct provider *provider)
{
	struct pbx_header *header = table;
	uint32_t overlap = !provider ? 0 : provider->table->size < size ? provider->table->size : size;

	memset(table, 0, size);
	if (provider)
		memcpy(table, provider->table, overlap);
	else
		*header = (struct pbx_header){ PBX_MAGIC, PBX_ABI_MAJOR, PBX_ABI_MINOR, 0, 0 };
	header->size = size;
}

static void refill(const char *id)
{
	const struct provider *provider = find_provider(id);

	for (struct seat *seat = seats; seat; seat = seat->next)
		if (!strcmp(seat->id, id))
			fill(seat->table, seat->size, provider);
}

static const void *take_seat(struct pbx_host *consumer, const char *id, uint32_t size)
{
	for (const struct seat *seat = seats; seat; seat = seat->next)
		if (seat->consumer == consumer && seat->size == size && !strcmp(seat->id, id))
			return seat->table;

	struct seat *seat = calloc(1, sizeof *seat + size);
	if (seat)
		seat->id = strdup(id);
	if (!seat || !seat->id) {
		free(seat);
		return NULL;
	}
	seat->consumer = consumer;
	seat->size = size;
	fill(seat->table, size, find_provider(id));
	seat->next = seats;
	seats = seat;
	return seat->table;
}

static bool is_needed(const struct pbx_plugin *card, const char *id)
{
	char name[96];
	bool optional;

	for (const char *const *need = card->needs; need && *need; need++)
		if (core_need_parse(*need, name, sizeof name, &optional) && !strcmp(name, id))
			return true;
	return false;
}

const void *core_services_for(struct pbx_host *host, const char *id, uint32_t size)
{
	core_assert_loop();
	if (size < sizeof(struct pbx_header) || size > MOST_TABLE_BYTES)
		return NULL;
	if (!is_needed(&core_instance_of(host)->card, id)) {
		struct core_instance *instance = core_instance_of(host);

		(void)snprintf(instance->unnamed, sizeof instance->unnamed, "%s", id);
		core_log(PBX_LOG_ERROR, instance->owner.name, NULL, "service_not_named", "id=%s cure=\"name it in .needs\"", id);
		return NULL;
	}
	return take_seat(host, id, size);
}

void core_services_leave(struct core_instance *instance)
{
	for (struct seat **at = &seats, *seat; (seat = *at) != NULL;) {
		if (seat->consumer != &instance->owner.host) {
			at = &seat->next;
			continue;
		}
		*at = seat->next;
		free(seat->id);
		free(seat);
	}
}

const void *core_host_service(const char *id, uint32_t size)
{
	static const alignas(max_align_t) unsigned char nothing[MOST_TABLE_BYTES]; /* without memory, nobody offers it */

	assert(size >= sizeof(struct pbx_header) && size <= MOST_TABLE_BYTES);
	const void *table = take_seat(NULL, id, size);

	return table ? table : nothing;
}

struct each_table {
	void (*each)(void *context, const void *table);
	void *context;
};

static void each_table(void *context, struct pbx_host *owner, const void *table)
{
	const struct each_table *wanted = context;

	(void)owner;
	wanted->each(wanted->context, table);
}

void core_host_each_service(const char *id, uint32_t size, void (*each)(void *context, const void *table), void *context)
{
	core_host_each_provider(id, size, each_table, &(struct each_table){ each, context });
}

void core_host_each_provider(const char *id, uint32_t size, void (*each)(void *context, struct pbx_host *owner, const void *table),
			     void *context)
{
	alignas(max_align_t) unsigned char table[MOST_TABLE_BYTES];

	assert(size >= sizeof(struct pbx_header) && size <= sizeof table);
	for (const struct provider *provider = providers, *next; provider; provider = next) {
		next = provider->next;
		if (strcmp(provider->id, id) != 0)
			continue;
		fill(table, size, provider);
		each(context, provider->instance ? &provider->instance->owner.host : NULL, table);
	}
}

uint64_t core_host_offers(void)
{
	return changes;
}

/* ---- providers ------------------------------------------------------------------------ */

static int add_provider(struct core_instance *instance, const char *id, const struct pbx_header *table)
{
	size_t size = strlen(id) + 1;
	struct provider *provider = calloc(1, sizeof *provider + size), **end = &providers;

	if (!provider)
		return PBX_ENOMEM;
	provider->instance = instance;
	provider->table = table;
	memcpy(provider->id, id, size);
	changes++;
	while (*end)
		end = &(*end)->next;
	*end = provider;
	refill(id);
	return PBX_OK;
}

int core_host_offer(const char *id, const void *table)
{
	return find_provider(id) ? PBX_EEXIST : add_provider(NULL, id, table);
}

int core_services_offer(struct core_instance *instance, struct core_refusal *refusal)
{
	const struct pbx_plugin *card = &instance->card;

	for (const char *const *id = card->offers; id && *id; id++) {
		const struct pbx_header *table = NULL;

		if (card->offer)
			CORE_INTO(&instance->owner.host, table = card->offer(instance->self, *id));
		if (!table || table->magic != PBX_MAGIC || table->abi_major != PBX_ABI_MAJOR || table->size < sizeof *table) {
			core_refuse(refusal, PBX_EINVAL, "correct its offer() and build it again", "it offers %s but has no table for it",
				    *id);
			return PBX_EINVAL;
		}
		if (add_provider(instance, *id, table) != PBX_OK) {
			core_refuse(refusal, PBX_ENOMEM, "free some memory", "out of memory");
			return PBX_ENOMEM;
		}
	}
	return PBX_OK;
}

static void provider_free(struct provider **at)
{
	struct provider *provider = *at;

	*at = provider->next;
	changes++;
	refill(provider->id);
	free(provider);
}

void core_services_withdraw(struct core_instance *instance)
{
	for (struct provider **at = &providers; *at;) {
		if ((*at)->instance == instance)
			provider_free(at);
		else
			at = &(*at)->next;
	}
}

/* ---- needs ---------------------------------------------------------------------------- */

static bool is_running(const char *name)
{
	const struct core_plugin *plugin = core_plugin_find(name);

	return plugin && plugin->current && plugin->current->state == CORE_PLUGIN_RUNNING;
}

const char *core_need_missing(const struct pbx_plugin *card)
{
	char id[96];
	bool optional;

	for (const char *const *need = card->needs; need && *need; need++) {
		if (!core_need_parse(*need, id, sizeof id, &optional))
			return *need;
		if (!optional && !(strchr(id, '/') ? core_services_has(id) : is_running(id)))
			return *need;
	}
	return NULL;
}

void core_services_fini(void)
{
	while (providers)
		provider_free(&providers);
	while (seats) {
		struct seat *seat = seats;

		seats = seat->next;
		free(seat->id);
		free(seat);
	}
}
