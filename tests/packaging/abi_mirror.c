/*
 * abi_mirror - every public type in one object, for abidw (abi.py) to look at
 *
 * The public headers are tables of function pointers: nothing of them is a symbol that a tool could compare. A function that takes one of
 * each is. When a header is added its structures are added here, at the end.
 */
#include <pbx/audio.h>
#include <pbx/border.h>
#include <pbx/bus.h>
#include <pbx/calls.h>
#include <pbx/codec.h>
#include <pbx/detect.h>
#include <pbx/directory.h>
#include <pbx/fax.h>
#include <pbx/fetch.h>
#include <pbx/fork.h>
#include <pbx/inject.h>
#include <pbx/io.h>
#include <pbx/json.h>
#include <pbx/lamps.h>
#include <pbx/location.h>
#include <pbx/media.h>
#include <pbx/messages.h>
#include <pbx/metrics.h>
#include <pbx/music.h>
#include <pbx/mwi.h>
#include <pbx/notifier.h>
#include <pbx/parking.h>
#include <pbx/plugin.h>
#include <pbx/programs.h>
#include <pbx/prompts.h>
#include <pbx/quality.h>
#include <pbx/recorder.h>
#include <pbx/recordings.h>
#include <pbx/requests.h>
#include <pbx/rooms.h>
#include <pbx/route.h>
#include <pbx/secrets.h>
#include <pbx/session.h>
#include <pbx/sip.h>
#include <pbx/sip_resolver.h>
#include <pbx/store.h>
#include <pbx/tap.h>
#include <pbx/timers.h>

struct abi_mirror {
	const struct pbx_plugin *plugin;
	const struct pbx_host *host;
	const struct pbx_diag *diag;
	const struct pbx_setting *setting;
	const struct pbx_migration *migration;
	const struct pbx_route *route;
	const struct pbx_command *command;
	const struct pbx_arg *arg;
	const struct pbx_field *field;
	const struct pbx_metric *metric;
	const struct pbx_event_type *event_type;
	const struct pbx_list *list;
	const struct pbx_objects *objects;
	const struct pbx_border *border;
	const struct pbx_border_guard *border_guard;
	const struct pbx_border_source *border_source;
	const struct pbx_border_request *border_request;
	const struct pbx_border_call *border_call;
	const struct pbx_bus *bus;
	const struct pbx_event *event;
	const struct pbx_calls *calls;
	const struct pbx_leg_info *leg_info;
	const struct pbx_controller *controller;
	const struct pbx_dialler *dialler;
	const struct pbx_dial_plan *dial_plan;
	const struct pbx_directory *directory;
	const struct pbx_fetch *fetch;
	const struct pbx_jsons *jsons;
	const struct pbx_lamp *lamp;
	const struct pbx_lamps *lamps;
	const struct pbx_location *location;
	const struct pbx_media *media;
	const struct pbx_quality *quality;
	const struct pbx_metrics *metrics;
	const struct pbx_music *music;
	const struct pbx_parking *parking;
	const struct pbx_requests *requests;
	const struct pbx_routing *routing;
	const struct pbx_secrets *secrets;
	const struct pbx_store *store;
	const struct pbx_timers *timers;
	const struct pbx_notifier *notifier;
	const struct pbx_event_package *event_package;
	const struct pbx_list_member *list_member;
	const struct pbx_sip *sip;
	const struct pbx_sip_peer *sip_peer;
	const struct pbx_sip_resolver *sip_resolver;
	const struct pbx_prompts *prompts;
	const struct pbx_say *say;
	const struct pbx_sip_candidate *sip_candidate;
	const struct pbx_messages *messages;
	const struct pbx_message *message;
	const struct pbx_io *io;
	const struct pbx_sip_probe *sip_probe;
	const struct pbx_mwi *mwi;
	const struct pbx_mailbox *mailbox;
	const struct pbx_codecs *codecs;
	const struct pbx_codec *codec;
	const struct pbx_codec_wish *codec_wish;
	const struct pbx_rooms *rooms;
	const struct pbx_room_watch *room_watch;
	const struct pbx_room_spec *room_spec;
	const struct pbx_room_member *room_member;
	const struct pbx_audio *audio;
	const struct pbx_audio_filter *audio_filter;
	const struct pbx_recorder *recorder;
	const struct pbx_recordings *recordings;
	const struct pbx_record_spec *record_spec;
	const struct pbx_record_watcher *record_watcher;
	const struct pbx_record_result *record_result;
	const struct pbx_record_state *record_state;
	const struct pbx_record_mark *record_mark;
	const struct pbx_faxes *faxes;
	const struct pbx_fax_spec *fax_spec;
	const struct pbx_fax_watcher *fax_watcher;
	const struct pbx_fax_result *fax_result;
	const struct pbx_taps *taps;
	const struct pbx_tap_spec *tap_spec;
	const struct pbx_tap_watcher *tap_watcher;
	const struct pbx_tap_state *tap_state;
	const struct pbx_injections *injections;
	const struct pbx_inject_spec *inject_spec;
	const struct pbx_inject_watcher *inject_watcher;
	const struct pbx_inject_state *inject_state;
	const struct pbx_detector *detector;
	const struct pbx_detect_spec *detect_spec;
	const struct pbx_detect_watcher *detect_watcher;
	const struct pbx_detected *detected;
	const struct pbx_programs *programs;
	const struct pbx_program_spec *program_spec;
	const struct pbx_program_result *program_result;
	const struct pbx_forks *forks;
	const struct pbx_fork_spec *fork_spec;
	const struct pbx_fork_local *fork_local;
	const struct pbx_fork_codec *fork_codec;
	const struct pbx_fork_target *fork_target;
	const struct pbx_fork_watcher *fork_watcher;
	const struct pbx_fork_state *fork_state;
	const struct pbx_sessions *sessions;
	const struct pbx_session_spec *session_spec;
	const struct pbx_session_watcher *session_watcher;
	const struct pbx_session_answer *session_answer;
	const struct pbx_session_question *session_question;
	const struct pbx_session_part *session_part;
};

PBX_EXPORT void abi_mirror_show(const struct abi_mirror *mirror);

void abi_mirror_show(const struct abi_mirror *mirror)
{
	(void)mirror;
}
