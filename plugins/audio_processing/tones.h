/* tones.h - is that a fax or a modem? [media] */
#pragma once
#include <stdbool.h>
#include <stdint.h>

#define TONES_COUNT 2u

struct tones {
	float turn[TONES_COUNT]; /* 2 cos of each tone's step */
	uint32_t lasts_ms[TONES_COUNT];
	bool found; /* ever */
};

void tones_init(struct tones *tones, uint32_t rate_hz);
/* 10 ms of sound. True: one of the tones has lasted long enough, now or before. */
bool tones_note(struct tones *tones, const int16_t *samples, uint32_t count);
