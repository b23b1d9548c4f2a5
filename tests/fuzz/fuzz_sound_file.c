/* tests/fuzz/fuzz_sound_file.c - a file that says it is sound: a prompt that somebody has put there, or a recording as a crash has left it
 *
 * It is decoded to its end, or for as long as a lie about its length lasts us; then it is finished as if it were the rest of a recording, and what comes of
 * that can be read. */
#include <core/host.h>
#include <fcntl.h>
#include <rtp/decoder.h>
#include <rtp/record_file.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define MOST_SAMPLES (20u * RTP_DECODED_HZ)
#define PIECE 1600u

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static char path[80], part[88];

static void make_folder(void)
{
	(void)snprintf(path, sizeof path, "/dev/shm/fuzz-sound-XXXXXX");
	if (!mkdtemp(path))
		abort();
	strcat(path, "/sound");
	(void)snprintf(part, sizeof part, "%s.part", path);
}

static void write_part(const uint8_t *data, size_t size)
{
	int fd = open(part, O_WRONLY | O_CREAT | O_TRUNC, 0600);

	if (fd < 0 || write(fd, data, size) != (ssize_t)size)
		abort();
	(void)close(fd);
}

static void play(void)
{
	struct rtp_decoder *decoder;
	int16_t samples[PIECE];
	size_t got = PIECE;

	if (rtp_decoder_open(part, RTP_DECODED_HZ, &decoder) != PBX_OK)
		return;
	for (size_t done = 0; done < MOST_SAMPLES && got == PIECE; done += got) {
		got = rtp_decoder_read(decoder, samples, PIECE);
		if (got > PIECE)
			abort();
	}
	rtp_decoder_close(decoder);
}

static void finish(void)
{
	struct pbx_record_result result = { .size = sizeof result };

	if (rtp_record_recover(path, &result) == PBX_OK && (result.rate_hz == 0 || result.channels == 0))
		abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char left[88];

	if (!path[0])
		make_folder();
	write_part(data, size);
	play();
	finish();
	(void)snprintf(left, sizeof left, "%s.left", path);
	(void)unlink(path);
	(void)unlink(left);
	(void)unlink(part);
	return 0;
}
