/* core/gate.c - who may connect */
#include "gate.h"
#include <stddef.h>

static struct {
	bool (*lets_in)(const struct core_addr *from, const char *transport);
	void (*review)(void);
} gate;

void core_gate_set_guard(bool (*lets_in)(const struct core_addr *from, const char *transport))
{
	gate.lets_in = lets_in;
}

bool core_gate_lets_in(const struct core_addr *from, const char *transport)
{
	return !gate.lets_in || gate.lets_in(from, transport);
}

void core_gate_set_door(void (*review)(void))
{
	gate.review = review;
}

void core_gate_review(void)
{
	if (gate.review)
		gate.review();
}
