/* tests/e2e/fax_machine.c - a fax machine of spandsp's on a UDP port, for fax_machine.py, which speaks SIP for it
 *
 *    fax_machine page FILE PAGES                 writes pages of blocks that differ
 *    fax_machine same FILE FILE                  are all pages equal, point by point?
 *    fax_machine send|receive FILE PORT REMOTE   by G.711 (PCMU) from the local port to the remote one
 *
 * While it runs it reads "audio PORT" and "t38 PORT" on its standard input: how and whereto it goes on. At the end it writes "done CODE PAGES t38|audio
 * STATION". Its UDPTL knows no redundancy, and is not the PBX's own. */
#include <arpa/inet.h>
#include <fcntl.h>
#include <poll.h>
#include <spandsp.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <tiffio.h>
#include <time.h>
#include <unistd.h>

#define WIDTH 1728
#define ROWS 300
#define FRAME 160
#define MOST_S 120

struct machine {
	int fd;
	struct sockaddr_in remote;
	bool sends, finished, deaf; /* deaf: nobody commands it any more */
	const char *file;
	fax_state_t *audio;
	t38_terminal_state_t *t38;
	uint16_t sequence, udptl;
	uint32_t timestamp;
	int code, pages;
	char station[32];
};

/* ---- pages ---- */

static int write_pages(const char *path, int pages)
{
	TIFF *tiff = TIFFOpen(path, "w");
	uint8_t row[WIDTH / 8];
	uint32_t seed = 4711;

	for (int page = 0; tiff && page < pages; page++) {
		TIFFSetField(tiff, TIFFTAG_IMAGEWIDTH, WIDTH);
		TIFFSetField(tiff, TIFFTAG_IMAGELENGTH, ROWS);
		TIFFSetField(tiff, TIFFTAG_BITSPERSAMPLE, 1);
		TIFFSetField(tiff, TIFFTAG_SAMPLESPERPIXEL, 1);
		TIFFSetField(tiff, TIFFTAG_PHOTOMETRIC, PHOTOMETRIC_MINISWHITE);
		TIFFSetField(tiff, TIFFTAG_COMPRESSION, COMPRESSION_CCITT_T6);
		TIFFSetField(tiff, TIFFTAG_FILLORDER, FILLORDER_LSB2MSB);
		TIFFSetField(tiff, TIFFTAG_ROWSPERSTRIP, ROWS);
		TIFFSetField(tiff, TIFFTAG_XRESOLUTION, 204.0);
		TIFFSetField(tiff, TIFFTAG_YRESOLUTION, 98.0);
		TIFFSetField(tiff, TIFFTAG_RESOLUTIONUNIT, RESUNIT_INCH);
		TIFFSetField(tiff, TIFFTAG_PAGENUMBER, page, pages);
		for (uint32_t at = 0; at < ROWS; at++) {
			if (at % 20 == 0) {
				seed = seed * 1103515245 + 12345;
				memset(row, 0, sizeof row);
				memset(row + seed % 100, 0xff, 20 + seed / 65536 % 80);
			}
			if (TIFFWriteScanline(tiff, row, at, 0) < 0)
				return 1;
		}
		TIFFWriteDirectory(tiff);
	}
	if (tiff)
		TIFFClose(tiff);
	return tiff ? 0 : 1;
}

static bool same_page(TIFF *a, TIFF *b)
{
	uint32_t wide[2], high[2];
	uint8_t rows[2][WIDTH];

	TIFFGetField(a, TIFFTAG_IMAGEWIDTH, &wide[0]);
	TIFFGetField(b, TIFFTAG_IMAGEWIDTH, &wide[1]);
	TIFFGetField(a, TIFFTAG_IMAGELENGTH, &high[0]);
	TIFFGetField(b, TIFFTAG_IMAGELENGTH, &high[1]);
	if (wide[0] != wide[1] || high[0] != high[1] || TIFFScanlineSize(a) > WIDTH || TIFFScanlineSize(b) > WIDTH) {
		fprintf(stderr, "%u x %u points, not %u x %u\n", wide[1], high[1], wide[0], high[0]);
		return false;
	}
	for (uint32_t at = 0; at < high[0]; at++) {
		if (TIFFReadScanline(a, rows[0], at, 0) < 0 || TIFFReadScanline(b, rows[1], at, 0) < 0 ||
		    memcmp(rows[0], rows[1], wide[0] / 8) != 0) {
			fprintf(stderr, "row %u differs\n", at);
			return false;
		}
	}
	return true;
}

