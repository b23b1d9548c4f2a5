/*
 * codecs - which codecs there are, how negotiation sees them, and the encoders and decoders made of them
 *
 * The list is made anew when a plugin comes or goes or the settings change, and is small: it is walked. A coder is charged to
 * its plugin, so that an upgrade waits for the calls that use it; when the plugin is taken away all the same, its code stays in
 * memory until a worker has given the coder back, as it does for a job in the pool.
 */
#include "codecs.h"
#include "resampler.h"

#include <core/host.h>
#include <core/log.h>
#include <core/overlap.h>
#include <core/owner_internal.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define SERVICE "pbx.codec/1"
#define TYPE_WIDE_NOISE 106u /* CN/16000 has no number of its own; browsers have this one */

static struct rtp_codec codecs[RTP_MOST_CODECS];
static uint32_t codec_count;
static const struct pbx_list *wanted; /* NULL: all, as they come */
static bool with_noise;
static uint64_t made_at; /* core_host_offers(); 0: not made */

/* ---- the list ---- */

static uint32_t channels_of(uint32_t channels)
{
	return channels ? channels : 1;
}

static bool is_row(const struct pbx_codec *row, const struct core_codec *codec)
{
	return strcasecmp(row->name, codec->name) == 0 && row->clock_hz == codec->clock_hz &&
	       channels_of(row->channels) == channels_of(codec->channels);
}

static bool is_usable(const struct pbx_codec *row)
{
	struct core_codec codec;

	return row->name && row->name[0] && strlen(row->name) < sizeof codec.name && row->clock_hz >= 8000 && row->rate_hz >= 8000 &&
	       row->rate_hz <= 48000 && row->payload_type < 128 && row->least_ptime_ms > 0 && row->least_ptime_ms <= row->most_ptime_ms &&
	       row->encoder_open && row->encoder_close && row->encode && row->decoder_open && row->decoder_close && row->decode;
}

static bool is_known(const struct pbx_codec *row)
{
	const struct core_codec codec = { .clock_hz = row->clock_hz, .channels = (uint8_t)row->channels };

	for (uint32_t i = 0; i < codec_count; i++) {
		struct core_codec other = codec;

		memccpy(other.name, row->name, 0, sizeof other.name);
		if (is_row(&codecs[i].row, &other))
			return true;
	}
	return false;
}

static void add_rows(void *context, struct pbx_host *owner, const void *table)
{
	const struct pbx_codecs *provider = table;
	uint32_t row_size = provider->codecs.row_size;

	(void)context;
	for (uint32_t i = 0; i < provider->codecs.count && codec_count < RTP_MOST_CODECS; i++) {
		const void *original = (const char *)provider->codecs.rows + (size_t)i * row_size;
		struct rtp_codec *codec = &codecs[codec_count];

		memset(codec, 0, sizeof *codec);
		core_copy_overlap(&codec->row, sizeof codec->row, original, row_size);
		codec->original = original;
		codec->self = provider->self;
		codec->owner = owner;
		codec->licence = provider->licence;
		if (is_usable(&codec->row) && !is_known(&codec->row))
			codec_count++;
	}
}

/* "G722", "L16/16000", "opus/48000/2". */
static bool is_named(const struct pbx_codec *row, const char *entry)
{
	char text[48];
	size_t length = strlen(row->name);

	if (strncasecmp(entry, row->name, length) != 0)
		return false;
	(void)snprintf(text, sizeof text, "/%u/%u", row->clock_hz, channels_of(row->channels));
	return entry[length] == '\0' ||
	       (strncmp(text, entry + length, strlen(entry + length)) == 0 && strchr("/", text[strlen(entry + length)]));
}

static void swap(struct rtp_codec *a, struct rtp_codec *b)
{
	struct rtp_codec kept = *a;

	*a = *b;
	*b = kept;
}

static void leave_out(const char *entry)
{
	for (uint32_t i = 0; i < codec_count;) {
		if (is_named(&codecs[i].row, entry))
			memmove(&codecs[i], &codecs[i + 1], (--codec_count - i) * sizeof codecs[0]);
		else
			i++;
	}
}

/* Those that are named come first, in the order of their names. */
static void put_in_order(void)
{
	uint32_t placed = 0;

	for (uint32_t at = 0; at < wanted->count; at++) {
		if (wanted->items[at][0] == '-') {
			leave_out(wanted->items[at] + 1);
			continue;
		}
		for (uint32_t i = placed; i < codec_count; i++) {
			if (!is_named(&codecs[i].row, wanted->items[at]))
				continue;
			codecs[i].offered = true;
			for (uint32_t from = i; from > placed; from--)
				swap(&codecs[from], &codecs[from - 1]);
			placed++;
		}
	}
}

static void refresh(void)
{
	uint64_t now = core_host_offers() + 1;

	if (made_at == now)
		return;
	made_at = now;
	codec_count = 0;
	add_rows(NULL, NULL, &rtp_own_codecs);
	core_host_each_provider(SERVICE, (uint32_t)sizeof(struct pbx_codecs), add_rows, NULL);
	if (wanted)
		put_in_order();
	for (uint32_t i = 0; !wanted && i < codec_count; i++)
		codecs[i].offered = true;
}

