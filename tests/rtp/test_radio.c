/* tests/rtp/test_radio.c - a programme from the network: every codec, a server that sends us on, dies, comes back, or is not allowed */
#include "../check_main.h"
#include "rig.h"

#include <arpa/inet.h>
#include <core/fetch_guard.h>
#include <math.h>
#include <poll.h>
#include <pthread.h>
#include <rtp/g711.h>
#include <rtp/source.h>
#include <sndfile.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

/* A station: sends one file over and over to whoever connects, as fast as it is taken. */
static struct station {
	pthread_t thread;
	int listener, quit[2];
	uint16_t port;
	char path[64];
	const char *head; /* what it says before the sound */
	_Atomic bool silent, cut;
	_Atomic int visitors;
	_Atomic size_t sent;
} station;

static struct phone phone;
static char song[64];
static int16_t heard[8 * 8000];

static bool is_over(int for_ms)
{
	struct pollfd quit = { .fd = station.quit[0], .events = POLLIN };

	return poll(&quit, 1, for_ms) > 0;
}

static bool say(int fd, const char *bytes, size_t size)
{
	for (size_t done = 0; done < size;) {
		struct pollfd both[] = { { .fd = fd, .events = POLLOUT }, { .fd = station.quit[0], .events = POLLIN } };

		(void)poll(both, 2, 100);
		if (both[1].revents || atomic_load(&station.cut))
			return false;
		ssize_t wrote = send(fd, bytes + done, size - done, MSG_NOSIGNAL | MSG_DONTWAIT);

		if (wrote > 0)
			done += (size_t)wrote;
		else if (wrote < 0 && errno != EAGAIN)
			return false;
	}
	atomic_fetch_add(&station.sent, size);
	return true;
}

static void serve(int fd)
{
	static char bytes[1 << 20];
	char request[2048];
	FILE *file = fopen(station.path, "rb");
	size_t size = file ? fread(bytes, 1, sizeof bytes, file) : 0;

	ck_assert_uint_gt(size, 0);
	(void)fclose(file);
	(void)!read(fd, request, sizeof request);
	if (strstr(request, "GET /elsewhere")) {
		(void)say(fd, "HTTP/1.1 302 Found\r\nLocation: /song\r\nContent-Length: 5\r\n\r\nthere", 62);
		return;
	}
	if (!say(fd, station.head, strlen(station.head)))
		return;
	while (say(fd, bytes, size)) {
		while (atomic_load(&station.silent) && !is_over(20) && !atomic_load(&station.cut))
			;
	}
}

static void *station_main(void *argument)
{
	(void)argument;
	for (;;) {
		struct pollfd both[] = { { .fd = station.listener, .events = POLLIN }, { .fd = station.quit[0], .events = POLLIN } };

		(void)poll(both, 2, -1);
		if (both[1].revents)
			return NULL;
		int fd = accept(station.listener, NULL, NULL), most = 16384;

		(void)setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &most, sizeof most);
		atomic_fetch_add(&station.visitors, 1);
		serve(fd);
		(void)close(fd);
	}
}

static void station_open(const char *path, const char *head)
{
	struct sockaddr_in address = { .sin_family = AF_INET, .sin_addr = { htonl(INADDR_LOOPBACK) } };
	socklen_t size = sizeof address;

	(void)snprintf(station.path, sizeof station.path, "%s", path);
	station.head = head;
	station.silent = station.cut = false;
	station.visitors = 0;
	station.sent = 0;
	station.listener = socket(AF_INET, SOCK_STREAM, 0);
	ck_assert_int_eq(bind(station.listener, (struct sockaddr *)&address, size), 0);
	ck_assert_int_eq(listen(station.listener, 5), 0);
	ck_assert_int_eq(getsockname(station.listener, (struct sockaddr *)&address, &size), 0);
	station.port = ntohs(address.sin_port);
	ck_assert_int_eq(pipe(station.quit), 0);
	ck_assert_int_eq(pthread_create(&station.thread, NULL, station_main, NULL), 0);
}

static void station_close(void)
{
	ck_assert_int_eq(write(station.quit[1], "", 1), 1);
	(void)pthread_join(station.thread, NULL);
	(void)(close(station.listener) | close(station.quit[0]) | close(station.quit[1]));
	(void)unlink(station.path);
}

