/*
 * caller.c - who calls: what a request says of it, and how much of that is believed
 *
 * Whoever belongs to our trust domain (RFC 3325) asserts by P-Asserted-Identity, or Remote-Party-ID where it is older than that, for whom it
 * calls. A phone is its account and nobody else, by the name its account has, if that has one; a system that is not trusted is what its
 * From says. That a caller does not want to be shown (RFC 3323) is believed of everybody: by Privacy, by From, by Remote-Party-ID.
 */
#include "caller.h"
#include "address.h"
#include "host.h"
#include "identity.h"
#include "peer.h"
#include <pbx/directory.h>
#include <string.h>

#define NOBODY "anonymous.invalid" /* RFC 3323 4.1.1.3 */

/* ---- whom we trust -------------------------------------------------------------------- */

struct account_search {
	const char *user, *also; /* also: a number that may be the account's too, or NULL */
	bool trusted, has_also;
	char name[128]; /* "": it has none */
};

static void look_up(void *context, const void *table)
{
	struct account_search *search = context;
	const struct pbx_directory *directory = table;
	struct pbx_account account = { .size = sizeof account };

	if (!directory->find || directory->find(directory->self, search->user, &account) != PBX_OK)
		return;
	search->trusted = search->trusted || account.trusted;
	if (!search->name[0])
		(void)snprintf(search->name, sizeof search->name, "%s", account.name ? account.name : "");
	search->has_also =
		search->has_also || (search->also && account.outbound_caller_id && strcmp(account.outbound_caller_id, search->also) == 0);
}

static struct account_search search_account(const char *user, const char *also)
{
	struct account_search search = { .user = user, .also = also };

	if (user[0])
		core_host_each_service("pbx.directory/1", (uint32_t)sizeof(struct pbx_directory), look_up, &search);
	return search;
}

bool ua_account_is_trusted(const char *account)
{
	return search_account(account, NULL).trusted;
}

bool ua_request_is_trusted(const struct ua_request *request)
{
	const struct pbx_list *trusted = &request->ua->settings->trusted;

	if (request->account[0])
		return ua_account_is_trusted(request->account);
	if (request->peer)
		return request->peer->is.flags & PBX_SIP_TRUSTED;
	for (uint32_t i = 0; request->from_peer && i < trusted->count; i++)
		if (ua_address_in(&request->source, trusted->items[i]))
			return true;
	return false;
}

/* ---- what headers say ----------------------------------------------------------------- */

static void unquote(const char *display, char ret_name[128])
{
	size_t used = 0;

	for (; display && *display && used < 127; display++) {
		if (*display == '"')
			continue;
		if (*display == '\\' && display[1])
			display++;
		ret_name[used++] = *display;
	}
	ret_name[used] = '\0';
}

/* The user and the display name of a header like From. False: there is none in it. */
static bool read_address(const char *value, char ret_number[64], char ret_name[128])
{
	su_home_t home[1] = { SU_HOME_INIT(home) };
	bool found;

	(void)su_home_init(home);
	const sip_from_t *address = value ? sip_from_make(home, value) : NULL;
	found = address && address->a_url->url_user;
	if (found) {
		ua_identity_user(address->a_url, ret_number, 64);
		unquote(address->a_display, ret_name);
	}
	su_home_deinit(home);
	return found && ret_number[0];
}

/* RFC 3323 4.2, RFC 3325 9.3. */
static bool privacy_withholds(const sip_privacy_t *privacy)
{
	const msg_param_t *words = privacy ? privacy->priv_values : NULL;
	bool withholds = false;

	for (; words && *words; words++) {
		if (strcasecmp(*words, "none") == 0)
			return false;
		withholds =
			withholds || strcasecmp(*words, "id") == 0 || strcasecmp(*words, "user") == 0 || strcasecmp(*words, "header") == 0;
	}
	return withholds;
}

/* Remote-Party-ID has its own word for it. */
static bool rpid_withholds(const char *value)
{
	const char *at = strcasestr(value, "privacy=");

	at = at ? at + 8 : "";
	at += *at == '"';
	return strncasecmp(at, "full", 4) == 0 || strncasecmp(at, "name", 4) == 0 || strncasecmp(at, "uri", 3) == 0;
}

