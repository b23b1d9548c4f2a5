/*
 * radio - a programme from the network, with the patience of somebody who keeps turning the dial
 *
 * The thread asks the codec for sound, the codec asks for octets, and only then is the connection looked at: one waiting place for
 * everything, left at once when we are told to quit. A connection that says nothing for ten seconds is given up, like one that ends;
 * five seconds later the next is tried. The address is typed by a person: where it may lead is decided by the guard of the HTTP client.
 */
#include "radio.h"
#include "live.h"
#include "session.h"

#include <core/fetch_guard.h>
#include <core/log.h>
#include <curl/curl.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#define RETRY_MS 5000
#define LOOK_MS 1000
#define FULL_MS 100 /* how often a full ring is looked at */
#define CONNECT_MS 10000L
#define SILENT_S 10L
#define OCTETS 32768u
#define MOST_HOPS 5u
#define URL_BYTES 1024u
#define AFTER_PAUSE RTP_DECODED_HZ /* a second */
#define DECODE_AT_ONCE 800u

struct rtp_radio {
	_Atomic uint32_t refs; /* who made it, the thread */
	_Atomic bool quit;
	int quit_fd;
	char *url, *name;

	int16_t ring[RTP_RADIO_SAMPLES];
	_Atomic uint64_t written, read;
	_Atomic bool broken; /* the thread has lost its connection: what is in the ring is all there is */
	bool heard;          /* the reader's */

	/* The thread's own. */
	CURLM *multi;
	CURL *easy;
	struct curl_slist *aliases; /* of "HTTP/1.0 200 OK": old stations say ICY */
	char address[URL_BYTES], host[256];
	uint16_t port;
	uint8_t octets[OCTETS];
	size_t octets_have, octets_at;
	bool paused, over, refused, said;
	CURLcode code;
	char error[CURL_ERROR_SIZE];
};

static pthread_mutex_t count_lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t count_changed = PTHREAD_COND_INITIALIZER;
static uint32_t threads;

/* ---- the connection ---- */

static size_t on_octets(char *octets, size_t one, size_t size, void *self)
{
	struct rtp_radio *radio = self;

	(void)one; /* always 1 */
	if (radio->octets_at > 0) {
		radio->octets_have -= radio->octets_at;
		memmove(radio->octets, radio->octets + radio->octets_at, radio->octets_have);
		radio->octets_at = 0;
	}
	if (size > OCTETS - radio->octets_have) {
		radio->paused = true;
		return CURL_WRITEFUNC_PAUSE;
	}
	memcpy(radio->octets + radio->octets_have, octets, size);
	radio->octets_have += size;
	return size;
}

static curl_socket_t on_open_socket(void *self, curlsocktype purpose, struct curl_sockaddr *address)
{
	struct rtp_radio *radio = self;

	(void)purpose;
	if (!core_fetch_guard_permits(radio->host, radio->port, &address->addr)) {
		radio->refused = true;
		return CURL_SOCKET_BAD;
	}
	const int most = OCTETS;
	int fd = socket(address->family, address->socktype | SOCK_CLOEXEC, address->protocol);

	if (fd >= 0)
		(void)setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &most, sizeof most); /* else the kernel would gather minutes */
	return fd;
}

static bool read_address(struct rtp_radio *radio)
{
	CURLU *url = curl_url();
	char *host = NULL, *port = NULL;
	bool good = url && curl_url_set(url, CURLUPART_URL, radio->address, 0) == CURLUE_OK &&
		    curl_url_get(url, CURLUPART_HOST, &host, 0) == CURLUE_OK &&
		    curl_url_get(url, CURLUPART_PORT, &port, CURLU_DEFAULT_PORT) == CURLUE_OK && strlen(host) < sizeof radio->host;

	if (good) {
		(void)snprintf(radio->host, sizeof radio->host, "%s", host);
		radio->port = (uint16_t)strtoul(port, NULL, 10);
	}
	curl_free(host);
	curl_free(port);
	curl_url_cleanup(url);
	return good;
}

