/* calls_notes.c - what others say of a call: fields of their own, which end in its record, and events of their own
 *
 * The PBX makes nothing of either. A plugin says them over the ABI, an administrator or a script by request (/calls/{id}, /calls/{id}/events, `calls set`,
 * `calls event`), a trusted system by headers of its INVITE. Each is an event of the call (call.fields_set, call.user_event), so that records, subscribers
 * and streams have them in the order in which they were said, and a crash takes none of them back. All are bounded by pbx/calls.h. */
#include "calls_part.h"
#include "bus.h"
#include "json_auto.h"
#include "one_line.h"
#include "request.h"

static const struct pbx_jsons *const json = &core_json_service;
static const struct pbx_requests *const requests = &core_requests_service;

/* ---- what may be said ---- */

#define LETTERS "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"

static bool is_name(const char *text, size_t most)
{
	return text && text[0] && strlen(text) <= most && strchr(LETTERS, text[0]) && text[strspn(text, LETTERS "0123456789_.-")] == '\0';
}

bool core_field_name_is_good(const char *name)
{
	return is_name(name, PBX_MOST_FIELD_NAME);
}

/* A text to set, or NULL for one to take away. PBX_OK, PBX_EINVAL. */
static int read_field(const struct pbx_json *member, const char **ret_value, struct pbx_diag *diag)
{
	const char *name = json->name(member), *value = json->text(member);

	if (!core_field_name_is_good(name)) {
		pbx_diag_set(diag, "fields", "\"%.40s\" is no name of a field: at most %u letters, digits, _ - and . after a letter", name,
			     PBX_MOST_FIELD_NAME);
		return PBX_EINVAL;
	}
	if (!value && json->type(member) != PBX_JSON_NULL) {
		pbx_diag_set(diag, "fields", "%s: a field is a text, as \"4711\", or null to take it away", name);
		return PBX_EINVAL;
	}
	if (value && (strlen(value) > PBX_MOST_FIELD_VALUE || !core_is_one_line(value))) {
		pbx_diag_set(diag, "fields", "%s: a field has at most %u bytes on one line", name, PBX_MOST_FIELD_VALUE);
		return PBX_EINVAL;
	}
	*ret_value = value && value[0] ? value : NULL;
	return PBX_OK;
}

/* ---- fields ---- */

const char *core_call_field(const struct core_call *call, const char *name)
{
	return json->text(json->get(call->fields, name));
}

/* The call's fields with the changes made, and those of the changes that change something. */
static int merge(const struct core_call *call, const struct pbx_json *changes, struct pbx_json *ret_fields, struct pbx_json *ret_changed,
		 struct pbx_diag *diag)
{
	int err = PBX_OK;

	for (uint32_t i = 0; i < json->count(call->fields) && err == PBX_OK; i++) {
		const struct pbx_json *member = json->at(call->fields, i);

		if (!json->get(changes, json->name(member)))
			err = json->set_text(ret_fields, json->name(member), json->text(member));
	}
	for (uint32_t i = 0; i < json->count(changes) && err == PBX_OK; i++) {
		const struct pbx_json *member = json->at(changes, i);
		const char *value = NULL, *name = json->name(member);

		err = read_field(member, &value, diag);
		if (err != PBX_OK)
			return err;
		const char *before = core_call_field(call, name);
		if (value)
			err = json->set_text(ret_fields, name, value);
		if (err == PBX_OK && (value ? !before || strcmp(before, value) != 0 : before != NULL))
			err = json->set_text(ret_changed, name, value);
	}
	if (err == PBX_OK && json->count(ret_fields) > PBX_MOST_FIELDS) {
		pbx_diag_set(diag, "fields", "a call has at most %u fields, these would be %u: take some away with null", PBX_MOST_FIELDS,
			     json->count(ret_fields));
		return PBX_ENOSPC;
	}
	return err;
}

int core_call_set_fields(struct core_call *call, const char *by, const struct pbx_json *changes, struct pbx_diag *diag)
{
	AUTO(json) struct pbx_json *fields = json->new_object();
	AUTO(json) struct pbx_json *changed = json->new_object();

	if (!fields || !changed)
		return PBX_ENOMEM;
	int err = merge(call, changes, fields, changed, diag);

	if (err != PBX_OK || json->count(changed) == 0)
		return err;
	err = core_event_fields_set(call, by, TAKE(changed));
	if (err != PBX_OK)
		return err; /* nobody would hear of it */
	json->free(call->fields);
	call->fields = TAKE(fields);
	return PBX_OK;
}

