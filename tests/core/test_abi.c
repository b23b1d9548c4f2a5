/*
 * test_abi - what a shared object built long ago relies on
 *
 * The layouts here are promises (core/include/pbx/abi.h): members may be added behind those that are listed, never moved, widened or
 * given another meaning. Most of it is said to the compiler, so that a broken promise does not build. When a line stands in the way of
 * a change, the change wants a new name, not a new number here.
 */
#include "../check_main.h"
#include <pbx/audio.h>
#include <pbx/bus.h>
#include <pbx/calls.h>
#include <pbx/codec.h>
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
#include <pbx/programs.h>
#include <pbx/prompts.h>
#include <pbx/quality.h>
#include <pbx/requests.h>
#include <pbx/route.h>
#include <pbx/secrets.h>
#include <pbx/session.h>
#include <pbx/store.h>
#include <pbx/timers.h>
#include <string.h>

#define AT(type, member, where) _Static_assert(offsetof(struct type, member) == (where), #type "." #member " has moved")
#define AT_LEAST(type, bytes) _Static_assert(sizeof(struct type) >= (bytes), #type " has lost members")
#define EXACTLY(type, bytes) _Static_assert(sizeof(struct type) == (bytes), #type " crosses the line by value: it cannot grow")

/* Members that follow each other every `step` bytes, the first one at `where`: at most twelve. */
#define IN_ROW(type, where, step, ...) ROW_JOIN(ROW_, ROW_COUNT(__VA_ARGS__))(type, where, step, __VA_ARGS__)
/* clang-format off */
#define ROW_1(type, where, step, member) AT(type, member, where)
#define ROW_2(type, where, step, member, ...) AT(type, member, where); ROW_1(type, (where) + (step), step, __VA_ARGS__)
#define ROW_3(type, where, step, member, ...) AT(type, member, where); ROW_2(type, (where) + (step), step, __VA_ARGS__)
#define ROW_4(type, where, step, member, ...) AT(type, member, where); ROW_3(type, (where) + (step), step, __VA_ARGS__)
#define ROW_5(type, where, step, member, ...) AT(type, member, where); ROW_4(type, (where) + (step), step, __VA_ARGS__)
#define ROW_6(type, where, step, member, ...) AT(type, member, where); ROW_5(type, (where) + (step), step, __VA_ARGS__)
#define ROW_7(type, where, step, member, ...) AT(type, member, where); ROW_6(type, (where) + (step), step, __VA_ARGS__)
#define ROW_8(type, where, step, member, ...) AT(type, member, where); ROW_7(type, (where) + (step), step, __VA_ARGS__)
#define ROW_9(type, where, step, member, ...) AT(type, member, where); ROW_8(type, (where) + (step), step, __VA_ARGS__)
#define ROW_10(type, where, step, member, ...) AT(type, member, where); ROW_9(type, (where) + (step), step, __VA_ARGS__)
#define ROW_11(type, where, step, member, ...) AT(type, member, where); ROW_10(type, (where) + (step), step, __VA_ARGS__)
#define ROW_12(type, where, step, member, ...) AT(type, member, where); ROW_11(type, (where) + (step), step, __VA_ARGS__)
#define ROW_COUNT(...) ROW_PICK(__VA_ARGS__, 12, 11, 10, 9, 8, 7, 6, 5, 4, 3, 2, 1, 0)
#define ROW_PICK(a, b, c, d, e, f, g, h, i, j, k, l, count, ...) count
#define ROW_JOIN(a, b) ROW_JOIN_(a, b)
#define ROW_JOIN_(a, b) a##b
/* clang-format on */

