/* flows.c - SIP over WebSocket: who is behind a connection that comes from this very machine */
#include "flows.h"
#include <pbx/abi.h>
#include <pthread.h>
#include <string.h>

static struct {
	pthread_mutex_t lock;
	uint16_t door;
	uint32_t count;
	struct core_flow list[CORE_MOST_FLOWS];
} flows = { .lock = PTHREAD_MUTEX_INITIALIZER };

void core_flows_set_door(uint16_t port)
{
	(void)pthread_mutex_lock(&flows.lock);
	flows.door = port;
	(void)pthread_mutex_unlock(&flows.lock);
}

uint16_t core_flows_door(void)
{
	(void)pthread_mutex_lock(&flows.lock);
	uint16_t port = flows.door;
	(void)pthread_mutex_unlock(&flows.lock);
	return port;
}

int core_flow_add(const struct core_flow *flow)
{
	(void)pthread_mutex_lock(&flows.lock);
	bool fits = flows.count < CORE_MOST_FLOWS;
	if (fits)
		flows.list[flows.count++] = *flow;
	(void)pthread_mutex_unlock(&flows.lock);
	return fits ? PBX_OK : PBX_ENOSPC;
}

void core_flow_remove(uint16_t port)
{
	(void)pthread_mutex_lock(&flows.lock);
	for (uint32_t i = 0; i < flows.count; i++)
		if (flows.list[i].port == port) {
			flows.list[i] = flows.list[--flows.count];
			break;
		}
	(void)pthread_mutex_unlock(&flows.lock);
}

bool core_flow_find(uint16_t port, struct core_flow *ret_flow)
{
	bool found = false;

	(void)pthread_mutex_lock(&flows.lock);
	for (uint32_t i = 0; i < flows.count && !found; i++)
		if (flows.list[i].port == port) {
			*ret_flow = flows.list[i];
			found = true;
		}
	(void)pthread_mutex_unlock(&flows.lock);
	return found;
}

static bool same_end(const struct core_addr *a, const struct core_addr *b)
{
	if (a->sa.sa_family != b->sa.sa_family)
		return false;
	if (a->sa.sa_family == AF_INET6)
		return a->in6.sin6_port == b->in6.sin6_port && memcmp(&a->in6.sin6_addr, &b->in6.sin6_addr, 16) == 0;
	return a->in4.sin_port == b->in4.sin_port && a->in4.sin_addr.s_addr == b->in4.sin_addr.s_addr;
}

uint16_t core_flow_to(const struct core_addr *client)
{
	uint16_t port = 0;

	(void)pthread_mutex_lock(&flows.lock);
	for (uint32_t i = 0; i < flows.count && port == 0; i++)
		if (same_end(&flows.list[i].client, client))
			port = flows.list[i].port;
	(void)pthread_mutex_unlock(&flows.lock);
	return port;
}
