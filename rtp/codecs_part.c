/*
 * codecs_part - which codecs there are, and whether they work, for people
 *
 * `pbxctl codec list | test` and /media/codecs. A test takes some tens of milliseconds, so it runs in the pool, one codec after another; so do files of somebody else's
 * (codec_vectors.h), which only who has the control socket may name.
 */
#include "codec_check.h"
#include "codec_file.h"
#include "codec_vectors.h"

#include <core/owner_internal.h>
#include <core/parts.h>
#include <math.h>
#include <pbx/requests.h>
#include <stdlib.h>
#include <string.h>

struct codecs_part {
	PBX_INSTANCE(void);
	const struct pbx_jsons *json;
	const struct pbx_requests *requests;
};

/* ---- the list ---- */

static const char *owner_of(const struct rtp_codec *codec)
{
	return codec->owner ? core_owner_of(codec->owner)->name : "core";
}

static void add_codec(void *context, const struct rtp_codec *codec)
{
	struct codecs_part *part = ((void **)context)[0];
	struct pbx_json *list = ((void **)context)[1], *item = part->json->new_object();
	const struct pbx_codec *row = &codec->row;
	char name[48];

	if (!item)
		return;
	rtp_codec_name(row, name, sizeof name);
	(void)part->json->set_text(item, "name", name);
	(void)part->json->set_text(item, "plugin", owner_of(codec));
	(void)part->json->set_boolean(item, "offered", codec->offered);
	(void)part->json->set_text(item, "licence", codec->licence ? codec->licence : "");
	(void)part->json->set_integer(item, "payload_type", row->payload_type);
	(void)part->json->set_integer(item, "clock_hz", row->clock_hz);
	(void)part->json->set_integer(item, "rate_hz", row->rate_hz);
	(void)part->json->set_integer(item, "bits_per_s", row->bits_per_s);
	(void)part->json->set_integer(item, "least_ptime_ms", row->least_ptime_ms);
	(void)part->json->set_integer(item, "most_ptime_ms", row->most_ptime_ms);
	(void)part->json->append(list, item);
}

static void on_list(void *self, pbx_request request)
{
	struct codecs_part *part = self;
	struct pbx_json *list = part->json->new_array();

	if (list)
		rtp_codecs_each(add_codec, (void *[]){ part, list });
	(void)part->requests->reply(request, 200, list); /* an asker who has gone misses nothing */
}

/* ---- a test ---- */

struct testing {
	struct codecs_part *part;
	pbx_request request;
	struct pbx_json *list;
	struct rtp_codec_check *check; /* of codecs[at] */
	uint32_t count, at;
	struct core_codec codecs[RTP_MOST_CODECS];
	char names[RTP_MOST_CODECS][48];
};

static void add_wanted(void *context, const struct rtp_codec *codec)
{
	struct testing *testing = ((void **)context)[0];
	const char *wanted = ((void **)context)[1];
	char name[48];

	rtp_codec_name(&codec->row, name, sizeof name);
	if (wanted && strcasecmp(wanted, name) != 0)
		return;
	struct core_codec *added = &testing->codecs[testing->count];

	memcpy(testing->names[testing->count++], name, sizeof name);
	*added = (struct core_codec){ .clock_hz = codec->row.clock_hz, .channels = (uint8_t)codec->row.channels };
	(void)snprintf(added->name, sizeof added->name, "%s", codec->row.name);
}

static void testing_free(struct testing *testing)
{
	rtp_codec_check_free(testing->check);
	testing->part->json->free(testing->list);
	free(testing);
}

static double rounded(double value)
{
	return round(value * 100) / 100;
}

static void add_figures(const struct testing *testing, const struct rtp_codec_figures *figures)
{
	const struct pbx_jsons *json = testing->part->json;
	struct pbx_json *item = json->new_object();

	if (!item)
		return;
	(void)json->set_text(item, "name", testing->names[testing->at]);
	(void)json->set_boolean(item, "ok", figures->passed);
	(void)json->set_text(item, "reason", figures->reason);
	(void)json->set_integer(item, "ptime_ms", figures->ptime_ms);
	(void)json->set_integer(item, "bytes", figures->bytes);
	(void)json->set_number(item, "snr_db", rounded(figures->snr_db));
	(void)json->set_number(item, "gain_db", rounded(figures->gain_db));
	(void)json->set_number(item, "loud_db", rounded(figures->loud_db));
	(void)json->set_number(item, "silence_dbfs", rounded(figures->silence_dbfs));
	(void)json->set_number(item, "encode_ms", rounded(figures->encode_ms));
	(void)json->set_number(item, "decode_ms", rounded(figures->decode_ms));
	(void)json->append(testing->list, item);
}

