/* extensions/extensions.h - what the plugin's files share. All of it: [loop]. */
#pragma once
#include <pbx/bus.h>
#include <pbx/directory.h>
#include <pbx/location.h>
#include <pbx/notifier.h>
#include <pbx/requests.h>
#include <pbx/route.h>
#include <pbx/secrets.h>
#include <pbx/store.h>

#define ACCOUNT_NUMBER 20u
#define ACCOUNT_DEST 51u
#define ACCOUNT_BUCKETS 4096u
#define ACCOUNT_SECRET_LENGTH 20u

#define FORWARD_ALWAYS 0u
#define FORWARD_BUSY 1u
#define FORWARD_NO_ANSWER 2u
#define FORWARD_OFFLINE 3u
#define FORWARD_KINDS 4u
extern const char *const forward_names[FORWARD_KINDS]; /* "always", "busy", "no_answer", "offline" */

/* One extension, as the row has it. In one piece of memory, its texts (never NULL) behind it: it is replaced, never changed. */
struct account {
	struct account *next; /* of its bucket */
	const char *number, *name, *email, *language, *music_class, *pickup_group, *caller_id;
	const char *sip_secret;          /* sealed */
	const char *web_hash, *pin_hash; /* "" when none is set */
	const char *forward[FORWARD_KINDS];
	uint32_t ring_s, max_contacts, max_calls, max_outgoing; /* 0: the setting */
	uint32_t call_class;                                    /* CLASS_… */
	uint32_t srtp;                                          /* of srtp_choices */
	uint32_t dtmf;                                          /* of dtmf_choices */
	uint32_t t38;                                           /* of t38_choices */
	bool may_call_outside, is_admin, dnd, no_waiting, trusted;
	int64_t created_us, updated_us;
};

/* The same with room for every text: what an edit or an import works on. */
struct account_draft {
	char number[ACCOUNT_NUMBER + 1], name[256], email[256], language[17], music_class[41], pickup_group[41], caller_id[51];
	char sip_secret[256], web_hash[256], pin_hash[256];
	char forward[FORWARD_KINDS][ACCOUNT_DEST];
	uint32_t ring_s, max_contacts, max_calls, max_outgoing;
	uint32_t call_class, srtp, dtmf, t38;
	bool may_call_outside, is_admin, dnd, no_waiting, trusted;
	int64_t created_us, updated_us;
};

struct extension_settings {
	const char *call_class;
	struct pbx_list local, national, international, premium;
	uint32_t number_least, number_most, max_contacts, max_calls, max_outgoing, ring_s, password_least, pin_least, pin_most;
	const char *code_dnd_on, *code_dnd_off, *code_pickup, *code_directed_pickup;
	const char *code_forward_always, *code_forward_always_off, *code_forward_busy, *code_forward_busy_off, *code_forward_no_answer,
		*code_forward_no_answer_off;
};

struct extensions {
	PBX_INSTANCE(struct extension_settings);
	const struct pbx_calls *calls;
	const struct pbx_routing *routing;
	const struct pbx_store *store;
	const struct pbx_secrets *secrets;
	const struct pbx_location *location;
	const struct pbx_requests *requests;
	const struct pbx_jsons *json;
	const struct pbx_bus *bus;
	const struct pbx_notifier *notifier;
	struct pbx_directory service;
	char *key_document; /* written last: it is the notifier's until the next */
	char *decoy;        /* a sealed secret that belongs to nobody, see directory.c; owned */
	struct account *buckets[ACCOUNT_BUCKETS];
	uint32_t count;
	struct edit *storing; /* the first is being stored, the others wait; all wait while a file is imported */
	bool importing;
	char loaded_to[ACCOUNT_NUMBER + 1]; /* accounts are read at the start in order of number, some at a time */
	/* What the routing hook's answer points to, until the core has read it. */
	struct pbx_dial_target target;
	char target_text[ACCOUNT_NUMBER + 8], permission_text[96], limit_text[96];
};

/* ---- accounts.c: the accounts in memory ---- */
const struct account *account_find(const struct extensions *extensions, const char *number); /* NULL: there is none */
struct account *account_new(const struct account_draft *draft);                              /* owned; NULL: no memory */
void account_free(struct account *account);
void account_copy(const struct account *account, struct account_draft *ret_draft);
void account_place(struct extensions *extensions, struct account *taken); /* adds or replaces */
uint32_t account_hash(const char *number);
void account_drop(struct extensions *extensions, const char *number);
void accounts_clear(struct extensions *extensions);
void accounts_each(const struct extensions *extensions, void (*each)(void *context, const struct account *account), void *context);
int accounts_load(struct extensions *extensions); /* PBX_ELATER; host->ready when done */
#define ACCOUNT_COLUMNS 21u
extern const char account_insert_sql[], account_upsert_sql[]; /* ACCOUNT_COLUMNS parameters */
void account_values(const struct account *account, struct pbx_value ret_values[ACCOUNT_COLUMNS]);

