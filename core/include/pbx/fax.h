/* pbx/fax.h - sends pages to a leg's party, or receives them (ITU-T T.30), by modem tones in G.711 or by T.38
 * Served by the core as "pbx.fax/1". All of it: [loop].
 *
 * A fax belongs to an answered leg that talks to nobody else. It begins in the leg's audio; who receives offers T.38 to a party that may have it
 * (account, trunk, media.t38), who sends takes it when it is offered. The modems run in a thread of their own, which reads and writes the pages as
 * well: a slow disk harms no call. */
#pragma once
#include <pbx/plugin.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct pbx_fax {
	uint64_t id;
} pbx_fax;

#define PBX_FAX_SEND 1u    /* we have called, or were called by who polls nothing: we begin as the caller does */
#define PBX_FAX_RECEIVE 2u /* we were called */

struct pbx_fax_spec {
	uint32_t size;
	uint32_t what; /* PBX_FAX_… */
	const char *
		path; /* absolute. SEND: a TIFF of fax pages; RECEIVE: a TIFF (compressed by T.6) that grows page by page, in a folder that is there */
	const char *station;    /* what the other side shows of us: up to 20 digits, blanks and + ; NULL or "": nothing */
	const char *header;     /* SEND: printed at the top of each page, up to 50 characters; NULL or "": nothing */
	bool no_ecm;            /* without error correction (T.30 annex A) */
	bool no_t38;            /* does not offer T.38; takes it all the same */
	uint32_t most_bit_rate; /* 4800 to 14400; 0: 14400 */
};

/* What came of it. Texts are borrowed until the callback returns. */
struct pbx_fax_result {
	uint32_t size;
	int32_t error;       /* PBX_OK: all pages have arrived; PBX_EIO: .reason; PBX_ESTATE: stopped, or the leg has ended */
	const char *reason;  /* in words; "" with PBX_OK */
	const char *station; /* how the other side calls itself; "" when it does not say */
	uint32_t pages;      /* that have arrived; with PBX_OK all there are */
	uint32_t bit_rate;
	bool ecm, t38; /* errors were corrected; it went by T.38 */
};

struct pbx_fax_watcher {
	uint32_t size;
	void (*done)(void *self, pbx_fax fax,
		     const struct pbx_fax_result *result); /* once, last. The leg is still there, and ours to hang up */
	/* So many pages have gone over, all of them counted; done follows. NULL: nobody asks. */
	void (*page)(void *self, pbx_fax fax, uint32_t pages);
};

struct pbx_faxes {
	struct pbx_header header;

	/* Begins now. Charged to the host; when that is stopped the fax ends without another word. done follows, also when the leg ends. PBX_OK,
	 * PBX_EINVAL (spec), PBX_ENOENT (leg has ended), PBX_ESTATE (leg is not answered, or has a fax already), PBX_ENOTSUP (neither G.711 nor
	 * T.38 was agreed on), PBX_ENOMEM. */
	int (*begin)(struct pbx_host *host, pbx_leg leg, const struct pbx_fax_spec *spec, const struct pbx_fax_watcher *watcher, void *self,
		     pbx_fax *ret_fax);
	int (*stop)(pbx_fax fax); /* done follows. PBX_OK, PBX_ENOENT (it is over) */
	/* How many pages have gone over so far. PBX_OK, PBX_ENOENT. */
	int (*pages)(pbx_fax fax, uint32_t *ret_pages);
};

PBX_SERVICE(pbx_faxes, "pbx.fax/1")

#ifdef __cplusplus
}
#endif