static void test_next(struct testing *testing);

static void on_tested(void *self, void *job, int status)
{
	struct testing *testing = job;

	(void)self;
	if (status != PBX_OK) { /* we are being stopped: requests are answered for us */
		testing_free(testing);
		return;
	}
	add_figures(testing, rtp_codec_check_figures(testing->check));
	rtp_codec_check_free(testing->check);
	testing->check = NULL;
	testing->at++;
	test_next(testing);
}

static void run_check(void *job)
{
	rtp_codec_check_run(((struct testing *)job)->check);
}

static void test_next(struct testing *testing)
{
	struct codecs_part *part = testing->part;
	int err = PBX_OK;

	if (testing->at == testing->count) {
		(void)part->requests->reply(testing->request, 200, testing->list);
		testing->list = NULL; /* taken */
		testing_free(testing);
		return;
	}
	err = rtp_codec_check_new(&testing->codecs[testing->at], &testing->check);
	if (err == PBX_OK)
		err = part->host->work(part->host, run_check, on_tested, testing);
	if (err == PBX_OK)
		return;
	(void)part->requests->fail(testing->request, 503, "not_tested", "name",
				   "%s cannot be opened now: its plugin has gone, or there is no memory", testing->names[testing->at]);
	testing_free(testing);
}

static void no_such_codec(const struct codecs_part *part, pbx_request request, const char *name)
{
	(void)part->requests->fail(request, 404, "no_such_codec", "name", "there is no codec %s: `pbxctl codec list` shows which there are",
				   name);
}

static void on_test(void *self, pbx_request request)
{
	struct codecs_part *part = self;
	const char *name = part->requests->text(request, "name");
	struct testing *testing = calloc(1, sizeof *testing);

	if (testing) {
		*testing = (struct testing){ .part = part, .request = request, .list = part->json->new_array() };
		rtp_codecs_each(add_wanted, (void *[]){ testing, (void *)(uintptr_t)name });
	}
	if (!testing || !testing->list) {
		free(testing);
		(void)part->requests->fail(request, 503, "no_memory", NULL, "no memory; try again later");
	} else if (testing->count == 0) {
		no_such_codec(part, request, name);
		testing_free(testing);
	} else {
		test_next(testing);
	}
}

/* ---- vectors ---- */

struct vectoring {
	struct codecs_part *part;
	pbx_request request;
	struct pbx_json *list;
	struct core_codec codec;
	char folder[RTP_VECTOR_PATH];
	int found; /* PBX_… of looking for them */
	struct rtp_vector *vectors;
	uint32_t count, at;
	struct rtp_vector_check *check; /* of vectors[at] */
};

static void vectoring_free(struct vectoring *vectoring)
{
	rtp_vector_check_free(vectoring->check);
	vectoring->part->json->free(vectoring->list);
	free(vectoring->vectors);
	free(vectoring);
}

static void add_vector(const struct vectoring *vectoring)
{
	const struct pbx_jsons *json = vectoring->part->json;
	const char *reason = rtp_vector_check_reason(vectoring->check);
	struct pbx_json *item = json->new_object();

	if (!item)
		return;
	(void)json->set_text(item, "name", vectoring->codec.name);
	(void)json->set_text(item, "vector", vectoring->vectors[vectoring->at].name);
	(void)json->set_boolean(item, "ok", !*reason);
	(void)json->set_text(item, "reason", reason);
	(void)json->append(vectoring->list, item);
}

static void vector_next(struct vectoring *vectoring);

static void on_compared(void *self, void *job, int status)
{
	struct vectoring *vectoring = job;

	(void)self;
	if (status != PBX_OK) { /* we are being stopped: requests are answered for us */
		vectoring_free(vectoring);
		return;
	}
	add_vector(vectoring);
	rtp_vector_check_free(vectoring->check);
	vectoring->check = NULL;
	vectoring->at++;
	vector_next(vectoring);
}

static void run_vector(void *job)
{
	rtp_vector_check_run(((struct vectoring *)job)->check);
}

