/*
 * location_service.c - what everybody may ask about where devices are: pbx.location/1
 */
#include "contact.h"
#include "location_inner.h"
#include <string.h>

struct showing {
	void (*each)(void *context, const struct pbx_contact *contact);
	void *context;
};

static void show(void *context, const struct ua_binding *binding)
{
	const struct showing *showing = context;
	char provider[64] = "", id[256] = "", param[256] = "";

	if (strstr(binding->uri, ";pn-")) {
		(void)ua_uri_param(binding->uri, "pn-provider", provider, sizeof provider); /* "" when it is not there */
		(void)ua_uri_param(binding->uri, "pn-prid", id, sizeof id);
		(void)ua_uri_param(binding->uri, "pn-param", param, sizeof param);
	}
	const struct pbx_contact contact = {
		.size = sizeof contact,
		.id = binding->id,
		.aor = ua_location_aor(binding),
		.uri = binding->uri,
		.received = binding->received,
		.transport = binding->transport,
		.user_agent = binding->user_agent,
		.instance = binding->instance,
		.path = binding->path,
		.reg_id = binding->reg_id,
		.q_milli = binding->q_milli,
		.registered_wall_us = binding->registered_wall_us,
		.expires_wall_us = binding->expires_wall_us,
		.round_trip_us = binding->round_trip_us,
		.unanswered = binding->unanswered,
		.node = binding->node ? binding->node : "",
		.push_provider = provider,
		.push_id = id,
		.push_param = param,
		.listener = binding->listener,
	};

	showing->each(showing->context, &contact);
}

static uint32_t location_each(const char *name, void (*each)(void *context, const struct pbx_contact *contact), void *context)
{
	struct showing showing = { each, context };

	return ua_location_all(name, show, &showing);
}

static bool location_is_registered(const char *name)
{
	return ua_location_find(name) != NULL;
}

static int location_remove(struct pbx_host *host, const char *id)
{
	struct ua_binding *binding = ua_location_by_id(id);

	(void)host;
	if (!binding)
		return PBX_ENOENT;
	ua_location_drop(binding, "removed");
	return PBX_OK;
}

static int location_remove_all(struct pbx_host *host, const char *name)
{
	(void)host;
	if (!ua_location_find(name))
		return PBX_ENOENT;
	for (struct ua_binding *binding = ua_location_find(name); binding; binding = ua_location_find(name))
		ua_location_drop(binding, "removed");
	return PBX_OK;
}

static int location_flow_failed(const char *id)
{
	struct ua_binding *binding = ua_location_by_id(id);

	if (!binding)
		return PBX_ENOENT;
	ua_location_drop(binding, "flow_failed");
	return PBX_OK;
}

static uint32_t location_count(void)
{
	return ua_location_count();
}

const struct pbx_location ua_location_service = {
	.header = PBX_HEADER(struct pbx_location),
	.each = location_each,
	.is_registered = location_is_registered,
	.remove = location_remove,
	.remove_all = location_remove_all,
	.count = location_count,
	.flow_failed = location_flow_failed,
};
