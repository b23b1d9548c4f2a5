/* tests/bench/nobody.c - call control's side of the media driver, where nobody controls a call */
#include <core/media_driver.h>

void core_media_on_play_done(core_stream stream, uint64_t tag, uint32_t how)
{
	(void)stream, (void)tag, (void)how;
}

void core_media_on_digit(core_stream stream, char digit, uint32_t duration_ms, uint32_t way)
{
	(void)stream, (void)digit, (void)duration_ms, (void)way;
}

void core_media_on_key_down(core_stream stream, char digit, uint32_t way)
{
	(void)stream, (void)digit, (void)way;
}

void core_media_on_silence(core_stream stream, uint32_t for_ms)
{
	(void)stream, (void)for_ms;
}

void core_media_on_first_packet(core_stream stream)
{
	(void)stream;
}

void core_media_on_failed(core_stream stream, uint32_t why)
{
	(void)stream, (void)why;
}

void core_media_on_codec_failed(core_stream stream, const struct core_codec *codec, bool encodes)
{
	(void)stream, (void)codec, (void)encodes;
}

void core_media_on_mix_speaker(core_stream stream)
{
	(void)stream;
}

void core_media_on_mix_talking(core_stream stream, bool on)
{
	(void)stream, (void)on;
}

void core_media_on_mix_played(core_mix mix, uint64_t tag, uint32_t how)
{
	(void)mix, (void)tag, (void)how;
}

void core_media_on_source_changed(core_stream stream, const struct core_addr *remote)
{
	(void)stream, (void)remote;
}