static int compare(const char *first, const char *second)
{
	TIFF *a = TIFFOpen(first, "r"), *b = TIFFOpen(second, "r");
	int more[2] = { 1, 1 };
	bool same = a && b;

	while (same && more[0] && more[1]) {
		same = same_page(a, b);
		more[0] = TIFFReadDirectory(a);
		more[1] = TIFFReadDirectory(b);
	}
	if (a)
		TIFFClose(a);
	if (b)
		TIFFClose(b);
	return !same || more[0] != more[1];
}

/* ---- what it says ---- */

static void emit(const struct machine *machine, const uint8_t *data, size_t size)
{
	(void)sendto(machine->fd, data, size, 0, (const struct sockaddr *)&machine->remote, sizeof machine->remote);
}

static int on_ifp(t38_core_state_t *core, void *context, const uint8_t *ifp, int bytes, int count)
{
	struct machine *machine = context;
	uint8_t data[1024] = { (uint8_t)(machine->udptl >> 8), (uint8_t)machine->udptl };
	size_t at = 2;

	(void)core, (void)count;
	machine->udptl++;
	if (bytes >= 128)
		data[at++] = (uint8_t)(0x80 | bytes >> 8);
	data[at++] = (uint8_t)bytes;
	memcpy(data + at, ifp, (size_t)bytes);
	memset(data + at + bytes, 0, 2); /* no earlier packets */
	emit(machine, data, at + (size_t)bytes + 2);
	return 0;
}

static void say_audio(struct machine *machine)
{
	int16_t samples[FRAME] = { 0 };
	uint8_t packet[12 + FRAME] = { 0x80, 0 };

	(void)fax_tx(machine->audio, samples, FRAME);
	packet[2] = (uint8_t)(machine->sequence >> 8);
	packet[3] = (uint8_t)machine->sequence++;
	for (int i = 0; i < 4; i++)
		packet[4 + i] = (uint8_t)(machine->timestamp >> (24 - 8 * i));
	packet[11] = 42;
	machine->timestamp += FRAME;
	for (int i = 0; i < FRAME; i++)
		packet[12 + i] = linear_to_ulaw(samples[i]);
	emit(machine, packet, sizeof packet);
}

/* ---- what it hears ---- */

static void hear(struct machine *machine, uint8_t *data, size_t size)
{
	int16_t samples[1024];

	if (machine->t38 && size > 4) {
		size_t at = data[2] < 0x80 ? 3 : 4, bytes = data[2] < 0x80 ? data[2] : (size_t)(data[2] & 0x3f) << 8 | data[3];

		if (at + bytes <= size)
			(void)t38_core_rx_ifp_packet(t38_terminal_get_t38_core_state(machine->t38), data + at, (int)bytes,
						     (uint16_t)(data[0] << 8 | data[1]));
	} else if (machine->audio && size > 12 && data[0] == 0x80 && (data[1] & 0x7f) == 0) {
		for (size_t i = 12; i < size; i++)
			samples[i - 12] = ulaw_to_linear(data[i]);
		(void)fax_rx(machine->audio, samples, (int)size - 12);
	}
}

/* ---- T.30 ---- */

static void on_end(t30_state_t *t30, void *context, int code)
{
	struct machine *machine = context;
	t30_stats_t stats;

	t30_get_transfer_statistics(t30, &stats);
	machine->code = code;
	machine->pages = machine->sends ? stats.pages_tx : stats.pages_rx;
	(void)snprintf(machine->station, sizeof machine->station, "%s", t30_get_rx_ident(t30));
	machine->finished = true;
}

