/* sip/lockout.h - who has given too many wrong passwords, and for how long nobody looks at theirs. All of it: [loop].
 *
 * Three counts, and each has a lockout of its own:
 *
 *   a user at an address   every wrong password. What a phone with a wrong password runs into, and it alone
 *   an address             the users that wrong passwords were given for there, each once. What a guesser of numbers runs into
 *   a user                 every wrong password, wherever it came from. What many who guess together run into
 *
 * Who has a phone registered at the address is proven there already: neither what others do at that address (an office behind NAT) nor what
 * strangers do elsewhere in the user's name keeps it from working. That phone itself, at its very address and port, has a count of its own, so that a second
 * device with an old password does not stop it. A right password takes back what wrong ones of that user counted; others' stays.
 *
 * The table is of fixed size: forgotten first is whoever is not locked out and has been quiet longest. */
#pragma once
#include <stdbool.h>
#include <stdint.h>

#define UA_LOCKED_USER_HERE 1u /* a user at an address */
#define UA_LOCKED_ADDRESS 2u
#define UA_LOCKED_USER 4u

struct ua_lockout_limits {
	uint32_t failures, window_ms, block_ms;
};

/* Who tries. Texts are borrowed. */
struct ua_try {
	const char *place;   /* core_place_print */
	const char *user;    /* as the credentials have it */
	const char *device;  /* "192.0.2.7:5060": this user's phone is registered just there; NULL: it is not */
	bool has_phone_here; /* this user's phone is registered at the place, at whatever port */
};

/* As lists show it. Texts are borrowed, "" where it is about any. */
struct ua_lockout {
	uint32_t kind; /* one of UA_LOCKED_… */
	const char *address, *user;
	uint32_t failures;
	uint64_t until_ms;
};

int ua_lockouts_init(void); /* PBX_OK, PBX_ENOMEM; after ua_guard_init */
void ua_lockouts_fini(void);

/* True: it is refused, whatever the password is. */
bool ua_lockout_holds(const struct ua_try *asked, uint64_t now_ms);
/* True: something here is locked out, though it may be somebody else. A wrong password is then answered as if this one were: who is registered
 * here is nobody's business. */
bool ua_lockout_is_near(const struct ua_try *asked, uint64_t now_ms);
/* A wrong password. The lockouts that begin with it, UA_LOCKED_… together; 0: none. */
uint32_t ua_lockout_failed(const struct ua_try *asked, const struct ua_lockout_limits *limits, uint64_t now_ms);
/* The right one. */
void ua_lockout_proved(const struct ua_try *asked, uint64_t now_ms);

typedef void (*ua_lockout_fn)(void *context, const struct ua_lockout *lockout);
/* Those that hold. */
void ua_lockouts_each(uint64_t now_ms, ua_lockout_fn each, void *context);
/* Lifts those of a place, or of a user, anywhere, and forgets what was counted; lifted for each that held. own: only those of this user; NULL: all.
 * How many it lifted. */
uint32_t ua_lockouts_lift(const char *who, const char *own, uint64_t now_ms, ua_lockout_fn lifted, void *context);
/* Forgets those that are over, over for each. When the next one will be; 0: there is none. */
uint64_t ua_lockouts_expire(uint64_t now_ms, ua_lockout_fn over, void *context);