static void vector_next(struct vectoring *vectoring)
{
	struct codecs_part *part = vectoring->part;

	if (vectoring->at == vectoring->count) {
		(void)part->requests->reply(vectoring->request, 200, vectoring->list);
		vectoring->list = NULL; /* taken */
		vectoring_free(vectoring);
		return;
	}
	int err = rtp_vector_check_new(&vectoring->codec, &vectoring->vectors[vectoring->at], &vectoring->check);

	if (err == PBX_OK)
		err = part->host->work(part->host, run_vector, on_compared, vectoring);
	if (err == PBX_OK)
		return;
	(void)part->requests->fail(vectoring->request, 503, "not_tested", "name",
				   "%s cannot be opened so: its plugin has gone, it takes no such fmtp, or there is no memory",
				   vectoring->codec.name);
	vectoring_free(vectoring);
}

static void look_for_vectors(void *job)
{
	struct vectoring *vectoring = job;

	vectoring->found = rtp_vectors_find(vectoring->folder, &vectoring->vectors, &vectoring->count);
}

static void on_looked(void *self, void *job, int status)
{
	struct vectoring *vectoring = job;

	(void)self;
	if (status == PBX_OK && vectoring->found == PBX_OK) {
		vector_next(vectoring);
		return;
	}
	if (status == PBX_OK)
		(void)vectoring->part->requests->fail(
			vectoring->request, 422, "no_vectors", "vectors",
			"%s has no vectors that pbxd can read: NAME.in and NAME.bit for an encoder, NAME.bit and NAME.out for a decoder",
			vectoring->folder);
	vectoring_free(vectoring);
}

static void test_vectors(struct codecs_part *part, pbx_request request, const char *name, const char *folder)
{
	const char *fmtp = part->requests->text(request, "fmtp");
	struct testing named = { .count = 0 };
	struct vectoring *vectoring = calloc(1, sizeof *vectoring);
	int err = vectoring ? PBX_OK : PBX_ENOMEM;

	rtp_codecs_each(add_wanted, (void *[]){ &named, (void *)(uintptr_t)name });
	if (err == PBX_OK && named.count != 1) {
		no_such_codec(part, request, name);
		free(vectoring);
		return;
	}
	if (err == PBX_OK) {
		*vectoring =
			(struct vectoring){ .part = part, .request = request, .list = part->json->new_array(), .codec = named.codecs[0] };
		(void)snprintf(vectoring->folder, sizeof vectoring->folder, "%s", folder);
		(void)snprintf(vectoring->codec.fmtp, sizeof vectoring->codec.fmtp, "%s", fmtp ? fmtp : "");
		err = vectoring->list ? part->host->work(part->host, look_for_vectors, on_looked, vectoring) : PBX_ENOMEM;
	}
	if (err == PBX_OK)
		return;
	(void)part->requests->fail(request, 503, "no_memory", NULL, "no memory; try again later");
	free(vectoring);
}

static void on_test_command(void *self, pbx_request request)
{
	struct codecs_part *part = self;
	const char *name = part->requests->text(request, "name"), *folder = part->requests->text(request, "vectors");

	if (!folder)
		on_test(self, request);
	else if (name)
		test_vectors(part, request, name, folder);
	else
		(void)part->requests->fail(request, 422, "no_codec", "name", "vectors are of one codec: name it");
}

/* ---- a file ---- */

struct converting {
	struct codecs_part *part;
	pbx_request request;
	struct rtp_codec_file *file;
};

static void converting_free(struct converting *converting)
{
	rtp_codec_file_free(converting->file);
	free(converting);
}

static void say_converted(const struct converting *converting, const struct rtp_codec_file_result *result)
{
	const struct pbx_jsons *json = converting->part->json;
	struct pbx_json *answer = json->new_object();

	if (answer) {
		(void)json->set_integer(answer, "packets", (int64_t)result->packets);
		(void)json->set_integer(answer, "octets", (int64_t)result->octets);
		(void)json->set_integer(answer, "ms", (int64_t)result->ms);
	}
	(void)converting->part->requests->reply(converting->request, 200, answer); /* an asker who has gone misses nothing */
}