static bool configure(struct rtp_radio *radio)
{
	CURL *easy = radio->easy;

	return curl_easy_setopt(easy, CURLOPT_URL, radio->address) == CURLE_OK &&
	       curl_easy_setopt(easy, CURLOPT_PROTOCOLS_STR, "http,https") == CURLE_OK &&
	       curl_easy_setopt(easy, CURLOPT_PROXY, "") == CURLE_OK && curl_easy_setopt(easy, CURLOPT_NOSIGNAL, 1L) == CURLE_OK &&
	       curl_easy_setopt(easy, CURLOPT_HTTP200ALIASES, radio->aliases) == CURLE_OK &&
	       curl_easy_setopt(easy, CURLOPT_HTTP09_ALLOWED, 0L) == CURLE_OK &&
	       curl_easy_setopt(easy, CURLOPT_USERAGENT, "Warden-PBX/" PBX_VERSION) == CURLE_OK &&
	       curl_easy_setopt(easy, CURLOPT_FAILONERROR, 1L) == CURLE_OK &&
	       curl_easy_setopt(easy, CURLOPT_CONNECTTIMEOUT_MS, CONNECT_MS) == CURLE_OK &&
	       curl_easy_setopt(easy, CURLOPT_LOW_SPEED_LIMIT, 1L) == CURLE_OK &&
	       curl_easy_setopt(easy, CURLOPT_LOW_SPEED_TIME, SILENT_S) == CURLE_OK &&
	       curl_easy_setopt(easy, CURLOPT_ERRORBUFFER, radio->error) == CURLE_OK &&
	       curl_easy_setopt(easy, CURLOPT_OPENSOCKETFUNCTION, on_open_socket) == CURLE_OK &&
	       curl_easy_setopt(easy, CURLOPT_OPENSOCKETDATA, radio) == CURLE_OK &&
	       curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, on_octets) == CURLE_OK &&
	       curl_easy_setopt(easy, CURLOPT_WRITEDATA, radio) == CURLE_OK &&
	       curl_easy_setopt(easy, CURLOPT_QUICK_EXIT, 1L) == CURLE_OK; /* a name that is being asked for is not waited for */
}

static void disconnect(struct rtp_radio *radio)
{
	if (radio->easy) {
		(void)curl_multi_remove_handle(radio->multi, radio->easy);
		curl_easy_cleanup(radio->easy);
	}
	radio->easy = NULL;
	curl_slist_free_all(radio->aliases);
	radio->aliases = NULL;
}

static int connect_to(struct rtp_radio *radio)
{
	radio->octets_have = radio->octets_at = 0;
	radio->paused = radio->over = radio->refused = false;
	radio->code = CURLE_OK;
	radio->error[0] = '\0';
	if (!read_address(radio))
		return PBX_EINVAL;
	radio->easy = curl_easy_init();
	radio->aliases = curl_slist_append(NULL, "ICY 200 OK");
	if (radio->easy && radio->aliases && configure(radio) && curl_multi_add_handle(radio->multi, radio->easy) == CURLM_OK)
		return PBX_OK;
	return PBX_ENOMEM;
}

/* Lets the connection work, waiting for it a while when it has nothing to do. */
static void work_on(struct rtp_radio *radio)
{
	struct curl_waitfd quit = { .fd = radio->quit_fd, .events = CURL_WAIT_POLLIN };
	CURLMsg *message;
	int running, left;

	if (radio->paused) {
		radio->paused = false;
		(void)curl_easy_pause(radio->easy, CURLPAUSE_CONT);
	}
	(void)curl_multi_perform(radio->multi, &running);
	while ((message = curl_multi_info_read(radio->multi, &left))) {
		radio->over = radio->over || message->msg == CURLMSG_DONE;
		radio->code = message->data.result;
	}
	if (radio->octets_have == 0 && !radio->over)
		(void)curl_multi_poll(radio->multi, &quit, 1, LOOK_MS, NULL);
}

/* What the codecs ask. */
static size_t octets(void *self, void *ret_octets, size_t size)
{
	struct rtp_radio *radio = self;

	while (radio->octets_have == radio->octets_at && !radio->over && !rtp_read(&radio->quit)) {
		radio->octets_have = radio->octets_at = 0;
		work_on(radio);
	}
	size_t have = radio->octets_have - radio->octets_at;

	if (rtp_read(&radio->quit))
		return 0;
	if (size > have)
		size = have;
	memcpy(ret_octets, radio->octets + radio->octets_at, size);
	radio->octets_at += size;
	return size;
}

