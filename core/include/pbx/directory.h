/* pbx/directory.h - whose account is it: credentials and calling rules by user
 * Offered as "pbx.directory/1" by whichever plugin keeps accounts; several may. All of it: [loop], answered from memory. */
#pragma once
#include <pbx/plugin.h>

#ifdef __cplusplus
extern "C" {
#endif

#define PBX_DIGEST_MD5 1u    /* RFC 2617, 7616 */
#define PBX_DIGEST_SHA256 2u /* RFC 8760 */

/* How far outside an account may call; each includes those before it. */
#define PBX_CLASS_INTERNAL 1u
#define PBX_CLASS_LOCAL 2u
#define PBX_CLASS_NATIONAL 3u
#define PBX_CLASS_INTERNATIONAL 4u
#define PBX_CLASS_PREMIUM 5u

/* Borrowed until the callback returns. Texts are never NULL. */
struct pbx_account {
	uint32_t size;
	const char *number, *name, *email, *language, *music_class, *pickup_group, *outbound_caller_id;
	uint32_t max_contacts, max_calls, ring_s; /* 0: the default */
	bool may_call_outside, is_admin;
	bool dnd;              /* does not want to be disturbed */
	bool trusted;          /* says truly for whom it calls, and is told withheld numbers (RFC 3325): a gateway, an operator's desk */
	uint32_t max_outgoing; /* calls it may have made at once; 0: no limit */
	uint32_t call_class;   /* PBX_CLASS_…; 0: its directory has no classes */
	const char *srtp; /* encrypted media: "off", "optional", "required", "dtls" (required, our offers by DTLS); "" as media.srtp says */
	/* How keys go to its phones: "rfc4733", "info", "inband"; "" or "auto": as agreed, else tones with G.711, else INFO. */
	const char *dtmf;
	/* Fax by T.38: "off", "pass" (where the other party takes it too), "gateway" (and to and from G.711 where it does not); "" or "auto" as
	 * media.t38 says. */
	const char *t38;
};

struct pbx_directory {
	struct pbx_header header;
	void *self;

	/* ret_account->size says how much of it the caller knows. PBX_OK, PBX_ENOENT. */
	int (*find)(void *self, const char *user, struct pbx_account *ret_account);
	/* HA1 = H(user:realm:secret) in lower-case hexadecimal, 32 or 64 characters and a zero. PBX_OK, PBX_ENOENT, PBX_ENOTSUP.
	 * Must take as long for a user that it has not as for one that it has. */
	int (*digest)(void *self, const char *user, const char *realm, uint32_t algorithm, char ret_ha1[65]);
	/* Is this the account's web password? Runs the slow hash in the pool; done on the loop: PBX_OK, PBX_EPERM, PBX_ENOENT. */
	int (*check_password)(void *self, const char *user, const char *password, void (*done)(void *context, int result), void *context);
	void (*each)(void *self, void (*each)(void *context, const struct pbx_account *account), void *context);
};

PBX_SERVICE(pbx_directory, "pbx.directory/1")

#ifdef __cplusplus
}
#endif
