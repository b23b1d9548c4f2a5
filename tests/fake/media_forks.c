/* tests/fake/media_forks.c - what legs say and hear, sent on to nobody: where each fork is aimed, and what its watcher is told */
#include "handle.h"
#include "loop.h"
#include "media.h"
#include "owner.h"
#include <stdlib.h>
#include <string.h>

#define FIRST_PORT 40000u
#define MOST_TOLD (CORE_MOST_CODECS + 1u)

struct fork {
	struct core_charge charge; /* first */
	uint64_t id, leg;
	core_stream stream;
	struct pbx_host *owner;
	struct pbx_fork_watcher watcher;
	void *self;
	uint32_t what, port;
	bool srtp, ended;
	char aim[80];
	char cname[256];
	struct pbx_fork_codec rows[MOST_TOLD];
	char fmtp[MOST_TOLD][sizeof(((struct core_codec *)0)->fmtp)], names[MOST_TOLD][sizeof(((struct core_codec *)0)->name)];
	struct fork *next;
};

static struct core_handles table;
static struct fork *forks;
static uint32_t next_port;

static void fork_free(struct fork *fork)
{
	struct fork **at = &forks;

	while (*at != fork)
		at = &(*at)->next;
	*at = fork->next;
	core_handle_free(&table, fork->id);
	core_charge_remove(&fork->charge);
	free(fork);
}

static void on_owner_stopped(struct core_charge *charge)
{
	fork_free((struct fork *)charge);
}

static void use_watcher(struct fork *fork, struct pbx_host *owner, const struct pbx_fork_watcher *watcher, void *self)
{
	fork->owner = owner;
	fork->watcher = *watcher;
	fork->self = self;
	core_charge_add(owner, &fork->charge, "fork", true, on_owner_stopped);
}

/* ---- the driver's ---- */

static int fork_open(struct pbx_host *owner, core_stream stream, pbx_leg leg, const struct pbx_fork_spec *spec,
		     const struct pbx_fork_watcher *watcher, void *self, pbx_fork *ret_fork)
{
	struct fork *fork = calloc(1, sizeof *fork);

	ck_assert_ptr_nonnull(fork);
	fork->id = core_handle_new(&table, fork);
	fork->leg = leg.id;
	fork->stream = stream;
	fork->what = spec->what;
	fork->srtp = spec->srtp;
	fork->port = next_port += 2;
	(void)snprintf(fork->cname, sizeof fork->cname, "%s", spec->cname);
	fork->next = forks;
	forks = fork;
	use_watcher(fork, owner, watcher, self);
	*ret_fork = (pbx_fork){ fork->id };
	return PBX_OK;
}

static void add_row(struct fork *fork, uint32_t at, const struct core_codec *codec, uint32_t type)
{
	memcpy(fork->names[at], codec->name, sizeof fork->names[at]);
	memcpy(fork->fmtp[at], codec->fmtp, sizeof fork->fmtp[at]);
	fork->rows[at] = (struct pbx_fork_codec){ .name = fork->names[at],
						  .fmtp = fork->fmtp[at],
						  .clock_hz = codec->clock_hz,
						  .channels = codec->channels ? codec->channels : 1,
						  .payload_type = type };
}

static uint32_t list_codecs(struct fork *fork, const struct core_stream_config *config)
{
	const struct core_codec events = { .name = "telephone-event", .clock_hz = 8000, .fmtp = "0-16" };
	uint32_t listed = 0;
	bool says = fork->what == PBX_FORK_SAYS;

	if (config->t38.on)
		return 0;
	for (; listed < config->codec_count; listed++)
		add_row(fork, listed, &config->codecs[listed], says ? config->receive_types[listed] : config->codecs[listed].payload_type);
	if (config->dtmf_type)
		add_row(fork, listed++, &events, says ? config->dtmf_receive_type : config->dtmf_type);
	return listed;
}

static int fork_local(pbx_fork handle, struct pbx_fork_local *ret_local)
{
	struct fork *fork = core_handle_find(&table, handle.id);

	if (!fork || fork->ended)
		return PBX_ENOENT;
	const struct fake_stream *stream = fake_stream_find(fork->stream);

	*ret_local =
		(struct pbx_fork_local){ .size = ret_local->size,
					 .rtp_port = fork->port,
					 .rtcp_port = fork->port + 1,
					 .ptime_ms = 20,
					 .address = "192.0.2.1",
					 .codecs = fork->rows,
					 .codec_count = list_codecs(fork, &stream->config),
					 .crypto = fork->srtp ? "1 AES_CM_128_HMAC_SHA1_80 inline:AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwd"
							      : NULL };
	return PBX_OK;
}