static void make_song_of(int seconds, int format, double hz, int rate_hz, int channels)
{
	SF_INFO info = { .samplerate = rate_hz, .channels = channels, .format = format };

	(void)snprintf(song, sizeof song, "/tmp/test_radio_XXXXXX");
	int fd = mkstemp(song);
	SNDFILE *file = sf_open_fd(fd, SFM_WRITE, &info, 1);

	ck_assert_msg(file != NULL, "%s", sf_strerror(NULL));
	if ((format & SF_FORMAT_TYPEMASK) == SF_FORMAT_MPEG) { /* many octets a second, so that what is underway is soon over */
		int mode = SF_BITRATE_MODE_CONSTANT;
		double level = 0;

		(void)sf_command(file, SFC_SET_BITRATE_MODE, &mode, sizeof mode);
		(void)sf_command(file, SFC_SET_COMPRESSION_LEVEL, &level, sizeof level);
	}
	for (int i = 0; i < seconds * rate_hz; i++) {
		float value = (float)(0.25 * sin(2 * M_PI * hz * i / rate_hz)), frame[2] = { value, value };

		ck_assert_int_eq(sf_writef_float(file, frame, 1), 1);
	}
	ck_assert_int_eq(sf_close(file), 0);
}

static void make_song(int format, double hz, int rate_hz, int channels)
{
	make_song_of(3, format, hz, rate_hz, channels);
}

static size_t song_bytes(void)
{
	struct stat file;

	ck_assert_int_eq(stat(song, &file), 0);
	return (size_t)file.st_size;
}

static void allow(const char *where)
{
	char *entry = (char *)(uintptr_t)where;
	const struct pbx_list list = { .items = (const char *const *)&entry, .count = 1 };
	struct pbx_diag diag;

	ck_assert_int_eq(core_fetch_guard_allow(&list, &diag), PBX_OK);
}

static const char *at_station(const char *path)
{
	static char url[64];

	(void)snprintf(url, sizeof url, "http://127.0.0.1:%u%s", station.port, path);
	return url;
}

/* The phone listens to the url, or to a file with that frequency meanwhile. */
static pbx_source listen_to(const char *url, const char *file)
{
	struct pbx_source_spec spec = {
		.size = sizeof spec, .name = "radio", .url = url, .files = &file, .file_count = file ? 1 : 0, .order = PBX_SOURCE_IN_ORDER
	};
	pbx_source source;

	phone_init(&phone, AF_INET);
	phone_call(&phone, 1, "PCMU");
	ck_assert_int_eq(rtp_driver.source_open(NULL, &spec, &source), PBX_OK);
	ck_assert_int_eq(rtp_driver.play(phone.stream, &(struct core_play){ .kind = CORE_PLAY_SOURCE, .source = source, .tag = 1 }),
			 PBX_OK);
	return source;
}

static bool comes(double hz)
{
	for (int i = 0; i < 100; i++) { /* quarters of a second */
		phone_record(&phone, RTP_LAW_MU, heard, 2000);
		if (share_of(heard, 2000, hz) > 0.9 && level_dbfs(heard, 2000) > -30)
			return true;
	}
	return false;
}

static void over(pbx_source source)
{
	ck_assert_int_eq(rtp_driver.source_close(source), PBX_OK);
	phone_fini(&phone);
	station_close();
	rig_stop();
	core_fetch_guard_fini();
}

static void begin(const char *head)
{
	rig_start();
	station_open(song, head);
	allow("127.0.0.1:*");
}

static const char *const OK = "HTTP/1.0 200 OK\r\nContent-Type: audio/anything\r\n\r\n";

static const struct {
	int format, rate_hz, channels;
} codecs[] = {
	{ SF_FORMAT_MPEG | SF_FORMAT_MPEG_LAYER_III, 44100, 2 },
	{ SF_FORMAT_OGG | SF_FORMAT_VORBIS, 44100, 2 },
	{ SF_FORMAT_OGG | SF_FORMAT_OPUS, 48000, 2 },
	{ SF_FORMAT_MPEG | SF_FORMAT_MPEG_LAYER_III, 22050, 1 },
};

START_TEST(every_codec_is_heard)
{
	struct pbx_source_state state = { .size = sizeof state };

	for (size_t i = 0; i < sizeof codecs / sizeof codecs[0]; i++) {
		make_song_of(1, codecs[i].format, 700, codecs[i].rate_hz, codecs[i].channels);
		begin(OK);
		pbx_source source = listen_to(at_station("/song"), NULL);

		ck_assert_msg(comes(700), "codec %zu", i);
		/* Several rounds of the file, and no hole: an Ogg stream becomes a chain. */
		phone_record(&phone, RTP_LAW_MU, heard, 20000);
		for (size_t at = 0; at + 1600 <= 20000; at += 1600)
			ck_assert_msg(level_dbfs(heard + at, 1600) > -25, "codec %zu: a hole at %zu", i, at);
		ck_assert_int_eq(rtp_driver.source_state(source, &state), PBX_OK);
		ck_assert(state.streaming && state.listeners == 1);
		over(source);
	}
}
END_TEST

