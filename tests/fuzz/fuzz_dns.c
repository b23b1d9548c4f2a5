/* tests/fuzz/fuzz_dns.c - an answer of anything to a question for each type; what is read must be what a host can have. The same bytes as a rule of
 * ENUM: what it makes of a number must be a plain SIP address */
#include "answer.h"
#include "enum_rule.h"
#include <assert.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(const struct dns_record *record, uint16_t type)
{
	char name[DNS_NAME];

	assert(memchr(record->name, 0, sizeof record->name) && memchr(record->service, 0, sizeof record->service));
	assert(type == DNS_A || type == DNS_AAAA || !record->name[0] || dns_name_check(record->name, name));
}

static void apply(const char *rule)
{
	char uri[ENUM_URI];

	if (enum_rule_apply(rule, "+4930123456789", uri))
		assert(memchr(uri, 0, sizeof uri) && enum_uri_check(uri) && !strpbrk(uri, " <>\r\n\"?"));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char rule[DNS_NAPTR_REGEXP] = "";

	static const uint16_t types[] = { DNS_A, DNS_AAAA, DNS_SRV, DNS_NAPTR };
	struct dns_answer answer;

	for (size_t i = 0; i < sizeof types / sizeof types[0]; i++) {
		dns_answer_read(data, size, "a.example.net", types[i], &answer);
		assert(answer.count <= DNS_MOST_RECORDS && answer.outcome <= DNS_BROKEN);
		assert((answer.outcome == DNS_FOUND) == (answer.count > 0));
		for (uint32_t record = 0; record < answer.count; record++)
			check(&answer.records[record], types[i]);
		for (uint32_t record = 0; types[i] == DNS_NAPTR && record < answer.count; record++)
			apply(answer.records[record].regexp);
	}
	memcpy(rule, data, size < sizeof rule ? size : sizeof rule - 1);
	apply(rule);
	return 0;
}