/* Each by itself: one that cannot be spoils no other, and no call. */
void core_call_take_fields(struct core_call *call, const char *by, const struct pbx_json *fields)
{
	for (uint32_t i = 0; i < json->count(fields); i++) {
		const struct pbx_json *member = json->at(fields, i);
		AUTO(json) struct pbx_json *one = json->new_object();
		struct pbx_diag diag = { "", "out of memory" };
		int err = json->set_text(one, json->name(member), json->text(member));

		if (err == PBX_OK)
			err = core_call_set_fields(call, by, one, &diag);
		if (err != PBX_OK)
			core_log(PBX_LOG_WARN, "calls", call->id, "field_left_out", "from=%s reason=\"%s\"", by, diag.text);
	}
}

/* ---- events ---- */

int core_call_tell(struct core_call *call, const char *by, const char *name, struct pbx_json *taken, struct pbx_diag *diag)
{
	AUTO(json) struct pbx_json *data = taken ? taken : json->new_object();
	char *printed = data ? json->print(data) : NULL;
	size_t size = printed ? strlen(printed) : 0;

	json->free_text(printed);
	if (!printed)
		return PBX_ENOMEM;
	if (!is_name(name, PBX_MOST_TOLD_NAME)) {
		pbx_diag_set(diag, "name", "\"%.40s\" is no name of an event: at most %u letters, digits, _ - and . after a letter",
			     name ? name : "", PBX_MOST_TOLD_NAME);
		return PBX_EINVAL;
	}
	if (json->type(data) != PBX_JSON_OBJECT) {
		pbx_diag_set(diag, "data", "data is a JSON object");
		return PBX_EINVAL;
	}
	if (size > PBX_MOST_TOLD_DATA) {
		pbx_diag_set(diag, "data", "data has %zu bytes as JSON, at most %u are kept", size, PBX_MOST_TOLD_DATA);
		return PBX_ENOSPC;
	}
	if (call->told >= PBX_MOST_TOLD) {
		pbx_diag_set(diag, "", "%u events have been written into this call, which is the most: its history would be theirs alone",
			     PBX_MOST_TOLD);
		return PBX_ENOSPC;
	}
	int err = core_event_user(call, by, name, TAKE(data));

	call->told += err == PBX_OK;
	return err;
}

/* ---- over the ABI ---- */

int core_calls_tell(struct pbx_host *host, pbx_call handle, const char *name, struct pbx_json *taken)
{
	struct core_call *call = core_call_find(handle);

	if (call)
		return core_call_tell(call, core_owner_name(host), name, taken, NULL);
	json->free(taken);
	return PBX_ENOENT;
}

int core_calls_set_field(struct pbx_host *host, pbx_call handle, const char *name, const char *value)
{
	struct core_call *call = core_call_find(handle);
	AUTO(json) struct pbx_json *changes = json->new_object();

	if (!call)
		return PBX_ENOENT;
	if (!core_field_name_is_good(name))
		return PBX_EINVAL;
	int err = json->set_text(changes, name, value);
	return err == PBX_OK ? core_call_set_fields(call, core_owner_name(host), changes, NULL) : err;
}

const char *core_calls_field(pbx_call handle, const char *name)
{
	const struct core_call *call = core_call_find(handle);

	return call && name ? core_call_field(call, name) : NULL;
}

/* ---- by request ---- */

static void refuse(pbx_request request, int err, const struct pbx_diag *diag)
{
	if (err == PBX_EINVAL || err == PBX_ENOSPC)
		(void)requests->fail(request, diag->field[0] ? 422 : 409, diag->field[0] ? "invalid" : "too_many",
				     diag->field[0] ? diag->field : NULL, "%s", diag->text);
	else
		(void)requests->fail(request, 503, "no_memory", NULL, "out of memory, try again later");
}

void core_calls_change(void *self, pbx_request request)
{
	struct core_call *call = core_calls_asked(request);
	struct pbx_diag diag = { "", "" };

	(void)self;
	if (!call)
		return; /* refused */
	int err = core_call_set_fields(call, requests->actor(request), requests->json(request, "fields"), &diag);

	if (err == PBX_OK)
		(void)requests->reply(request, 200, core_calls_show(call->id));
	else
		refuse(request, err, &diag);
}

void core_calls_on_told(void *self, pbx_request request)
{
	struct core_call *call = core_calls_asked(request);
	const char *name = requests->text(request, "name");
	const struct pbx_json *data = requests->json(request, "data");
	struct pbx_diag diag = { "", "" };

	(void)self;
	if (!call)
		return; /* refused */
	struct pbx_json *told = json->type(data) == PBX_JSON_OBJECT ? json->copy(data) : json->new_object();
	AUTO(json) struct pbx_json *answer = json->new_object();
	int err = told ? PBX_OK : PBX_ENOMEM;

	(void)json->set_text(answer, "call_id", call->id);
	(void)json->set_text(answer, "name", name);
	(void)json->set(answer, "data", json->copy(told));
	if (err == PBX_OK)
		err = core_call_tell(call, requests->actor(request), name, told, &diag);
	if (err == PBX_OK)
		(void)requests->reply(request, 202, TAKE(answer));
	else
		refuse(request, err, &diag);
}
