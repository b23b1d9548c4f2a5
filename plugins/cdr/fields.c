/*
 * fields - what others note in a record: texts under names of their own, by call.fields_set
 *
 * A record has them as an object, the row as its JSON. They go along with the caller to the next record of the call. Two names are columns of the
 * record since ever: account_code and user_field. A call that goes into another one without a record of its own leaves its fields there.
 */
#include "cdr.h"
#include <stdlib.h>
#include <string.h>

bool fields_is_name(const char *name)
{
	static const char letters[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_.-";

	return name[0] && strchr("0123456789_.-", name[0]) == NULL && strlen(name) <= PBX_MOST_FIELD_NAME &&
	       name[strspn(name, letters)] == '\0';
}

int fields_keep(struct open_call *call, const char *fields)
{
	char *kept = fields && fields[0] ? strdup(fields) : NULL;

	if (!kept && fields && fields[0])
		return PBX_ENOMEM;
	free(call->fields);
	call->segment.fields = call->fields = kept;
	return PBX_OK;
}

void fields_forget(struct open_call *call)
{
	free(call->fields);
	call->segment.fields = call->fields = NULL;
}

struct pbx_json *fields_json(const struct cdr *cdr, const struct segment *segment)
{
	const char *text = segment->fields;
	struct pbx_json *object = text && text[0] ? cdr->json->parse(text, strlen(text), NULL) : NULL;

	return object ? object : cdr->json->new_object();
}

/* The column that a field of this name is; NULL: none, it is one of the object. */
static char *column_of(struct segment *segment, const char *name)
{
	return strcmp(name, "account_code") == 0 ? segment->account_code : strcmp(name, "user_field") == 0 ? segment->user_field : NULL;
}

/* What stays of those it had, and what is new. NULL: no memory. */
static struct pbx_json *merged(const struct cdr *cdr, const struct open_call *call, const struct pbx_json *changes, bool only_new)
{
	const struct pbx_jsons *json = cdr->json;
	struct pbx_json *had = fields_json(cdr, &call->segment), *fields = json->new_object();
	int err = had && fields ? PBX_OK : PBX_ENOMEM;

	for (uint32_t i = 0; i < json->count(had) && err == PBX_OK; i++) {
		const struct pbx_json *member = json->at(had, i);

		if (only_new || !json->get(changes, json->name(member)))
			err = json->set_text(fields, json->name(member), json->text(member));
	}
	for (uint32_t i = 0; i < json->count(changes) && err == PBX_OK; i++) {
		const struct pbx_json *member = json->at(changes, i);
		const char *name = json->name(member), *value = json->text(member);
		bool is_column = strcmp(name, "account_code") == 0 || strcmp(name, "user_field") == 0;

		if (value && !is_column && json->count(fields) < PBX_MOST_FIELDS && !json->get(fields, name))
			err = json->set_text(fields, name, value);
	}
	json->free(had);
	if (err == PBX_OK)
		return fields;
	json->free(fields);
	return NULL;
}

int fields_change(struct cdr *cdr, struct open_call *call, const struct pbx_json *changes, bool only_new)
{
	const struct pbx_jsons *json = cdr->json;
	struct pbx_json *fields = merged(cdr, call, changes, only_new);
	char *text = fields ? json->print(fields) : NULL;
	int err = text ? fields_keep(call, json->count(fields) > 0 ? text : "") : PBX_ENOMEM;

	json->free_text(text);
	json->free(fields);
	for (uint32_t i = 0; i < json->count(changes) && err == PBX_OK; i++) {
		const struct pbx_json *member = json->at(changes, i);
		const char *value = json->text(member);
		char *column = column_of(&call->segment, json->name(member));

		if (column && !(only_new && column[0]))
			(void)snprintf(column, CDR_NOTE, "%s", value ? value : "");
	}
	return err;
}

/* ---- looked for ----------------------------------------------------------------------- */

/* The JSON of a row has names and texts in quotation marks, and those within a text have a backslash before them: so this piece of it can be nothing
 * but a name, or a name and its text. */
int fields_sought(const struct pbx_jsons *json, const char *asked, char ret_param[FIELDS_SOUGHT])
{
	size_t length = strcspn(asked, "=");
	char name[PBX_MOST_FIELD_NAME + 1];

	if (length > PBX_MOST_FIELD_NAME)
		return PBX_EINVAL;
	(void)snprintf(name, sizeof name, "%.*s", (int)length, asked);
	if (!fields_is_name(name))
		return PBX_EINVAL;
	(void)snprintf(ret_param, FIELDS_SOUGHT, "\"%s\":", name);
	if (asked[length] == '\0')
		return PBX_OK;
	struct pbx_json *text = json->new_text(asked + length + 1);
	char *printed = json->print(text);

	if (printed)
		(void)snprintf(ret_param + strlen(ret_param), FIELDS_SOUGHT - strlen(ret_param), "%s", printed);
	json->free_text(printed);
	json->free(text);
	return printed ? PBX_OK : PBX_ENOMEM;
}
