/* tests/rtp/rig.h - the engine on a real loop, phones that are real sockets, and what the workers told us */
#pragma once
#include <check.h>
#include <core/loop.h>
#include <pbx/calls.h>
#include <pbx/codec.h>
#include <rtp/engine.h>
#include <string.h>

/* ---- the engine ---- */

/* Ports of this test's own, two workers, no time-outs, quarantine 0: change what the test is about before rig_start. */
extern struct rtp_settings rig_settings;
void rig_start(void);
void rig_stop(void); /* fails the test when a stream, a source or a port is left */

/* Rounds of the loop until it is so; a test that waits half a minute has failed. */
#define rig_until(condition)                                                                                                               \
	do {                                                                                                                               \
		uint64_t give_up_at_ms_ = rig_now_ms() + 30000;                                                                            \
		while (!(condition)) {                                                                                                     \
			ck_assert_msg(rig_now_ms() < give_up_at_ms_, "never came: " #condition);                                           \
			rig_round();                                                                                                       \
		}                                                                                                                          \
	} while (0)
void rig_round(void); /* one round, waiting a millisecond at most */
uint64_t rig_now_ms(void);
/* The longest that this machine has let us stand still between two rounds since rig_start: no promise of the engine's is broken by so much. */
uint64_t rig_stood_still_ms(void);
/* Whether what has been measured since rig_start tells of the machine and not of the engine, for who can measure again: the machine stood still for
 * longer than a jitter buffer covers. After twenty times in a row it has to do. */
bool rig_must_measure_again(void);
/* Until the worker of a group has done all it was told so far, and its figures and the kernel's part are as of then. */
void rig_obeyed(uint64_t group);

/* A plugin with codecs of this test's own; NULL: there is none. Change it before rig_start. */
extern const struct pbx_codecs *rig_codecs;

/* What came by core_media_on_…, of all streams. */
struct rig_heard {
	int first_packets, keys_down, silences, sources, plays, speakers, talking; /* talking: how many do now */
	core_stream speaker;
	uint64_t tag;                                        /* of the latest play_done */
	uint32_t how, silent_ms, duration_ms, way, down_way; /* CORE_DIGITS_… of the latest digit's end and beginning */
	char digits[512], downs[512];
	struct core_addr source;
	int ports_low, failures;
	uint32_t why; /* CORE_MEDIA_… of the latest failure */
	int codecs_failed;
	bool failed_encodes;
	char failed_codec[20];
};
extern struct rig_heard rig_heard;

/* ---- phones ---- */

struct phone {
	int rtp_fd, rtcp_fd;
	struct core_addr rtp, rtcp; /* its own */
	struct core_addr pbx;       /* where it sends */
	core_stream stream;         /* its counterpart */
	uint32_t ssrc, timestamp;
	uint16_t sequence;
	uint8_t type;
	uint8_t level_id; /* of the extension whose levels it reads */
};

struct heard_packet {
	uint8_t type;
	uint16_t level; /* rtp/level.h */
	bool marker;
	uint16_t sequence;
	uint32_t timestamp, ssrc;
	size_t bytes;
	uint8_t payload[1500];
	uint64_t at_us;
};

/* Sockets on a free pair of ports of 127.0.0.1 or ::1. */
void phone_init(struct phone *phone, int family);
void phone_fini(struct phone *phone);
/* Opens a stream for it and configures that as if SDP had named the phone. codecs: "PCMU PCMA", numbers as in RFC 3551 (CN has 13); L16 is
 * of 16,000 Hz and has 117. */
void phone_call(struct phone *phone, uint64_t group, const char *codecs);
void phone_config(const struct phone *phone, const char *codecs, struct core_stream_config *ret_config);

void phone_send(struct phone *phone, const void *payload, size_t bytes); /* sequence and timestamp move on, 8 units a ms of G.711 */
void phone_send_type(struct phone *phone, uint8_t type, bool marker, const void *payload, size_t bytes);
void phone_send_raw(const struct phone *phone, const void *data, size_t size);
void phone_say(struct phone *phone, uint8_t filled_with); /* 160 octets */
/* The next packet that comes, waiting (and running the loop) for at most timeout_ms. */
bool phone_hear(const struct phone *phone, struct heard_packet *ret_packet, int timeout_ms);
struct heard_packet phone_must_hear(const struct phone *phone); /* fails the test after half a minute */
int phone_forget(const struct phone *phone);                    /* drops what has come; how many */

/* The engine, and two phones of one group that hear each other; all of it ends with the call. */
void rig_call(struct phone *alice, const char *alice_codecs, struct phone *bob, const char *bob_codecs);
void rig_hang_up(struct phone *alice, struct phone *bob);

struct core_stream_stats rig_stats(core_stream stream);
void rig_play(core_stream stream, uint32_t kind, const char *text, uint64_t tag);

/* ---- ears ---- */

/* Power at a frequency as a share of the whole, 0 to 1. */
double share_of(const int16_t *samples, size_t count, double hz);
double level_dbfs(const int16_t *samples, size_t count); /* rms against a full-scale sine */
/* Samples of G.711 packets heard by a phone until there are `count`. */
void phone_record(const struct phone *phone, uint32_t law, int16_t *ret_samples, size_t count);
/* A WAV of a sine in a fresh temporary file; path is written. */
void make_wav(char ret_path[64], double hz, int rate_hz, int channels, double seconds);