/* ---- sound ---- */

static void wait_for(struct rtp_radio *radio, int for_ms)
{
	struct pollfd quit = { .fd = radio->quit_fd, .events = POLLIN };

	(void)poll(&quit, 1, for_ms);
}

static void push(struct rtp_radio *radio, const int16_t *samples, size_t count)
{
	uint64_t written = rtp_read(&radio->written);

	while (written + count - atomic_load_explicit(&radio->read, memory_order_acquire) > RTP_RADIO_SAMPLES) {
		if (rtp_read(&radio->quit))
			return; /* what is in the ring may still be read */
		wait_for(radio, FULL_MS);
	}
	for (size_t i = 0; i < count; i++)
		radio->ring[(written + i) % RTP_RADIO_SAMPLES] = samples[i];
	atomic_store_explicit(&radio->written, written + count, memory_order_release);
}

/* From one change of rate or channels to the next. */
static int play_on(struct rtp_radio *radio, struct rtp_pcm *pcm)
{
	int16_t samples[DECODE_AT_ONCE];
	struct rtp_decoder *decoder;
	size_t got;
	int err = rtp_decoder_open_pcm(pcm, RTP_DECODED_HZ, &decoder);

	if (err != PBX_OK)
		return err;
	while (!rtp_read(&radio->quit) && (got = rtp_decoder_read(decoder, samples, DECODE_AT_ONCE)) > 0)
		push(radio, samples, got);
	rtp_decoder_close(decoder);
	return PBX_OK;
}

/* True: the server has sent us somewhere else, and that is radio->address now. */
static bool is_sent_on(struct rtp_radio *radio)
{
	struct curl_header *location;
	CURLU *url = curl_url();
	char *elsewhere = NULL;
	long status = 0;
	bool sent_on = curl_easy_getinfo(radio->easy, CURLINFO_RESPONSE_CODE, &status) == CURLE_OK && status / 100 == 3 &&
		       curl_easy_header(radio->easy, "Location", 0, CURLH_HEADER, -1, &location) == CURLHE_OK &&
		       curl_url_set(url, CURLUPART_URL, radio->address, 0) == CURLUE_OK &&
		       curl_url_set(url, CURLUPART_URL, location->value, 0) == CURLUE_OK && /* it may be relative */
		       curl_url_get(url, CURLUPART_URL, &elsewhere, 0) == CURLUE_OK && strlen(elsewhere) < sizeof radio->address;

	if (sent_on)
		(void)snprintf(radio->address, sizeof radio->address, "%s", elsewhere);
	curl_free(elsewhere);
	curl_url_cleanup(url);
	return sent_on;
}

static void say_lost(struct rtp_radio *radio, int err)
{
	const char *reason = radio->refused            ? "the address is not public; fetch.allow names exceptions"
			     : radio->code != CURLE_OK ? radio->error[0] ? radio->error : curl_easy_strerror(radio->code)
			     : err == PBX_OK ? "the stream has ended"
			     : err == PBX_EINVAL ? "no MP3, Ogg Vorbis or Opus; the address of the stream itself is wanted, not of a list"
						 : "no memory";

	if (!radio->said && !rtp_read(&radio->quit)) /* once, until it has been heard again */
		core_log(PBX_LOG_WARN, "media", NULL, "stream_lost", "source=\"%s\" url=%s reason=\"%s\" retry_ms=%d", radio->name,
			 radio->address, reason, RETRY_MS);
	radio->said = true;
}

static void play(struct rtp_radio *radio, struct rtp_pcm *pcm)
{
	core_log(PBX_LOG_NOTICE, "media", NULL, "stream_heard", "source=\"%s\" url=%s rate_hz=%u channels=%u", radio->name, radio->address,
		 pcm->rate_hz, pcm->channels);
	radio->said = false;
	rtp_write(&radio->broken, false);
	do {
		pcm->changed = false;
		if (play_on(radio, pcm) != PBX_OK)
			break;
	} while (pcm->changed && !rtp_read(&radio->quit));
	rtp_write(&radio->broken, true);
}