static const char *next_value(const sip_t *sip, const char *name, const sip_unknown_t **at)
{
	for (*at = *at ? (*at)->un_next : sip->sip_unknown; *at; *at = (*at)->un_next)
		if (strcasecmp((*at)->un_name, name) == 0 && (*at)->un_value)
			return (*at)->un_value;
	return NULL;
}

static bool read_asserted(const sip_t *sip, const char *header, char ret_number[64], char ret_name[128])
{
	const sip_unknown_t *at = NULL;
	const char *value;

	while ((value = next_value(sip, header, &at)))
		if (read_address(value, ret_number, ret_name))
			return true;
	return false;
}

/* ---- the caller ----------------------------------------------------------------------- */

static bool says_nobody(const sip_t *sip)
{
	const url_t *from = sip->sip_from->a_url;

	return (from->url_host && strcasecmp(from->url_host, NOBODY) == 0) ||
	       (from->url_user && strcasecmp(from->url_user, "anonymous") == 0);
}

static bool is_withheld(const sip_t *sip)
{
	const sip_unknown_t *at = NULL;
	const char *rpid = next_value(sip, "Remote-Party-ID", &at);

	return says_nobody(sip) || privacy_withholds(sip->sip_privacy) || (rpid && rpid_withholds(rpid));
}

bool ua_caller_is_own(const sip_t *sip, const char *account)
{
	const char *from = sip->sip_from->a_url->url_user ? sip->sip_from->a_url->url_user : "";
	const sip_unknown_t *at = NULL;
	char number[64], name[128];
	const char *value;

	if (strcmp(from, account) != 0 && !says_nobody(sip))
		return ua_account_is_trusted(account);
	while ((value = next_value(sip, "P-Asserted-Identity", &at))) {
		if (!read_address(value, number, name) || strcmp(number, account) == 0)
			continue;
		const struct account_search search = search_account(account, number);

		if (!search.trusted && !search.has_also)
			return false;
	}
	return true;
}

static void read_identity(const struct ua_request *request, bool trusted, char ret_number[64], char ret_name[128])
{
	const sip_t *sip = request->sip;

	if (trusted && (read_asserted(sip, "P-Asserted-Identity", ret_number, ret_name) ||
			read_asserted(sip, "Remote-Party-ID", ret_number, ret_name)))
		return;
	ua_identity_user(sip->sip_from->a_url, ret_number, 64);
	unquote(sip->sip_from->a_display, ret_name);
	if (says_nobody(sip)) {
		(void)snprintf(ret_number, 64, "%s", request->account);
		ret_name[0] = '\0';
	}
}

/* Who calls by the number of the account it has proved is called as that is, whatever the phone says. */
static void name_account(const char *account, const char number[64], char ret_name[128])
{
	if (!account[0] || strcmp(number, account) != 0)
		return;
	const struct account_search search = search_account(account, NULL);

	if (search.name[0])
		memcpy(ret_name, search.name, sizeof search.name);
}

void ua_caller_read(const struct ua_request *request, struct ua_caller *ret_caller)
{
	const sip_t *sip = request->sip;
	bool trusted = ua_request_is_trusted(request);

	memset(ret_caller, 0, sizeof *ret_caller);
	read_identity(request, trusted, ret_caller->number, ret_caller->name);
	name_account(request->account, ret_caller->number, ret_caller->name);
	if (trusted && sip->sip_referred_by)
		ua_identity_user(sip->sip_referred_by->b_url, ret_caller->referred_by, sizeof ret_caller->referred_by);
	ret_caller->withheld = is_withheld(sip);
	if (!ret_caller->withheld)
		return;
	memcpy(ret_caller->asserted_number, ret_caller->number, sizeof ret_caller->asserted_number);
	memcpy(ret_caller->asserted_name, ret_caller->name, sizeof ret_caller->asserted_name);
	ret_caller->number[0] = '\0';
	(void)snprintf(ret_caller->name, sizeof ret_caller->name, "Anonymous");
}
