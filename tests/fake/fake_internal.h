/* tests/fake/fake_internal.h - what the files of the fake pbx know of each other. All of it: [loop] */
#pragma once
#include "fake.h"
#include "host.h"
#include "leg_driver.h"
#include "media_driver.h"
#include <pbx/location.h>
#include <pbx/messages.h>
#include <pbx/session.h>
#include <pbx/sip.h>

/* ---- pbx.c ---- */
char *fake_keep(char *text); /* makes an owned text live as long as the fake pbx */
const char *fake_format(const char *format, ...) PBX_PRINTF(1, 2);
struct pbx_host *fake_part_host(void);

/* ---- media.c and its files (media.h) ---- */
struct fake_stream {
	core_stream handle;
	uint64_t group;
	struct core_addr local;
	struct core_stream_config config;
	bool configured, held;
	bool masked; /* recordings do not hear its party */
	struct fake_stream *peer;
	struct fake_mix *mix;
	struct core_mix_part part; /* in it */
	bool talking;
	uint32_t plays; /* CORE_PLAY_…; 0: nothing */
	char *play_text;
	pbx_source source;
	uint64_t tag;
	uint32_t plays_begun;           /* ever */
	struct pbx_media_state playing; /* as of then */
	uint64_t playing_since_ms;
	char digits[64];
	struct core_filter filter; /* what stands here (pbx/audio.h), with its state when it has an owner */
	void *filter_state;
	uint32_t filter_rate_hz;
	struct core_stream_stats *audio; /* owned; NULL: no test has said how it arrives */
	struct fake_stream *next;
};

void fake_fax_finish(core_stream stream, int32_t error, const char *reason, uint32_t pages);
struct fake_stream *fake_stream_at(const struct core_addr *local); /* NULL: none has this port */
/* What it sends to its peer. name_of tells whose stream a peer is. */
const char *fake_stream_plays(const struct fake_stream *stream, const char *(*name_of)(const struct fake_stream *stream));
struct pbx_media_state fake_stream_playing(const struct fake_stream *stream);
struct core_stream_stats *fake_stream_audio(struct fake_stream *stream);
bool fake_stream_hears(const struct fake_stream *stream, const struct fake_stream *other);
void fake_stream_play_over(struct fake_stream *stream, uint32_t how);
/* Sound of a rate, through the filter of the stream; the state is opened for it. */
void fake_stream_filter(struct fake_stream *stream, bool said, uint32_t rate_hz, int16_t *samples, uint32_t count);
/* Who listens and speaks beside it (media_beside.c). */
void fake_stream_tapped(const struct fake_stream *stream, const int16_t *samples, uint32_t count);
uint32_t fake_stream_injected(const struct fake_stream *stream, int16_t *ret_samples, uint32_t count);
bool fake_stream_detects(const struct fake_stream *stream, const struct pbx_detected *found);
void fake_media_init(void);
void fake_media_fini(void); /* fails the test when a stream or source is left */
/* Whether it speaks in its mix, as the worker would tell. */
void fake_stream_finish_in_room(struct fake_stream *stream); /* what plays into its room is over */
void fake_stream_speak(struct fake_stream *stream, bool on);
uint32_t fake_media_streams(void);
uint32_t fake_media_sources(void);

/* ---- notifier.c ---- */
extern const struct pbx_notifier fake_notifier_service;
void fake_notifier_fini(void); /* fails the test when a package or list is left */

/* ---- phones.c ---- */
extern const struct core_leg_driver fake_leg_driver;
void fake_phones_hang_up(void);
void fake_phones_fini(void); /* fails the test when the core still knows a phone's dialog */

uint32_t fake_phones_of(const char *peer, uint32_t direction); /* calls of a SIP system */

/* ---- sip.c: other SIP systems ---- */
extern const struct pbx_sip fake_sip_service;
int fake_peer_enter(const char *name, uint32_t flags);                    /* a call to it: PBX_OK, PBX_ENOENT, PBX_ENOSPC */
void fake_peer_attempted(const char *name, uint32_t sip_code, bool rang); /* 0: silence */

/* ---- sessions.c ---- */
extern const struct pbx_sessions fake_sessions_service;

/* ---- part.c: a part of the daemon that stands for SIP: location, directory, routing, and hears every event ---- */
extern const struct pbx_plugin fake_part;
extern const struct pbx_location fake_location_service;
extern const struct pbx_messages fake_messages_service;
void *fake_part_instance(void);
void fake_part_fini(void);

/* ---- border.c ---- */
extern const struct pbx_border fake_border_service;