static int fork_aim(pbx_fork handle, const struct pbx_fork_target *target)
{
	struct fork *fork = core_handle_find(&table, handle.id);

	if (!fork || fork->ended)
		return PBX_ENOENT;
	fork->aim[0] = '\0';
	if (target)
		(void)snprintf(fork->aim, sizeof fork->aim, "%s:%u/%u", target->address, target->rtp_port,
			       target->rtcp_port ? target->rtcp_port : target->rtp_port + 1);
	return PBX_OK;
}

static int fork_state(pbx_fork handle, struct pbx_fork_state *ret_state)
{
	const struct fork *fork = core_handle_find(&table, handle.id);

	if (!fork)
		return PBX_ENOENT;
	*ret_state = (struct pbx_fork_state){
		.size = ret_state->size, .ssrc = fork->port, .ended = fork->ended, .aimed = !fork->ended && fork->aim[0], .leg = fork->leg
	};
	return PBX_OK;
}

static int fork_adopt(struct pbx_host *owner, pbx_fork handle, const struct pbx_fork_watcher *watcher, void *self)
{
	struct fork *fork = core_handle_find(&table, handle.id);

	if (!fork)
		return PBX_ENOENT;
	core_charge_remove(&fork->charge);
	use_watcher(fork, owner, watcher, self);
	return PBX_OK;
}

static int fork_close(pbx_fork handle)
{
	struct fork *fork = core_handle_find(&table, handle.id);

	if (!fork)
		return PBX_ENOENT;
	fork_free(fork);
	return PBX_OK;
}

/* ---- what happens to their legs: told after the present callback, as from the workers ---- */

static void tell(void *context, void *data)
{
	struct fork *fork = core_handle_find(&table, *(uint64_t *)data);

	(void)context;
	free(data);
	if (fork && fork->ended && fork->watcher.ended)
		CORE_INTO(fork->owner, fork->watcher.ended(fork->self, (pbx_fork){ fork->id }));
	else if (fork && !fork->ended && fork->watcher.changed)
		CORE_INTO(fork->owner, fork->watcher.changed(fork->self, (pbx_fork){ fork->id }));
}

static void tell_later(const struct fork *fork)
{
	uint64_t *id = malloc(sizeof *id);

	ck_assert_ptr_nonnull(id);
	*id = fork->id;
	ck_assert_int_eq(core_post(NULL, tell, NULL, id, free), PBX_OK);
}

static bool same_codecs(const struct core_stream_config *a, const struct core_stream_config *b)
{
	bool same = a->codec_count == b->codec_count && a->t38.on == b->t38.on && a->dtmf_type == b->dtmf_type;

	for (uint8_t i = 0; same && i < a->codec_count; i++)
		same = strcmp(a->codecs[i].name, b->codecs[i].name) == 0 && a->receive_types[i] == b->receive_types[i];
	return same;
}

void fake_forks_learn(const struct fake_stream *stream, const struct core_stream_config *config)
{
	for (const struct fork *fork = forks; fork; fork = fork->next)
		if (fork->stream.id == stream->handle.id && !fork->ended && !same_codecs(&stream->config, config))
			tell_later(fork);
}

void fake_forks_end(core_stream stream)
{
	for (struct fork *fork = forks; fork; fork = fork->next) {
		if (fork->stream.id != stream.id || fork->ended)
			continue;
		fork->ended = true;
		tell_later(fork);
	}
}

const char *fake_fork_aim(pbx_leg leg, uint32_t what)
{
	const struct fork *fork = forks;

	while (fork && (fork->ended || fork->leg != leg.id || fork->what != what))
		fork = fork->next;
	return fork ? fork->aim : NULL;
}

/* ---- beginning and end ---- */

void fake_forks_init(struct core_media_driver *driver)
{
	core_handles_init(&table, 'K');
	next_port = FIRST_PORT;
	driver->fork_open = fork_open;
	driver->fork_local = fork_local;
	driver->fork_aim = fork_aim;
	driver->fork_state = fork_state;
	driver->fork_adopt = fork_adopt;
	driver->fork_close = fork_close;
}

void fake_forks_fini(void)
{
	ck_assert_msg(!forks, "a fork is left: %s", forks ? forks->cname : "");
	core_handles_fini(&table);
}