static void on_converted(void *self, void *job, int status)
{
	struct converting *converting = job;
	const struct rtp_codec_file_result *result = rtp_codec_file_result(converting->file);
	bool from = result->error == PBX_ENOENT || result->error == PBX_EINVAL || result->error == PBX_ENOMEM;

	(void)self;
	if (status == PBX_OK && result->error == PBX_OK)
		say_converted(converting, result);
	else if (status == PBX_OK) /* else we are being stopped: requests are answered for us */
		(void)converting->part->requests->fail(
			converting->request, 422, "not_converted", from ? "from" : "to", "%s",
			result->error == PBX_EEXIST ? "what to write is there already: name another file"
			: result->error == PBX_EIO
				? "pbxd cannot write there: name a file in a folder that it may write to, its data folder for one"
			: result->error == PBX_ENOTSUP ? "the codec fails: `codec test` tells more"
						       : "what to read is not there, or no sound that pbxd can read");
	converting_free(converting);
}

static void run_file(void *job)
{
	rtp_codec_file_run(((struct converting *)job)->file);
}

static void on_transcode(void *self, pbx_request request)
{
	struct codecs_part *part = self;
	const char *name = part->requests->text(request, "name"), *fmtp = part->requests->text(request, "fmtp");
	struct testing named = { .count = 0 };
	struct converting *converting = calloc(1, sizeof *converting);
	int err = converting ? PBX_OK : PBX_ENOMEM;

	rtp_codecs_each(add_wanted, (void *[]){ &named, (void *)(uintptr_t)name });
	if (err == PBX_OK && named.count != 1) {
		no_such_codec(part, request, name);
		free(converting);
		return;
	}
	if (err == PBX_OK) {
		*converting = (struct converting){ .part = part, .request = request };
		(void)snprintf(named.codecs[0].fmtp, sizeof named.codecs[0].fmtp, "%s", fmtp ? fmtp : "");
		err = rtp_codec_file_new(&named.codecs[0], part->requests->text(request, "from"), part->requests->text(request, "to"),
					 &converting->file);
	}
	if (err == PBX_OK)
		err = part->host->work(part->host, run_file, on_converted, converting);
	if (err == PBX_OK)
		return;
	(void)part->requests->fail(request, 503, "not_converted", "name",
				   "%s cannot be opened so: its plugin has gone, it takes no such fmtp, or there is no memory", name);
	if (converting)
		converting_free(converting);
}

/* ---- the card ---- */

static const struct pbx_arg test_args[] = {
	{ .name = "name",
	  .type = PBX_TYPE_TEXT,
	  .most = 47,
	  .help = "The codec, as `codec list` names it: G722, L16/16000; left out: all" },
};

static const struct pbx_arg command_args[] = {
	{ .name = "name",
	  .type = PBX_TYPE_TEXT,
	  .most = 47,
	  .help = "The codec, as `codec list` names it: G722, L16/16000; left out: all" },
	{ .name = "vectors",
	  .type = PBX_TYPE_TEXT,
	  .least = 1,
	  .most = RTP_VECTOR_PATH - 1,
	  .help = "A folder of test sequences: NAME.in (samples, 16 bit little-endian), NAME.bit (octets as in RTP, or ITU-T G.192), "
		  "NAME.out or NAME.pst "
		  "(samples again); all is compared to the last bit" },
	{ .name = "fmtp", .type = PBX_TYPE_TEXT, .most = 99, .help = "Parameters of the codec for those: annexb=no, mode=20" },
};

static const struct pbx_arg transcode_args[] = {
	{ .name = "name", .type = PBX_TYPE_TEXT, .flags = PBX_ARG_REQUIRED, .most = 47, .help = "The codec, as `codec list` names it" },
	{ .name = "from",
	  .type = PBX_TYPE_TEXT,
	  .flags = PBX_ARG_REQUIRED,
	  .least = 1,
	  .most = RTP_CODEC_FILE_PATH - 1,
	  .help = "A sound file that pbxd can read: WAV, FLAC, Ogg, MP3" },
	{ .name = "to",
	  .type = PBX_TYPE_TEXT,
	  .flags = PBX_ARG_REQUIRED,
	  .least = 1,
	  .most = RTP_CODEC_FILE_PATH - 1,
	  .help = "What to write, which must not be there yet: the octets of its packets, one behind the other, as FFmpeg reads G.722, "
		  "G.729 or GSM" },
	{ .name = "fmtp", .type = PBX_TYPE_TEXT, .most = 99, .help = "Parameters of the codec: annexb=no, mode=20" },
};