/* ---- directory.c: pbx.directory/1 ---- */
int directory_load(struct extensions *extensions); /* PBX_OK, PBX_ENOMEM, PBX_EIO (no random numbers) */
void directory_unload(struct extensions *extensions);
const void *directory_offer(void *self, const char *id);

/* ---- routing.c: calls to and from extensions ---- */
int routing_start(struct extensions *extensions);
int routing_reserve(struct extensions *extensions, const char *number, struct pbx_diag *diag);

/* ---- classes.c: how far out of the house a number leads; each class includes those before it ---- */
#define CLASS_INTERNAL 0u
#define CLASS_LOCAL 1u
#define CLASS_NATIONAL 2u
#define CLASS_INTERNATIONAL 3u
#define CLASS_PREMIUM 4u
#define SRTP_CHOICES 5u
extern const char *const srtp_choices[SRTP_CHOICES]; /* "default" first */
uint32_t srtp_from_name(const char *name);           /* 0, the default, for what is none of them */
#define DTMF_CHOICES 4u
extern const char *const dtmf_choices[DTMF_CHOICES]; /* "auto" first */
uint32_t dtmf_from_name(const char *name);           /* likewise */
#define T38_CHOICES 4u
extern const char *const t38_choices[T38_CHOICES]; /* "auto" first */
uint32_t t38_from_name(const char *name);          /* likewise */

#define CLASS_UNSET 7u                  /* as the setting says */
extern const char *const class_names[]; /* by CLASS_…, and NULL */
uint32_t class_of_number(const struct extension_settings *settings, const char *number);
uint32_t class_of_account(const struct extension_settings *settings, const struct account *account);
uint32_t class_from_name(const char *name); /* CLASS_UNSET: there is none of that name */
bool class_pattern_fits(const char *pattern, const char *number);
int classes_check(const struct extension_settings *settings, struct pbx_diag *diag); /* PBX_OK, PBX_EINVAL and diag */

/* ---- codes.c: *78 and its like ---- */
int codes_start(struct extensions *extensions);

/* ---- edit.c: one way for every change: check, hash, store, remember, tell ---- */
struct edit {
	struct edit *next; /* in line to be stored */
	struct extensions *extensions;
	struct account_draft account; /* as it shall be */
	struct account_draft before;  /* as it was when somebody asked */
	struct account *stored;       /* as it is being stored; NULL before, and once it has its place */
	bool creates, removes;
	char new_secret[64], new_password[129], new_pin[17]; /* in clear, "" when not changed; wiped with the edit */
	bool secret_made;                                    /* new_secret was made by us: the answer shows it, once */
	/* Called once: PBX_OK, or an error with diag. The edit is freed afterwards. */
	void (*done)(struct edit *edit, int result, const struct pbx_diag *diag);
	pbx_request request;
	pbx_leg leg;
};
struct edit *edit_new(struct extensions *extensions, const struct account *from, const char *number); /* from NULL: a new account */
void edit_free(struct edit *edit);
void edit_run(struct edit *edit);
void edit_remove(struct edit *edit);                         /* the account goes */
void edits_go_on(struct extensions *extensions, int status); /* the import is over, with this result */
/* The checks of an account by itself: number, e-mail, destinations. PBX_OK, PBX_EINVAL and diag. */
int account_check(const struct extensions *extensions, const struct account_draft *account, struct pbx_diag *diag);

/* ---- phone_keys.c ---- */
int phone_keys_start(struct extensions *extensions);
void phone_keys_changed(struct extensions *extensions, const struct edit *edit); /* it has been made, or refused */

/* ---- requests.c ---- */
void extensions_on_list(void *self, pbx_request request);
void extensions_on_show(void *self, pbx_request request);
void extensions_on_create(void *self, pbx_request request);
void extensions_on_change(void *self, pbx_request request);
void extensions_on_remove(void *self, pbx_request request);
void extensions_on_secret(void *self, pbx_request request);
void extensions_on_forwarding(void *self, pbx_request request);
void extensions_on_registrations(void *self, pbx_request request);
void extensions_on_unregister(void *self, pbx_request request);
struct pbx_json *account_describe(const struct extensions *extensions, const struct account *account);

/* ---- import.c ---- */
void extensions_on_import(void *self, pbx_request request);
