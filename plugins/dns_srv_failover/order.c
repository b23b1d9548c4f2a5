/*
 * order - who comes first among equals: chance by weight (RFC 2782), and plain chance
 */
#include "dns.h"

/* splitmix64: spreads calls, keeps no secrets. */
uint32_t dns_random(struct dns *dns, uint32_t most)
{
	uint64_t z = dns->chance += 0x9e3779b97f4a7c15u;

	z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
	z = (z ^ z >> 27) * 0x94d049bb133111ebu;
	return (uint32_t)((z ^ z >> 31) % ((uint64_t)most + 1));
}

static void move_to(const struct dns_record **records, uint32_t from, uint32_t to)
{
	const struct dns_record *moved = records[from];

	for (; from > to; from--)
		records[from] = records[from - 1];
	records[to] = moved;
}

/* Records of one priority. Those of weight 0 come first into the sum, so they have a small chance against others. */
static void order_by_weight(struct dns *dns, const struct dns_record **records, uint32_t count)
{
	for (uint32_t i = 1, zeros = 0; i <= count; i++)
		if (!records[i - 1]->weight)
			move_to(records, i - 1, zeros++);
	for (uint32_t done = 0; done + 1 < count; done++) {
		uint32_t sum = 0, chosen = done;

		for (uint32_t i = done; i < count; i++)
			sum += records[i]->weight;
		if (!sum) {
			dns_shuffle(dns, records + done, count - done);
			return;
		}
		uint32_t mark = dns_random(dns, sum);
		for (uint32_t reached = records[chosen]->weight; reached < mark; reached += records[chosen]->weight)
			chosen++;
		move_to(records, chosen, done);
	}
}

void dns_order_srv(struct dns *dns, const struct dns_record **records, uint32_t count)
{
	for (uint32_t i = 1; i < count; i++)
		for (uint32_t at = i; at && records[at - 1]->priority > records[at]->priority; at--)
			move_to(records, at, at - 1);
	for (uint32_t first = 0, end; first < count; first = end) {
		for (end = first + 1; end < count && records[end]->priority == records[first]->priority;)
			end++;
		order_by_weight(dns, records + first, end - first);
	}
}

void dns_shuffle(struct dns *dns, const struct dns_record **records, uint32_t count)
{
	for (uint32_t left = count; left > 1; left--)
		move_to(records, dns_random(dns, left - 1), 0);
}
