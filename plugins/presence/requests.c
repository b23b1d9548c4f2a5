/*
 * requests - how everybody is, asked and chosen by REST and pbxctl
 *
 * Whoever may read sees whom presence.watchers lets them see; a user chooses for themselves only.
 */
#include "presence.h"
#include <string.h>

static struct pbx_json *describe(const struct presence *presence, const char *number, const char *name)
{
	const struct pbx_jsons *json = presence->json;
	const struct person *person = person_find(presence, number);
	struct pbx_json *object = json->new_object();
	uint64_t now_ms = presence->host->now_ms(presence->host);

	(void)json->set_text(object, "extension", number); /* no memory shows as a member missing */
	(void)json->set_text(object, "name", name);
	(void)json->set_text(object, "status", status_names[person ? person->status : STATUS_OFFLINE]);
	(void)json->set_text(object, "message", person ? person->message : "");
	(void)json->set_text(object, "source", person ? person->source : "registration");
	(void)json->set_time(object, "until", person ? person->until_us : 0);
	(void)json->set_integer(object, "idle_s", person ? (int64_t)((now_ms - person->active_at_ms) / 1000) : 0);
	(void)json->set_integer(object, "auto_away_s", person ? person_away_s(person) : presence->settings->auto_away_s);
	(void)json->set_integer(object, "auto_offline_s", person ? person_offline_s(person) : presence->settings->auto_offline_s);
	return object;
}

struct listing {
	struct presence *presence;
	const char *asker;
	struct pbx_json *list;
};

static void list_account(void *context, const struct pbx_account *account)
{
	struct listing *listing = context;

	if (!listing->asker[0] || may_watch(listing->presence, listing->asker, account->number))
		(void)listing->presence->json->append(listing->list, describe(listing->presence, account->number, account->name));
}

void presence_on_list(void *self, pbx_request request)
{
	struct presence *presence = self;
	struct listing listing = { presence, presence->requests->own_account(request), presence->json->new_array() };

	if (presence->directory->each)
		presence->directory->each(presence->directory->self, list_account, &listing);
	(void)presence->requests->reply(request, 200, listing.list); /* the asker may have left */
}

/* False: has been refused. ret_name: 128 characters. */
static bool find_account(struct presence *presence, pbx_request request, const char *number, char *ret_name)
{
	struct pbx_account account = { .size = sizeof account };

	if (!presence->directory->find || presence->directory->find(presence->directory->self, number, &account) != PBX_OK) {
		(void)presence->requests->fail(request, 404, "no_such_extension", "extension", "there is no extension %.40s", number);
		return false;
	}
	(void)snprintf(ret_name, NAME_SIZE, "%s", account.name);
	return true;
}

void presence_on_show(void *self, pbx_request request)
{
	struct presence *presence = self;
	const char *number = presence->requests->text(request, "extension"), *own = presence->requests->own_account(request);
	char name[NAME_SIZE];

	if (!find_account(presence, request, number, name))
		return;
	if (own[0] && !may_watch(presence, own, number))
		(void)presence->requests->fail(request, 403, "not_permitted", "extension",
					       "the setting presence.watchers does not let %.40s see %.40s", own, number);
	else
		(void)presence->requests->reply(request, 200, describe(presence, number, name)); /* the asker may have left */
}

/* False: has been refused. */
static bool is_own(const struct presence *presence, pbx_request request, const char *number)
{
	const char *own = presence->requests->own_account(request);

	if (!own[0] || strcmp(own, number) == 0)
		return true;
	(void)presence->requests->fail(request, 403, "not_own", "extension", "%.40s may choose for extension %.40s only", own, own);
	return false;
}

void presence_on_set(void *self, pbx_request request)
{
	struct presence *presence = self;
	const struct pbx_requests *requests = presence->requests;
	const char *number = requests->text(request, "extension");
	const char *message = requests->text(request, "message");
	int64_t for_s = requests->integer(request, "for_s", 0);
	char name[NAME_SIZE];

	if (!is_own(presence, request, number) || !find_account(presence, request, number, name))
		return;
	if (person_choose(presence, number, status_of(requests->text(request, "status")), message ? message : "",
			  for_s ? presence->host->wall_us(presence->host) + for_s * 1000000 : 0) != PBX_OK)
		(void)requests->fail(request, 503, "no_memory", NULL, "there is no memory; try again");
	else
		(void)requests->reply(request, 200, describe(presence, number, name)); /* the asker may have left */
}

void presence_on_idle(void *self, pbx_request request)
{
	struct presence *presence = self;
	const struct pbx_requests *requests = presence->requests;
	const char *number = requests->text(request, "extension");
	char name[NAME_SIZE];

	if (!is_own(presence, request, number) || !find_account(presence, request, number, name))
		return;
	if (person_idles(presence, number, (uint32_t)requests->integer(request, "auto_away_s", IDLE_UNSET),
			 (uint32_t)requests->integer(request, "auto_offline_s", IDLE_UNSET)) != PBX_OK)
		(void)requests->fail(request, 503, "no_memory", NULL, "there is no memory; try again");
	else
		(void)requests->reply(request, 200, describe(presence, number, name)); /* the asker may have left */
}