static const struct pbx_field list_fields[] = {
	{ "name", PBX_TYPE_TEXT, "As media.codecs takes it" },
	{ "plugin", PBX_TYPE_TEXT, "Whose it is" },
	{ "offered", PBX_TYPE_BOOL, "We offer it; else it is taken when others do" },
	{ "licence", PBX_TYPE_TEXT, "Of its library, where that asks more than the daemon's; empty: it does not" },
	{ "payload_type", PBX_TYPE_INT, "Its number in our offers, unless that is taken" },
	{ "clock_hz", PBX_TYPE_INT, "Of RTP timestamps" },
	{ "rate_hz", PBX_TYPE_INT, "Of samples" },
	{ "bits_per_s", PBX_TYPE_INT, "Usually, without headers" },
	{ "least_ptime_ms", PBX_TYPE_INT, "The shortest packets that we make" },
	{ "most_ptime_ms", PBX_TYPE_INT, "The longest" },
};

static const struct pbx_field test_fields[] = {
	{ "name", PBX_TYPE_TEXT, "The codec" },
	{ "ok", PBX_TYPE_BOOL, "It does what it should" },
	{ "reason", PBX_TYPE_TEXT, "Why it does not; empty: it does" },
	{ "ptime_ms", PBX_TYPE_INT, "Of a packet" },
	{ "bytes", PBX_TYPE_INT, "Octets of a packet, on average" },
	{ "snr_db", PBX_TYPE_NUMBER, "A tone of 1004 Hz at -12 dBFS over what the codec adds to it" },
	{ "gain_db", PBX_TYPE_NUMBER, "How much louder it comes back" },
	{ "loud_db", PBX_TYPE_NUMBER, "A tone of 400 Hz at full scale over what the codec adds to it" },
	{ "silence_dbfs", PBX_TYPE_NUMBER, "What is heard of silence; -120: nothing" },
	{ "encode_ms", PBX_TYPE_NUMBER, "CPU to encode a second of sound" },
	{ "decode_ms", PBX_TYPE_NUMBER, "CPU to decode it" },
};

static const struct pbx_route routes[] = {
	{ .method = "GET",
	  .path = "/media/codecs",
	  .handle = on_list,
	  .scope = "media:read",
	  .summary = "Codecs that there are, best first",
	  .reply = PBX_TABLE(list_fields) },
	{ .method = "POST",
	  .path = "/media/codecs:test",
	  .handle = on_test,
	  .scope = "media:read",
	  .summary = "Pass a tone, a loud tone and silence through codecs and measure what comes back",
	  .args = PBX_TABLE(test_args),
	  .reply = PBX_TABLE(test_fields) },
};

static const struct pbx_command commands[] = {
	{ .words = "codec list",
	  .handle = on_list,
	  .help = "Shows codecs that there are, best first",
	  .columns = "name,plugin,offered,payload_type,clock_hz,rate_hz,bits_per_s,least_ptime_ms,most_ptime_ms,licence" },
	{ .words = "codec transcode",
	  .handle = on_transcode,
	  .help = "Encodes a sound file, so that another program can be asked what is in it",
	  .flags = PBX_ROUTE_WRITES,
	  .args = PBX_TABLE(transcode_args) },
	{ .words = "codec test",
	  .handle = on_test_command,
	  .help = "Passes a tone, a loud tone and silence through codecs and measures what comes back, or compares one with a folder of "
		  "test sequences",
	  .args = PBX_TABLE(command_args),
	  .columns = "name,vector,ok,ptime_ms,bytes,snr_db,gain_db,loud_db,silence_dbfs,encode_ms,decode_ms,reason" },
};

static int codecs_start(void *self)
{
	struct codecs_part *part = self;

	part->json = pbx_jsons(part->host);
	part->requests = pbx_requests(part->host);
	return PBX_OK;
}

const struct pbx_plugin codecs_part = {
	PBX_PLUGIN_HEADER,
	.name = "codecs",
	.version = PBX_VERSION,
	.summary = "Codecs: which there are, and whether they work",
	.needs = PBX_NEEDS("pbx.json/1", "pbx.requests/1"),
	.instance_size = sizeof(struct codecs_part),
	.routes = PBX_TABLE(routes),
	.commands = PBX_TABLE(commands),
	.start = codecs_start,
};
