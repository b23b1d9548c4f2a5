/*
 * lists - who is let in, and who is kept out
 *
 * Networks that an administrator has named, and bans with their end. They live in a table, so that a restart forgives nobody, and in two
 * tries, one for each family, of one bit a level: a packet's address walks down at most 32 or 128 nodes.
 */
#include "sbc.h"
#include <assert.h>
#include <stdlib.h>
#include <string.h>

static const char *const list_names[LISTS] = { "allow", "deny" };

/* ---- the trie ------------------------------------------------------------------------- */

static bool bit_of(const uint8_t bytes[16], uint32_t bit)
{
	return bytes[bit / 8] >> (7 - bit % 8) & 1;
}

/* Where a network begins to count: of IPv4 the first 96 bits are the same. */
static uint32_t first_bit(const struct network *network)
{
	return network->bits >= 96 && network_is_ipv4(network->bytes) ? 96 : 0;
}

static struct node **root_of(struct lists *lists, const struct network *network)
{
	return first_bit(network) ? &lists->ipv4 : &lists->ipv6;
}

/* NULL: no memory. What was made on the way stays, empty, and is used by the next. */
static struct node *node_make(struct lists *lists, const struct network *network)
{
	struct node **at = root_of(lists, network);

	for (uint32_t bit = first_bit(network);; bit++) {
		if (!*at)
			*at = calloc(1, sizeof **at);
		if (!*at || bit == network->bits)
			return *at;
		at = &(*at)->child[bit_of(network->bytes, bit)];
	}
}

/* Takes the entry out, and the nodes that led to nothing else. */
static void node_clear(struct node **at, const struct entry *entry, uint32_t bit)
{
	struct node *node = *at;

	if (bit == entry->network.bits)
		node->entry[entry->list] = NULL;
	else
		node_clear(&node->child[bit_of(entry->network.bytes, bit)], entry, bit + 1);
	if (node->child[0] || node->child[1] || node->entry[LIST_ALLOW] || node->entry[LIST_DENY])
		return;
	free(node);
	*at = NULL;
}

static void node_free(struct node *node)
{
	if (!node)
		return;
	node_free(node->child[0]);
	node_free(node->child[1]);
	free(node);
}

const struct entry *lists_find(const struct sbc *sbc, const uint8_t address[16])
{
	const struct entry *found[LISTS] = { NULL, NULL };
	bool is_ipv4 = network_is_ipv4(address);
	const struct node *node = is_ipv4 ? sbc->lists.ipv4 : sbc->lists.ipv6;

	for (uint32_t bit = is_ipv4 ? 96 : 0; node; bit++) {
		for (uint32_t list = 0; list < LISTS; list++)
			if (node->entry[list])
				found[list] = node->entry[list];
		node = bit < 128 ? node->child[bit_of(address, bit)] : NULL;
	}
	return found[LIST_ALLOW] ? found[LIST_ALLOW] : found[LIST_DENY];
}

static struct entry *entry_at(const struct lists *lists, const struct network *network, uint32_t list)
{
	const struct node *node = first_bit(network) ? lists->ipv4 : lists->ipv6;

	for (uint32_t bit = first_bit(network); node && bit < network->bits; bit++)
		node = node->child[bit_of(network->bytes, bit)];
	return node ? node->entry[list] : NULL;
}

const struct entry *lists_at(const struct sbc *sbc, const struct network *network, uint32_t list)
{
	return entry_at(&sbc->lists, network, list);
}

/* ---- entries -------------------------------------------------------------------------- */

static void entry_drop(struct lists *lists, struct entry *entry)
{
	node_clear(root_of(lists, &entry->network), entry, first_bit(&entry->network));
	*entry->at = entry->next;
	if (entry->next)
		entry->next->at = entry->at;
	lists->count[entry->list]--;
	free(entry);
}

static int entry_place(struct lists *lists, const struct entry *wanted)
{
	struct node *node = node_make(lists, &wanted->network);
	struct entry *entry = node ? malloc(sizeof *entry) : NULL;

	if (!entry)
		return PBX_ENOMEM;
	assert(!node->entry[wanted->list]);
	*entry = *wanted;
	node->entry[entry->list] = entry;
	entry->next = lists->entries;
	entry->at = &lists->entries;
	if (entry->next)
		entry->next->at = &entry->next;
	lists->entries = entry;
	lists->count[entry->list]++;
	return PBX_OK;
}

void lists_free(struct lists *lists)
{
	while (lists->entries)
		entry_drop(lists, lists->entries);
	node_free(lists->ipv4); /* what a failed entry has left */
	node_free(lists->ipv6);
	lists->ipv4 = lists->ipv6 = NULL;
}

/* ---- the store ------------------------------------------------------------------------ */