static void listen_once(struct rtp_radio *radio)
{
	struct rtp_pcm *pcm;
	bool sent_on = true;

	(void)snprintf(radio->address, sizeof radio->address, "%s", radio->url);
	for (uint32_t hops = 0; sent_on && hops <= MOST_HOPS && !rtp_read(&radio->quit); hops++) {
		int err = connect_to(radio);

		if (err == PBX_OK)
			err = rtp_live_open(octets, radio, &pcm);
		if (err == PBX_OK) {
			play(radio, pcm);
			pcm->close(pcm);
		}
		sent_on = radio->easy && is_sent_on(radio);
		disconnect(radio);
		if (!sent_on || hops == MOST_HOPS)
			say_lost(radio, err);
	}
}

/* ---- life ---- */

static void radio_unref(struct rtp_radio *radio)
{
	if (atomic_fetch_sub(&radio->refs, 1) > 1)
		return;
	if (radio->quit_fd >= 0)
		(void)close(radio->quit_fd);
	free(radio->url);
	free(radio->name);
	free(radio);
}

static bool count_thread(int change)
{
	bool good;

	(void)pthread_mutex_lock(&count_lock);
	good = change < 0 || threads < RTP_RADIO_MOST;
	if (good)
		threads += (uint32_t)change;
	(void)pthread_cond_signal(&count_changed);
	(void)pthread_mutex_unlock(&count_lock);
	return good;
}

static void *radio_main(void *argument)
{
	struct rtp_radio *radio = argument;

	radio->multi = curl_multi_init();
	while (radio->multi && !rtp_read(&radio->quit)) {
		listen_once(radio);
		wait_for(radio, RETRY_MS);
	}
	if (radio->multi)
		(void)curl_multi_cleanup(radio->multi);
	radio_unref(radio);
	(void)count_thread(-1);
	return NULL;
}

struct rtp_radio *rtp_radio_new(const char *url, const char *name)
{
	struct rtp_radio *radio = calloc(1, sizeof *radio);
	pthread_t thread;

	if (!radio)
		return NULL;
	radio->refs = 1;
	radio->quit_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	radio->url = strdup(url);
	radio->name = strdup(name);
	if (radio->quit_fd < 0 || !radio->url || !radio->name || !count_thread(1)) {
		radio_unref(radio);
		return NULL;
	}
	radio->refs = 2;
	if (pthread_create(&thread, NULL, radio_main, radio) != 0) {
		(void)count_thread(-1);
		radio->refs = 1;
		radio_unref(radio);
		return NULL;
	}
	(void)pthread_setname_np(thread, "media-radio");
	(void)pthread_detach(thread);
	return radio;
}

void rtp_radio_free(struct rtp_radio *radio)
{
	const uint64_t one = 1;

	if (!radio)
		return;
	rtp_write(&radio->quit, true);
	(void)!write(radio->quit_fd, &one, sizeof one); /* it stays readable: whoever waits is woken, then and later */
	radio_unref(radio);
}

void rtp_radios_wait(void)
{
	(void)pthread_mutex_lock(&count_lock);
	while (threads > 0)
		(void)pthread_cond_wait(&count_changed, &count_lock);
	(void)pthread_mutex_unlock(&count_lock);
}

size_t rtp_radio_take(struct rtp_radio *radio, int16_t *ret_samples, size_t count)
{
	uint64_t read = rtp_read(&radio->read), have = atomic_load_explicit(&radio->written, memory_order_acquire) - read;

	if (!radio->heard && have < AFTER_PAUSE)
		return 0;
	radio->heard = have >= count || (have > 0 && rtp_read(&radio->broken));
	if (!radio->heard)
		return 0;
	if (count > have)
		count = (size_t)have;
	for (size_t i = 0; i < count; i++)
		ret_samples[i] = radio->ring[(read + i) % RTP_RADIO_SAMPLES];
	atomic_store_explicit(&radio->read, read + count, memory_order_release);
	return count;
}

bool rtp_radio_is_heard(const struct rtp_radio *radio)
{
	return radio->heard;
}
