/* tests/core/fake_drivers.h - far ends that do anything at any time, for the random walks (tests/fake has the well-behaved phones)
 *
 * Each line is one leg's far end. It remembers what the core told it and fails the test when it is told something after its end, twice its end,
 * or something about a stream that is closed. Nothing here waits or settles: the walk decides when the loop runs. */
#pragma once
#include "calls_inner.h"

#define LINES_MOST 512u

struct line {
	pbx_leg leg;
	uint32_t direction, state; /* PBX_LEG_… as the far end sees it */
	bool released, holds, update_waits;
	char user[32];
};

extern struct line lines[LINES_MOST];
extern uint32_t line_count;

void fake_drivers_init(void);   /* puts our drivers into the core */
void fake_drivers_forget(void); /* between walks: everything must have been released and closed */
struct line *line_new(const char *user, uint32_t direction);
struct core_media_desc line_says(const char *codec, uint8_t type, uint8_t direction, bool nowhere);

uint32_t fake_streams_open(void);
bool fake_stream_is_open(core_stream stream);
core_stream fake_stream_peer(core_stream stream); /* {0}: not connected */
uint64_t fake_stream_mix(core_stream stream);     /* 0: in none */
uint32_t fake_mixes_open(void);

extern uint32_t walk_random(uint32_t below); /* the walk's own, so that a seed tells everything */