static void keep(struct sbc *sbc, const struct entry *entry)
{
	char cidr[NETWORK_TEXT];

	network_print(&entry->network, cidr);
	const struct pbx_value params[] = { pbx_v_text(cidr),
					    pbx_v_text(list_names[entry->list]),
					    pbx_v_text(entry->reason),
					    pbx_v_text(entry->note),
					    PBX_V_INT(entry->expires_us),
					    PBX_V_INT(entry->created_us),
					    pbx_v_text(entry->created_by) };

	/* Without memory it holds until the next restart. */
	(void)sbc->store->record(
		sbc->host,
		"INSERT INTO session_border_controller_acl (cidr, action, reason, note, expires_us, created_us, created_by)"
		" VALUES ($1, $2, $3, $4, $5, $6, $7) ON CONFLICT (cidr, action) DO UPDATE SET reason = $3, note = $4,"
		" expires_us = $5, created_us = $6, created_by = $7",
		params, sizeof params / sizeof params[0], NULL, NULL);
}

static void forget(struct sbc *sbc, const struct entry *entry)
{
	char cidr[NETWORK_TEXT];

	network_print(&entry->network, cidr);
	const struct pbx_value params[] = { pbx_v_text(cidr), pbx_v_text(list_names[entry->list]) };

	/* Without memory it is there again after a restart, until it expires. */
	(void)sbc->store->record(sbc->host, "DELETE FROM session_border_controller_acl WHERE cidr = $1 AND action = $2", params, 2, NULL,
				 NULL);
}

static int place_row(struct sbc *sbc, const struct pbx_rows *rows, uint32_t row)
{
	struct entry entry = { .list = strcmp(pbx_cell_text(rows, row, 1), list_names[LIST_ALLOW]) == 0 ? LIST_ALLOW : LIST_DENY };

	if (!network_parse(pbx_cell_text(rows, row, 0), &entry.network) || lists_at(sbc, &entry.network, entry.list))
		return PBX_OK; /* not written by us */
	(void)snprintf(entry.reason, sizeof entry.reason, "%s", pbx_cell_text(rows, row, 2));
	(void)snprintf(entry.note, sizeof entry.note, "%s", pbx_cell_text(rows, row, 3));
	entry.expires_us = pbx_cell_int(rows, row, 4);
	entry.created_us = pbx_cell_int(rows, row, 5);
	(void)snprintf(entry.created_by, sizeof entry.created_by, "%s", pbx_cell_text(rows, row, 6));
	return entry_place(&sbc->lists, &entry);
}

static void on_rows(void *self, const struct pbx_rows *rows)
{
	struct sbc *sbc = self;
	int err = rows->status;

	for (uint32_t row = 0; err == PBX_OK && row < rows->count; row++)
		err = place_row(sbc, rows, row);
	sbc->host->ready(sbc->host, err, err == PBX_ENOMEM ? "there is no memory for the lists" : rows->error);
}

int lists_load(struct sbc *sbc)
{
	const struct pbx_value params[] = { PBX_V_INT(sbc->host->wall_us(sbc->host)), PBX_V_INT(MOST_ENTRIES) };
	int err = sbc->store->run(sbc->host,
				  "SELECT cidr, action, reason, note, expires_us, created_us, created_by FROM session_border_controller_acl"
				  " WHERE expires_us = 0 OR expires_us > $1 ORDER BY expires_us LIMIT $2",
				  params, 2, on_rows, sbc);

	return err == PBX_OK ? PBX_ELATER : err;
}

/* ---- changes -------------------------------------------------------------------------- */

int lists_add(struct sbc *sbc, const struct entry *wanted)
{
	struct entry *there = entry_at(&sbc->lists, &wanted->network, wanted->list);

	if (there) {
		if (there->expires_us && (!wanted->expires_us || wanted->expires_us > there->expires_us)) {
			there->expires_us = wanted->expires_us;
			keep(sbc, there);
			kernel_ban(sbc, there);
		}
		return PBX_EEXIST;
	}
	if (sbc->lists.count[LIST_ALLOW] + sbc->lists.count[LIST_DENY] >= MOST_ENTRIES)
		return PBX_ENOSPC;
	int err = entry_place(&sbc->lists, wanted);
	if (err != PBX_OK)
		return err;
	keep(sbc, wanted);
	if (wanted->list == LIST_ALLOW) {
		kernel_tell_all(sbc);
		return PBX_OK;
	}
	kernel_ban(sbc, wanted);
	sbc_review(sbc, &wanted->network);
	return PBX_OK;
}

int lists_remove(struct sbc *sbc, const struct network *network, uint32_t list)
{
	struct entry *entry = entry_at(&sbc->lists, network, list);

	if (!entry)
		return PBX_ENOENT;
	forget(sbc, entry);
	kernel_forgive(sbc, entry);
	entry_drop(&sbc->lists, entry);
	if (list == LIST_ALLOW)
		kernel_tell_all(sbc); /* who was let in may be kept out, too */
	return PBX_OK;
}

void lists_sweep(struct sbc *sbc)
{
	int64_t now_us = sbc->host->wall_us(sbc->host);
	bool lets_in_less = false;

	for (struct entry *entry = sbc->lists.entries, *next; entry; entry = next) {
		next = entry->next;
		if (entry->expires_us && entry->expires_us <= now_us) {
			lets_in_less |= entry->list == LIST_ALLOW;
			forget(sbc, entry);
			entry_drop(&sbc->lists, entry);
		}
	}
	if (lets_in_less) /* bans end in the kernel by themselves */
		kernel_tell_all(sbc);
}
