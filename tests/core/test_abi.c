/*
 * test_abi - what a shared object built long ago relies on
 *
 * The layouts here are promises (core/include/pbx/abi.h): members may be added behind those that are listed, never moved, widened or
 * given another meaning. Most of it is said to the compiler, so that a broken promise does not build. When a line stands in the way of
 * a change, the change wants a new name, not a new number here.
 */
#include "../check_main.h"
#include <pbx/bus.h>
#include <pbx/calls.h>
#include <pbx/directory.h>
#include <pbx/fetch.h>
#include <pbx/io.h>
#include <pbx/json.h>
#include <pbx/location.h>
#include <pbx/media.h>
#include <pbx/metrics.h>
#include <pbx/music.h>
#include <pbx/mwi.h>
#include <pbx/parking.h>
#include <pbx/plugin.h>
#include <pbx/prompts.h>
#include <pbx/requests.h>
#include <pbx/route.h>
#include <pbx/secrets.h>
#include <pbx/store.h>
#include <pbx/timers.h>
#include <string.h>

#define AT(type, member, where) _Static_assert(offsetof(struct type, member) == (where), #type "." #member " has moved")
#define AT_LEAST(type, bytes) _Static_assert(sizeof(struct type) >= (bytes), #type " has lost members")
#define EXACTLY(type, bytes) _Static_assert(sizeof(struct type) == (bytes), #type " crosses the line by value: it cannot grow")
#define BEGINS_WITH_SIZE(type)                                                                                                             \
	AT(type, size, 0);                                                                                                                 \
	_Static_assert(sizeof(((struct type *)0)->size) == 4, #type ".size is read before anything else")
#define IS_SERVICE(type) AT(type, header, 0)

/* The header, for ever. */
EXACTLY(pbx_header, 16);
AT(pbx_header, magic, 0);
AT(pbx_header, abi_major, 4);
AT(pbx_header, abi_minor, 6);
AT(pbx_header, size, 8);
AT(pbx_header, flags, 12);

/* Handles are values in registers. */
EXACTLY(pbx_call, 8);
EXACTLY(pbx_leg, 8);
EXACTLY(pbx_bridge, 8);
EXACTLY(pbx_dial, 8);
EXACTLY(pbx_source, 8);
EXACTLY(pbx_timer, 8);
EXACTLY(pbx_query, 8);
EXACTLY(pbx_request, 8);
EXACTLY(pbx_route_query, 8);
EXACTLY(pbx_subscription, 8);
EXACTLY(pbx_transfer, 8);

/* The caller lends it, the callee fills it: both must agree how much there is. */
EXACTLY(pbx_diag, 512);
AT(pbx_diag, field, 0);
AT(pbx_diag, text, 96);

/* These say how long they are before anything else. */
BEGINS_WITH_SIZE(pbx_leg_info);
BEGINS_WITH_SIZE(pbx_controller);
BEGINS_WITH_SIZE(pbx_dial_plan);
BEGINS_WITH_SIZE(pbx_dial_result);
BEGINS_WITH_SIZE(pbx_dialler);
BEGINS_WITH_SIZE(pbx_route_request);
BEGINS_WITH_SIZE(pbx_route_answer);
BEGINS_WITH_SIZE(pbx_route_step);
BEGINS_WITH_SIZE(pbx_claim);
BEGINS_WITH_SIZE(pbx_event);
BEGINS_WITH_SIZE(pbx_rows);
BEGINS_WITH_SIZE(pbx_fetch_spec);
BEGINS_WITH_SIZE(pbx_fetch_result);
BEGINS_WITH_SIZE(pbx_contact);
BEGINS_WITH_SIZE(pbx_account);
BEGINS_WITH_SIZE(pbx_source_spec);
BEGINS_WITH_SIZE(pbx_file_info);
BEGINS_WITH_SIZE(pbx_mailbox);

IS_SERVICE(pbx_host);
IS_SERVICE(pbx_plugin);
IS_SERVICE(pbx_bus);
IS_SERVICE(pbx_calls);
IS_SERVICE(pbx_directory);
IS_SERVICE(pbx_fetch);
IS_SERVICE(pbx_io);
IS_SERVICE(pbx_jsons);
IS_SERVICE(pbx_location);
IS_SERVICE(pbx_media);
IS_SERVICE(pbx_metrics);
IS_SERVICE(pbx_music);
IS_SERVICE(pbx_mwi);
IS_SERVICE(pbx_parking);
IS_SERVICE(pbx_requests);
IS_SERVICE(pbx_routing);
IS_SERVICE(pbx_secrets);
IS_SERVICE(pbx_store);
IS_SERVICE(pbx_timers);

#if UINTPTR_MAX == UINT64_MAX
EXACTLY(pbx_table, 16);
AT(pbx_table, rows, 0);
AT(pbx_table, count, 8);
AT(pbx_table, row_size, 12);
EXACTLY(pbx_list, 16);
AT(pbx_list, items, 0);
AT(pbx_list, count, 8);
EXACTLY(pbx_objects, 16);
AT(pbx_objects, rows, 0);
AT(pbx_objects, count, 8);
AT(pbx_objects, row_size, 12);
AT(pbx_dial_target, text, 0);
AT(pbx_dial_target, delay_ms, 8);
AT(pbx_dial_target, ring_ms, 12);
AT_LEAST(pbx_dial_target, 16);
EXACTLY(pbx_value, 16); /* in arrays without a row size */
AT(pbx_value, type, 0);
AT(pbx_value, length, 4);
AT(pbx_value, as, 8);
EXACTLY(pbx_say, 24); /* and these */
EXACTLY(pbx_statement, 24);

/* The descriptor, as plugins carry it in their read-only data. */
AT(pbx_plugin, build, 16);
AT(pbx_plugin, name, 24);
AT(pbx_plugin, version, 32);
AT(pbx_plugin, summary, 40);
AT(pbx_plugin, needs, 48);
AT(pbx_plugin, offers, 56);
AT(pbx_plugin, instance_size, 64);
AT(pbx_plugin, settings_size, 68);
AT(pbx_plugin, settings, 72);
AT(pbx_plugin, migrations, 88);
AT(pbx_plugin, routes, 104);
AT(pbx_plugin, commands, 120);
AT(pbx_plugin, metrics, 136);
AT(pbx_plugin, events, 152);
AT(pbx_plugin, check, 168);
AT(pbx_plugin, load, 176);
AT(pbx_plugin, start, 184);
AT(pbx_plugin, reload, 192);
AT(pbx_plugin, drain, 200);
AT(pbx_plugin, stop, 208);
AT(pbx_plugin, unload, 216);
AT(pbx_plugin, offer, 224);
AT(pbx_plugin, settings_check, 232);
AT_LEAST(pbx_plugin, 240);

/* Rows of its tables: they grow at the end, since a table says how long they are. */
AT(pbx_setting, name, 0);
AT(pbx_setting, type, 8);
AT(pbx_setting, offset, 12);
AT(pbx_setting, width, 16);
AT(pbx_setting, flags, 20);
AT(pbx_setting, initial, 24);
AT(pbx_setting, least, 32);
AT(pbx_setting, most, 40);
AT(pbx_setting, initial_number, 48);
AT(pbx_setting, least_number, 56);
AT(pbx_setting, most_number, 64);
AT(pbx_setting, initial_text, 72);
AT(pbx_setting, choices, 80);
AT(pbx_setting, unit, 88);
AT(pbx_setting, help, 96);
AT(pbx_setting, fields, 104);
AT(pbx_setting, object_size, 120);
AT_LEAST(pbx_setting, 128);
AT(pbx_migration, number, 0);
AT(pbx_migration, name, 8);
AT(pbx_migration, sql, 16);
AT_LEAST(pbx_migration, 24);
AT(pbx_arg, name, 0);
AT(pbx_arg, type, 8);
AT(pbx_arg, flags, 12);
AT(pbx_arg, help, 16);
AT(pbx_arg, choices, 24);
AT(pbx_arg, least, 32);
AT(pbx_arg, most, 40);
AT(pbx_arg, completes, 48);
AT_LEAST(pbx_arg, 56);
AT(pbx_field, name, 0);
AT(pbx_field, type, 8);
AT(pbx_field, help, 16);
AT_LEAST(pbx_field, 24);
AT(pbx_route, method, 0);
AT(pbx_route, path, 8);
AT(pbx_route, handle, 16);
AT(pbx_route, scope, 24);
AT(pbx_route, summary, 32);
AT(pbx_route, flags, 40);
AT(pbx_route, args, 48);
AT(pbx_route, reply, 64);
AT_LEAST(pbx_route, 80);
AT(pbx_command, words, 0);
AT(pbx_command, handle, 8);
AT(pbx_command, help, 16);
AT(pbx_command, args, 24);
AT(pbx_command, columns, 40);
AT(pbx_command, flags, 48);
AT_LEAST(pbx_command, 56);
AT(pbx_metric, name, 0);
AT(pbx_metric, kind, 8);
AT(pbx_metric, help, 16);
AT(pbx_metric, labels, 24);
AT(pbx_metric, buckets, 32);
AT_LEAST(pbx_metric, 40);
AT(pbx_event_type, name, 0);
AT(pbx_event_type, help, 8);
AT(pbx_event_type, fields, 16);
AT_LEAST(pbx_event_type, 32);

/* The host, as far as it goes today. */
AT(pbx_host, service, 16);
AT(pbx_host, log, 24);
AT(pbx_host, post, 32);
AT(pbx_host, work, 40);
AT(pbx_host, hold, 48);
AT(pbx_host, release, 56);
AT(pbx_host, now_ms, 64);
AT(pbx_host, wall_us, 72);
AT(pbx_host, ready, 80);
AT(pbx_host, name, 88);
AT(pbx_host, data_dir, 96);
AT(pbx_host, ulid, 104);
AT_LEAST(pbx_host, 112);
#endif

/* Results and types travel as numbers. */
_Static_assert(PBX_OK == 0 && PBX_EINVAL == -1 && PBX_ENOMEM == -2 && PBX_ENOENT == -3 && PBX_EEXIST == -4 && PBX_ENOSPC == -5 &&
		       PBX_EBUSY == -6,
	       "results are stable");
_Static_assert(PBX_EPERM == -7 && PBX_ESTATE == -8 && PBX_ENOTSUP == -9 && PBX_ETIMEOUT == -10 && PBX_EIO == -11 && PBX_ELATER == -12 &&
		       PBX_EVERSION == -13 && PBX_ECANCELLED == -14,
	       "results are stable");
_Static_assert(PBX_TYPE_BOOL == 1 && PBX_TYPE_INT == 2 && PBX_TYPE_NUMBER == 3 && PBX_TYPE_TEXT == 4 && PBX_TYPE_CHOICE == 5 &&
		       PBX_TYPE_LIST == 6 && PBX_TYPE_OBJECT == 7 && PBX_TYPE_OBJECTS == 8 && PBX_TYPE_SECRET == 9 && PBX_TYPE_TIME == 10,
	       "types are stable");

START_TEST(a_header_says_who_it_is_and_how_long_its_structure)
{
	const struct pbx_plugin plugin = { PBX_PLUGIN_HEADER };

	ck_assert_mem_eq(&plugin.header.magic, "PBX1", 4);
	ck_assert_uint_eq(plugin.header.abi_major, PBX_ABI_MAJOR);
	ck_assert_uint_eq(plugin.header.abi_minor, PBX_ABI_MINOR);
	ck_assert_uint_eq(plugin.header.size, sizeof plugin);
	ck_assert_uint_eq(plugin.header.flags, 0);
}
END_TEST

CHECK_MAIN("abi", a_header_says_who_it_is_and_how_long_its_structure)