static void set_up(struct machine *machine, t30_state_t *t30)
{
	t30_set_tx_ident(t30, "555 0100");
	t30_set_ecm_capability(t30, true);
	t30_set_supported_modems(t30, T30_SUPPORT_V27TER | T30_SUPPORT_V29 | T30_SUPPORT_V17);
	t30_set_supported_compressions(t30, T30_SUPPORT_T4_1D_COMPRESSION | T30_SUPPORT_T4_2D_COMPRESSION | T30_SUPPORT_T6_COMPRESSION);
	t30_set_phase_e_handler(t30, on_end, machine);
	if (machine->sends)
		t30_set_tx_file(t30, machine->file, -1, -1);
	else
		t30_set_rx_file(t30, machine->file, -1);
}

static void turn(struct machine *machine, bool t38)
{
	if (t38 && !machine->t38) {
		machine->t38 = t38_terminal_init(NULL, machine->sends, on_ifp, machine);
		set_up(machine, t38_terminal_get_t30_state(machine->t38));
		if (machine->audio)
			fax_free(machine->audio);
		machine->audio = NULL;
	} else if (!t38 && !machine->audio) {
		machine->audio = fax_init(NULL, machine->sends);
		fax_set_transmit_on_idle(machine->audio, true);
		set_up(machine, fax_get_t30_state(machine->audio));
	}
}

static void obey(struct machine *machine)
{
	char line[64], how[16];
	unsigned port;

	machine->deaf = !fgets(line, sizeof line, stdin);
	if (!machine->deaf && sscanf(line, "%15s %u", how, &port) == 2) {
		machine->remote.sin_port = htons((uint16_t)port);
		turn(machine, strcmp(how, "t38") == 0);
	}
}

/* ---- time ---- */

static int64_t now_ms(void)
{
	struct timespec now;

	(void)clock_gettime(CLOCK_MONOTONIC, &now);
	return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

static void wait_until(struct machine *machine, int64_t at_ms)
{
	struct pollfd ready[] = { { .fd = machine->fd, .events = POLLIN }, { .fd = 0, .events = POLLIN } };
	uint8_t data[2048];

	for (int64_t left; (left = at_ms - now_ms()) > 0;) {
		if (poll(ready, machine->deaf ? 1 : 2, (int)left) <= 0)
			continue;
		if (!machine->deaf && ready[1].revents)
			obey(machine);
		ssize_t size = ready[0].revents ? recv(machine->fd, data, sizeof data, 0) : 0;

		if (size > 0)
			hear(machine, data, (size_t)size);
	}
}

static int run(struct machine *machine)
{
	int64_t tick_ms = now_ms(), end_ms = tick_ms + MOST_S * 1000;

	turn(machine, false);
	for (int after = 0; after < 10 && tick_ms < end_ms; after += machine->finished) { /* the last words leave, too */
		if (machine->t38)
			(void)t38_terminal_send_timeout(machine->t38, FRAME);
		else
			say_audio(machine);
		wait_until(machine, tick_ms += 20);
	}
	printf("done %d %d %s %s\n", machine->finished ? machine->code : -1, machine->pages, machine->t38 ? "t38" : "audio",
	       machine->station);
	if (machine->t38)
		t38_terminal_free(machine->t38);
	if (machine->audio)
		fax_free(machine->audio);
	return 0;
}

int main(int argc, char **argv)
{
	struct machine machine = { .fd = socket(AF_INET, SOCK_DGRAM, 0) };
	struct sockaddr_in local = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };

	setvbuf(stdin, NULL, _IONBF, 0);
	TIFFSetWarningHandler(NULL);
	if (argc == 4 && strcmp(argv[1], "page") == 0)
		return write_pages(argv[2], atoi(argv[3]));
	if (argc == 4 && strcmp(argv[1], "same") == 0)
		return compare(argv[2], argv[3]);
	if (argc != 5)
		return 2;
	machine.sends = strcmp(argv[1], "send") == 0;
	machine.file = argv[2];
	machine.remote = local;
	machine.remote.sin_port = htons((uint16_t)atoi(argv[4]));
	local.sin_port = htons((uint16_t)atoi(argv[3]));
	if (bind(machine.fd, (struct sockaddr *)&local, sizeof local) < 0)
		return 3;
	return run(&machine);
}
