/* tests/fake/media_ears.c - what a party hears, from who is connected, mixed or played to */
#include "media.h"
#include <string.h>

static bool may_send(const struct fake_stream *stream)
{
	return stream->configured && stream->config.direction & CORE_SEND;
}

static bool reaches(const struct fake_stream *stream, const struct fake_stream *other)
{
	if (!stream->mix || stream->mix != other->mix)
		return stream->peer == other;
	return stream != other && stream->part.hears && (other->part.talks || other->part.to.id == stream->handle.id);
}

bool fake_stream_hears(const struct fake_stream *stream, const struct fake_stream *other)
{
	return reaches(stream, other) && !stream->plays && may_send(stream) && other->configured && other->config.direction & CORE_RECV;
}

/* A prompt's name is its file's without folder and ending. */
static const char *prompt_name(const char *text)
{
	const char *slash = strrchr(text, '/');
	const char *name = slash ? slash + 1 : text;
	const char *dot = strrchr(name, '.');

	return fake_format("prompt:%.*s", (int)(dot ? dot - name : (int)strlen(name)), name);
}

const char *fake_stream_plays(const struct fake_stream *stream, const char *(*name_of)(const struct fake_stream *stream))
{
	const char *source = fake_source_name(stream->source);

	if (!may_send(stream))
		return "nothing";
	switch (stream->plays) {
	case CORE_PLAY_FILE:
		return prompt_name(stream->play_text);
	case CORE_PLAY_TONE:
		return fake_format("tone:%s", stream->play_text);
	case CORE_PLAY_SOURCE:
		return source ? fake_format("source:%s", source) : "nothing";
	case CORE_PLAY_ECHO:
		return "self";
	default:
		if (stream->mix && stream->part.hears && stream->mix->plays)
			return stream->mix->plays == CORE_PLAY_FILE ? prompt_name(stream->mix->play_text)
								    : fake_format("tone:%s", stream->mix->play_text);
		return stream->peer && fake_stream_hears(stream, stream->peer) ? fake_format("leg:%s", name_of(stream->peer)) : "nothing";
	}
}