void rtp_codecs_order(const struct pbx_list *order)
{
	wanted = order;
	made_at = 0;
}

int rtp_codecs_check(const struct pbx_list *order, struct pbx_diag *diag)
{
	for (uint32_t i = 0; i < order->count; i++) {
		const char *name = order->items[i] + (order->items[i][0] == '-');

		if (!*name || strspn(name, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_./") != strlen(name)) {
			pbx_diag_set(diag, "codecs", "'%s' is no name of a codec; write G722, L16/16000, or -G722 to leave it out",
				     order->items[i]);
			return PBX_EINVAL;
		}
	}
	return PBX_OK;
}

void rtp_codecs_fini(void)
{
	wanted = NULL;
	made_at = 0;
	codec_count = 0;
}

/* ---- what negotiation asks ---- */

const struct rtp_codec *rtp_codec_find(const struct core_codec *wanted_codec)
{
	refresh();
	for (uint32_t i = 0; i < codec_count; i++) {
		if (is_row(&codecs[i].row, wanted_codec))
			return &codecs[i];
	}
	return NULL;
}

static int ask_offer(const struct rtp_codec *codec, char *ret_fmtp, uint32_t size)
{
	int err = PBX_OK;

	ret_fmtp[0] = '\0';
	if (codec->row.offer) {
		core_enter(codec->owner ? codec->owner : core_self());
		err = codec->row.offer(codec->self, codec->original, ret_fmtp, size);
		core_leave();
	}
	return err;
}

void rtp_codecs_each(void (*each)(void *context, const struct rtp_codec *codec), void *context)
{
	refresh();
	for (uint32_t i = 0; i < codec_count; i++)
		each(context, &codecs[i]);
}

void rtp_codec_name(const struct pbx_codec *row, char *ret_name, size_t size)
{
	uint32_t namesakes = 0;

	for (uint32_t i = 0; i < codec_count; i++)
		namesakes += strcasecmp(codecs[i].row.name, row->name) == 0;
	if (namesakes > 1)
		(void)snprintf(ret_name, size, "%s/%u", row->name, row->clock_hz);
	else
		(void)snprintf(ret_name, size, "%s", row->name);
}

void rtp_codecs_add_noise(bool on)
{
	with_noise = on;
}

/* Its clock is that of the codec whose silence it describes (RFC 3389 4). */
static uint8_t add_noise(struct core_codec *ret_codec, uint32_t clock_hz, uint8_t type, bool offered)
{
	for (uint32_t i = 0; i < codec_count; i++) {
		if (codecs[i].row.clock_hz != clock_hz || codecs[i].row.flags & PBX_CODEC_SILENCE || (offered && !codecs[i].offered))
			continue;
		*ret_codec = (struct core_codec){ .name = "CN", .clock_hz = clock_hz, .channels = 1, .payload_type = type };
		return 1;
	}
	return 0;
}

uint8_t rtp_codecs_list(struct core_codec *ret_codecs, uint8_t size, bool offered)
{
	static const struct core_codec events = {
		.name = "telephone-event", .clock_hz = 8000, .channels = 1, .payload_type = 101, .fmtp = "0-16"
	};
	uint8_t count = 0;

	refresh();
	for (uint32_t i = 0; i < codec_count && count + 1 < size; i++) {
		const struct pbx_codec *row = &codecs[i].row;
		struct core_codec *listed = &ret_codecs[count];

		if (offered && !codecs[i].offered)
			continue;
		*listed = (struct core_codec){ .clock_hz = row->clock_hz,
					       .channels = (uint8_t)channels_of(row->channels),
					       .payload_type = (uint8_t)row->payload_type };
		memccpy(listed->name, row->name, 0, sizeof listed->name);
		if (ask_offer(&codecs[i], listed->fmtp, sizeof listed->fmtp) == PBX_OK)
			count++;
	}
	if (with_noise && count + 1 < size)
		count = (uint8_t)(count + add_noise(&ret_codecs[count], 8000, RTP_TYPE_NOISE, offered));
	if (with_noise && count + 1 < size)
		count = (uint8_t)(count + add_noise(&ret_codecs[count], 16000, TYPE_WIDE_NOISE, offered));
	if (count < size)
		ret_codecs[count++] = events;
	return count;
}

static int ask_answer(const struct rtp_codec *codec, const char *remote_fmtp, char *ret_fmtp, uint32_t size)
{
	if (!codec->row.answer)
		return ask_offer(codec, ret_fmtp, size);
	ret_fmtp[0] = '\0';
	core_enter(codec->owner ? codec->owner : core_self());
	int err = codec->row.answer(codec->self, codec->original, remote_fmtp, ret_fmtp, size);

	core_leave();
	return err;
}

int rtp_codec_answer(const struct core_codec *offered, char *ret_fmtp, uint32_t size)
{
	const struct rtp_codec *codec = rtp_codec_find(offered);

	return codec ? ask_answer(codec, offered->fmtp, ret_fmtp, size) : PBX_ENOENT;
}

bool rtp_codec_passes(const struct core_codec *from, const struct core_codec *to)
{
	const struct rtp_codec *codec = rtp_codec_find(from);

	return !codec || !codec->row.passes || codec->row.passes(codec->self, codec->original, from->fmtp, to->fmtp);
}

uint32_t rtp_codecs_rates(const struct core_codec *list, uint32_t count)
{
	uint32_t rates = 0;

	for (uint32_t i = 0; i < count; i++) {
		const struct rtp_codec *codec = rtp_codec_find(&list[i]);

		rates |= codec ? rtp_rate_bit(codec->row.rate_hz) : 0;
	}
	return rates;
}

/* What we have said to one who described himself so. What he answered to an offer of ours we take as it comes. */
static void find_local_fmtp(const struct rtp_codec *codec, const struct core_codec *remote, char ret_fmtp[PBX_CODEC_FMTP_BYTES])
{
	if (ask_answer(codec, remote->fmtp, ret_fmtp, PBX_CODEC_FMTP_BYTES) != PBX_OK)
		ret_fmtp[0] = '\0';
}

static uint32_t ask_ptime(const struct rtp_codec *codec, const struct core_codec *remote, uint32_t wanted_ms)
{
	char local_fmtp[PBX_CODEC_FMTP_BYTES];

	find_local_fmtp(codec, remote, local_fmtp);
	core_enter(codec->owner ? codec->owner : core_self());
	uint32_t ms = codec->row.ptime(codec->self, codec->original, local_fmtp, remote->fmtp, wanted_ms);

	core_leave();
	return ms;
}

uint32_t rtp_codec_ptime(const struct core_codec *remote, uint32_t wanted_ms)
{
	const struct rtp_codec *codec = rtp_codec_find(remote);

	if (!codec)
		return 0;
	if (codec->row.ptime)
		return ask_ptime(codec, remote, wanted_ms);
	const struct pbx_codec *row = &codec->row;
	uint32_t frame_ms = row->frame_us > 1000 ? row->frame_us / 1000 : 1;
	uint32_t ms = wanted_ms > row->most_ptime_ms ? row->most_ptime_ms : wanted_ms;

	ms -= ms % frame_ms;
	return ms < row->least_ptime_ms ? row->least_ptime_ms : ms;
}

/* ---- coders ---- */

static void on_revoked(struct core_charge *charge)
{
	struct rtp_coder *coder = (struct rtp_coder *)((char *)charge - offsetof(struct rtp_coder, charge));

	coder->leaving = charge->owner;
	core_owner_job_begin(core_owner_of(coder->leaving)); /* its code stays until we are closed */
	core_charge_remove(charge);
	coder->on_leaving(coder->context);
}

static int open_state(const struct rtp_codec *codec, const struct pbx_codec_wish *wish, bool encodes, void **ret_state)
{
	core_enter(codec->owner ? codec->owner : core_self());
	int err = encodes ? codec->row.encoder_open(codec->self, codec->original, wish, ret_state)
			  : codec->row.decoder_open(codec->self, codec->original, wish, ret_state);

	core_leave();
	return err;
}

int rtp_coder_open(const struct core_codec *remote, bool encodes, uint32_t ptime_ms, void (*on_leaving)(void *context), void *context,
		   struct rtp_coder *ret_coder)
{
	const struct rtp_codec *codec = rtp_codec_find(remote);
	char local_fmtp[PBX_CODEC_FMTP_BYTES];
	void *state = NULL;

	if (!codec)
		return PBX_ENOENT;
	find_local_fmtp(codec, remote, local_fmtp);
	const struct pbx_codec_wish wish = {
		.size = sizeof wish, .local_fmtp = local_fmtp, .remote_fmtp = remote->fmtp, .ptime_ms = ptime_ms
	};
	int err = open_state(codec, &wish, encodes, &state);

	if (err != PBX_OK) {
		core_log(PBX_LOG_WARN, "media", NULL, "codec_not_opened", "codec=%s encodes=%d result=%d", codec->row.name, encodes, err);
		return err;
	}
	*ret_coder = (struct rtp_coder){ .row = codec->row,
					 .original = codec->original,
					 .state = state,
					 .encodes = encodes,
					 .on_leaving = on_leaving,
					 .context = context };
	if (codec->owner)
		core_charge_add(codec->owner, &ret_coder->charge, encodes ? "encoder" : "decoder", true, on_revoked);
	return PBX_OK;
}

void rtp_coder_close(struct rtp_coder *coder)
{
	if (!coder->row.name)
		return;
	if (coder->encodes)
		coder->row.encoder_close(coder->state);
	else
		coder->row.decoder_close(coder->state);
	core_charge_remove(&coder->charge);
	if (coder->leaving)
		core_owner_job_done(core_owner_of(coder->leaving));
	memset(coder, 0, sizeof *coder);
}

uint32_t rtp_codec_duration(const struct pbx_codec *row, const struct pbx_codec *original, const uint8_t *payload, uint32_t bytes)
{
	if (row->duration)
		return row->duration(original, payload, bytes);
	return row->bits_per_s ? (uint32_t)((uint64_t)bytes * 8 * row->rate_hz / row->bits_per_s) : 0;
}
