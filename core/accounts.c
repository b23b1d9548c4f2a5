/* accounts.c - every directory is asked, since several may be there */
#include "accounts.h"
#include "host.h"
#include <string.h>

struct search {
	const char *account;
	size_t member;
	char *text; /* NULL: whether it exists is all that is asked */
	size_t size;
	bool exists;
};

static void look_in(void *context, const void *table)
{
	struct search *search = context;
	const struct pbx_directory *directory = table;
	struct pbx_account account = { .size = sizeof account };
	const char *text;

	if (!directory->find || directory->find(directory->self, search->account, &account) != PBX_OK)
		return;
	search->exists = true;
	if (!search->text || search->text[0])
		return;
	memcpy(&text, (const char *)&account + search->member, sizeof text); /* NULL: its directory is older than this member */
	(void)snprintf(search->text, search->size, "%s", text ? text : "");
}

static void look_up(struct search *search)
{
	if (search->account && search->account[0])
		core_host_each_service("pbx.directory/1", (uint32_t)sizeof(struct pbx_directory), look_in, search);
}

bool core_account_exists(const char *account)
{
	struct search search = { .account = account };

	look_up(&search);
	return search.exists;
}

void core_account_text(const char *account, size_t member, char *ret_text, size_t size)
{
	struct search search = { .account = account, .member = member, .text = ret_text, .size = size };

	ret_text[0] = '\0';
	look_up(&search);
}