START_TEST(what_nobody_takes_is_not_fetched)
{
	make_song(codecs[0].format, 700, 44100, 2);
	begin(OK);
	pbx_source source = listen_to(at_station("/song"), NULL);

	ck_assert(comes(700));
	phone_record(&phone, RTP_LAW_MU, heard, 24000);
	size_t sent = atomic_load(&station.sent);

	phone_record(&phone, RTP_LAW_MU, heard, 24000); /* 3 s of sound: one round of the file, or two */
	ck_assert_uint_le(atomic_load(&station.sent) - sent, 2 * song_bytes());
	over(source);
}
END_TEST

START_TEST(a_server_may_send_us_on_and_may_say_icy)
{
	make_song(codecs[0].format, 700, 44100, 2);
	begin("ICY 200 OK\r\nicy-name: old\r\n\r\n");
	pbx_source source = listen_to(at_station("/elsewhere"), NULL);

	ck_assert(comes(700));
	ck_assert_int_ge(atomic_load(&station.visitors), 2);
	over(source);
}
END_TEST

START_TEST(files_are_heard_while_the_stream_is_dead)
{
	char file[64];

	make_wav(file, 1200, 8000, 1, 2);
	make_song(codecs[0].format, 700, 44100, 2);
	begin(OK);
	pbx_source source = listen_to(at_station("/song"), file);

	ck_assert(comes(700));
	atomic_store(&station.cut, true);
	ck_assert(comes(1200));
	atomic_store(&station.cut, false);
	ck_assert(comes(700)); /* within the 25 s of comes(): it was tried again after 5 */
	over(source);
	(void)unlink(file);
}
END_TEST

START_TEST(a_station_that_falls_silent_is_given_up)
{
	char file[64];

	make_wav(file, 1200, 8000, 1, 2);
	make_song(codecs[0].format, 700, 44100, 2);
	begin(OK);
	atomic_store(&station.silent, true); /* after the file: 3 s of sound */
	pbx_source source = listen_to(at_station("/song"), file);

	ck_assert(comes(700));
	ck_assert(comes(1200));
	atomic_store(&station.silent, false);
	ck_assert(comes(700));
	over(source);
	(void)unlink(file);
}
END_TEST

START_TEST(what_is_no_sound_and_what_is_not_allowed_is_not_heard)
{
	char file[64];

	make_wav(file, 1200, 8000, 1, 2);
	make_song(codecs[0].format, 700, 44100, 2);
	begin("HTTP/1.1 200 OK\r\nContent-Type: text/html\r\n\r\n<html><head><title>Somebody's list of "
	      "streams</title></head><body>\n</body>");
	pbx_source source = listen_to(at_station("/song"), file);

	ck_assert(comes(1200));
	rig_until(atomic_load(&station.visitors) >= 1);
	ck_assert(!core_fetch_guard_permits("127.0.0.2", station.port, (struct sockaddr *)&(struct sockaddr_in){ .sin_family = AF_INET }));
	over(source);

	make_song(codecs[0].format, 700, 44100, 2);
	begin(OK);
	core_fetch_guard_fini(); /* loopback is not public */
	source = listen_to(at_station("/song"), file);
	ck_assert(comes(1200));
	ck_assert_int_eq(atomic_load(&station.visitors), 0);
	over(source);
	(void)unlink(file);
}
END_TEST

START_TEST(nobody_listens_and_the_station_is_left_alone)
{
	make_song(codecs[0].format, 700, 44100, 2);
	begin(OK);
	const char *url = at_station("/song");
	const struct pbx_source_spec spec = { .size = sizeof spec, .name = "radio", .url = url };
	pbx_source source, other;

	ck_assert_int_eq(rtp_driver.source_open(NULL, &spec, &source), PBX_OK);
	other = listen_to(url, NULL);
	ck_assert(comes(700));
	ck_assert_int_eq(atomic_load(&station.visitors), 1);
	ck_assert_int_eq(rtp_driver.source_close(source), PBX_OK);
	over(other);
}
END_TEST

CHECK_MAIN("radio", every_codec_is_heard, what_nobody_takes_is_not_fetched, a_server_may_send_us_on_and_may_say_icy,
	   files_are_heard_while_the_stream_is_dead, a_station_that_falls_silent_is_given_up,
	   what_is_no_sound_and_what_is_not_allowed_is_not_heard, nobody_listens_and_the_station_is_left_alone)
