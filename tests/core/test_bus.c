/* tests/core/test_bus.c - what is published is heard, in order, and written down without a gap */
#include <stdlib.h>
#include <string.h>
#include "bus.h"
#include "json.h"
#include "loop.h"
#include "owner.h"
#include "owner_internal.h"
#include "schema.h"
#include "store.h"
#include "store_fixture.h"

static const struct pbx_field parked_fields[] = { { "slot", PBX_TYPE_INT, "Where" } };
static const struct pbx_event_type types[] = {
	{ "call.started", "A call begins", { 0 } },
	{ "call.parked", "A call waits", PBX_TABLE(parked_fields) },
	{ "leg.started", "A leg begins", { 0 } },
};

static char heard[65536];
static struct core_owner plugin;

static void on_done(void *context, int result)
{
	ck_assert_int_eq(result, PBX_OK);
	*(bool *)context = true;
}

static void on_migrated(void *context, int result, const struct pbx_diag *diag)
{
	ck_assert_msg(result == PBX_OK, "%s", diag->text);
	*(bool *)context = true;
}

static void declare(void)
{
	const struct pbx_table table = PBX_TABLE(types);

	core_owner_init(&plugin, "parking", NULL);
	ck_assert_int_eq(core_bus_init(), PBX_OK);
	ck_assert_int_eq(core_bus_declare(&plugin.host, &table), PBX_OK);
}

static void attach(void)
{
	bool migrated = false, attached = false;

	core_store_migrate("core", &CORE_SCHEMA_TABLE, on_migrated, &migrated);
	wait_for(&migrated);
	core_bus_attach_store(on_done, &attached);
	wait_for(&attached);
}

static void start(int engine)
{
	heard[0] = '\0';
	store_fixture_start(engine);
	declare();
	attach();
}

static void end_bus(void)
{
	core_store_fini(5000);
	core_owner_fini(&plugin);
	core_bus_fini();
}

static void stop(void)
{
	end_bus();
	store_fixture_stop();
}

static void hear(void *self, const struct pbx_event *event)
{
	size_t length = strlen(heard);

	(void)snprintf(heard + length, sizeof heard - length, "%s%lld:%s ", self ? (const char *)self : "", (long long)event->seq, event->type);
}

static pbx_subscription subscribe(const char *pattern, const char *who)
{
	pbx_subscription subscription;

	ck_assert_int_eq(core_bus_service.subscribe(&plugin.host, pattern, hear, (void *)(uintptr_t)who, &subscription), PBX_OK);
	return subscription;
}

static void publish(const char *type)
{
	ck_assert_int_eq(core_bus_publish(&plugin.host, type, "CALL", "LINK", NULL), PBX_OK);
}

START_TEST(hears_what_matches_in_order_after_the_current_callback)
{
	start(_i);
	(void)subscribe("call.*", "a");
	(void)subscribe("leg.started,call.parked", "b");
	publish("call.started");
	publish("call.parked");
	publish("leg.started");
	ck_assert_str_eq(heard, "");
	core_loop_settle();
	ck_assert_str_eq(heard, "a1:call.started a2:call.parked b2:call.parked b3:leg.started ");
	stop();
}
END_TEST

START_TEST(writes_every_event_down_with_its_data)
{
	struct pbx_json *data = core_json_object();

	start(_i);
	ck_assert_int_eq(core_json_set_integer(data, "slot", 701), PBX_OK);
	ck_assert_int_eq(core_bus_publish(&plugin.host, "call.parked", "CALL", "LINK", data), PBX_OK);
	publish("call.started");
	core_loop_settle();
	ck_assert_str_eq(ask("SELECT seq, type, owner, call_id, linked_id, data FROM event_log ORDER BY seq"),
			 "1|call.parked|parking|CALL|LINK|{\"slot\":701};2|call.started|parking|CALL|LINK|{}");
	stop();
}
END_TEST

STORE_MAIN("bus", hears_what_matches_in_order_after_the_current_callback, writes_every_event_down_with_its_data)