#define BEGINS_WITH_SIZE(type)                                                                                                             \
	AT(type, size, 0);                                                                                                                 \
	_Static_assert(sizeof(((struct type *)0)->size) == 4, #type ".size is read before anything else")
#define IS_SERVICE(type) AT(type, header, 0)

/* The header, for ever. */
EXACTLY(pbx_header, 16);
AT(pbx_header, magic, 0);
IN_ROW(pbx_header, 4, 2, abi_major, abi_minor, size);
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
EXACTLY(pbx_session, 8);

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
BEGINS_WITH_SIZE(pbx_program_spec);
BEGINS_WITH_SIZE(pbx_program_result);
BEGINS_WITH_SIZE(pbx_session_part);
BEGINS_WITH_SIZE(pbx_session_spec);
BEGINS_WITH_SIZE(pbx_session_answer);
BEGINS_WITH_SIZE(pbx_session_question);
BEGINS_WITH_SIZE(pbx_session_watcher);
BEGINS_WITH_SIZE(pbx_contact);
BEGINS_WITH_SIZE(pbx_account);
BEGINS_WITH_SIZE(pbx_source_spec);
BEGINS_WITH_SIZE(pbx_file_info);
BEGINS_WITH_SIZE(pbx_mailbox);
BEGINS_WITH_SIZE(pbx_codec_wish);
BEGINS_WITH_SIZE(pbx_audio_filter);

IS_SERVICE(pbx_host);
IS_SERVICE(pbx_plugin);
IS_SERVICE(pbx_audio);
IS_SERVICE(pbx_bus);
IS_SERVICE(pbx_calls);
IS_SERVICE(pbx_codecs);
IS_SERVICE(pbx_directory);
IS_SERVICE(pbx_fetch);
IS_SERVICE(pbx_programs);
IS_SERVICE(pbx_io);
IS_SERVICE(pbx_jsons);
IS_SERVICE(pbx_location);
IS_SERVICE(pbx_media);
IS_SERVICE(pbx_quality);
BEGINS_WITH_SIZE(pbx_leg_way);
BEGINS_WITH_SIZE(pbx_way_figures);
BEGINS_WITH_SIZE(pbx_way_score);
IS_SERVICE(pbx_metrics);
IS_SERVICE(pbx_music);
IS_SERVICE(pbx_mwi);
IS_SERVICE(pbx_parking);
IS_SERVICE(pbx_requests);
IS_SERVICE(pbx_routing);
IS_SERVICE(pbx_secrets);
IS_SERVICE(pbx_sessions);
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
EXACTLY(pbx_session_parts, 16); /* within others; its rows say how long they are */
AT(pbx_session_parts, items, 0);
AT(pbx_session_parts, count, 8);
AT(pbx_session_part, length, 4);
IN_ROW(pbx_session_part, 8, 8, type, disposition, body);
AT(pbx_dial_target, text, 0);
AT(pbx_dial_target, delay_ms, 8);
AT(pbx_dial_target, ring_ms, 12);
AT_LEAST(pbx_dial_target, 16);
EXACTLY(pbx_value, 16); /* in arrays without a row size */
IN_ROW(pbx_value, 0, 4, type, length, as);
EXACTLY(pbx_say, 24); /* and these */
EXACTLY(pbx_statement, 24);

/* The descriptor, as plugins carry it in their read-only data. */
IN_ROW(pbx_plugin, 16, 8, build, name, version, summary, needs, offers, instance_size);
AT(pbx_plugin, settings_size, 68);
IN_ROW(pbx_plugin, 72, 16, settings, migrations, routes, commands, metrics, events, check);
IN_ROW(pbx_plugin, 176, 8, load, start, reload, drain, stop, unload, offer, settings_check);
AT_LEAST(pbx_plugin, 240);

/* Rows of its tables: they grow at the end, since a table says how long they are. */
AT(pbx_setting, name, 0);
IN_ROW(pbx_setting, 8, 4, type, offset, width, flags, initial);
IN_ROW(pbx_setting, 32, 8, least, most, initial_number, least_number, most_number, initial_text, choices, unit, help, fields);
AT(pbx_setting, object_size, 120);
AT_LEAST(pbx_setting, 128);
IN_ROW(pbx_migration, 0, 8, number, name, sql);
AT_LEAST(pbx_migration, 24);
AT(pbx_arg, name, 0);
IN_ROW(pbx_arg, 8, 4, type, flags, help);
IN_ROW(pbx_arg, 24, 8, choices, least, most, completes);
AT_LEAST(pbx_arg, 56);
IN_ROW(pbx_field, 0, 8, name, type, help);
AT_LEAST(pbx_field, 24);
IN_ROW(pbx_route, 0, 8, method, path, handle, scope, summary, flags, args);
AT(pbx_route, reply, 64);
AT_LEAST(pbx_route, 80);
IN_ROW(pbx_command, 0, 8, words, handle, help, args);
AT(pbx_command, columns, 40);
AT(pbx_command, flags, 48);
AT_LEAST(pbx_command, 56);
IN_ROW(pbx_metric, 0, 8, name, kind, help, labels, buckets);
AT_LEAST(pbx_metric, 40);
IN_ROW(pbx_event_type, 0, 8, name, help, fields);
AT_LEAST(pbx_event_type, 32);
AT(pbx_codec, name, 0);
IN_ROW(pbx_codec, 8, 4, clock_hz, rate_hz, channels, payload_type, flags, frame_us);
IN_ROW(pbx_codec, 32, 4, least_ptime_ms, usual_ptime_ms, most_ptime_ms, bits_per_s, ie_tenths, bpl_tenths);
IN_ROW(pbx_codec, 56, 8, context, offer, answer, passes, encoder_open, decoder_open, encoder_close, decoder_close, encode);
IN_ROW(pbx_codec, 128, 8, decode, conceal, recover, duration, loss, restart, ptime);
AT_LEAST(pbx_codec, 184);

/* The host, as far as it goes today. */
IN_ROW(pbx_host, 16, 8, service, log, post, work, hold, release, now_ms, wall_us, ready, name, data_dir, ulid);
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
