/* core/request_view.c - how an answer to GET is shown: its ETag, and as much of it as was asked for
 *
 * Every route has this without code of its own. The ETag is a hash of the whole answer, so whoever polls with If-None-Match gets 304 while
 * nothing has changed. ?fields= keeps some members. A list that its owner gives whole can be asked for in pieces and in another order:
 * ?limit=, ?cursor=, ?sort=-start,name, ?include_total=true; a route that declares limit or cursor itself does that in its own way. What
 * the answer cannot be shown as is refused, like any argument that nobody knows. */
#include "request_internal.h"
#include <openssl/evp.h>
#include <stdlib.h>
#include <string.h>

#define MOST_ITEMS_OF_A_PAGE 500u
#define MOST_SORT_KEYS 8u
#define MOST_LINK 1024u

/* ---- ETag ----------------------------------------------------------------------------- */

void core_hash_hex(const char *const *pieces, const size_t *sizes, size_t count, char ret_hex[65])
{
	EVP_MD_CTX *context = EVP_MD_CTX_new();
	unsigned char digest[EVP_MAX_MD_SIZE] = { 0 };
	unsigned length = 0;
	bool ok = context && EVP_DigestInit_ex(context, EVP_sha256(), NULL) == 1;

	ret_hex[0] = '\0';
	for (size_t i = 0; ok && i < count; i++)
		ok = EVP_DigestUpdate(context, pieces[i], sizes[i]) == 1;
	if (ok && EVP_DigestFinal_ex(context, digest, &length) == 1)
		for (unsigned i = 0; i < length && i < 32; i++)
			(void)snprintf(ret_hex + 2 * (size_t)i, 3, "%02x", digest[i]);
	EVP_MD_CTX_free(context);
}

bool core_etag_is_listed(const char *list, const char *etag)
{
	size_t length = strlen(etag);

	while (*list) {
		list += strspn(list, ", \t");
		if (!strncmp(list, "W/", 2))
			list += 2;
		if (*list == '*')
			return true;
		const char *end = *list == '"' ? strchr(list + 1, '"') : NULL;
		size_t size = end ? (size_t)(end + 1 - list) : strcspn(list, ",");

		if (size == length && !memcmp(list, etag, length))
			return true;
		list += size;
	}
	return false;
}

/* ---- asking --------------------------------------------------------------------------- */

void core_view_fini(struct core_view *view)
{
	free(view->cursor);
	free(view->sort);
	free(view->fields);
	*view = (struct core_view){ 0 };
}

static bool is_asked(const struct core_view *view)
{
	return view->limit || view->cursor || view->sort || view->fields || view->wants_total;
}

static int keep_text(char **at, const char *name, const char *value, struct core_problem *problem)
{
	if (*at) {
		core_problem_add(problem, 400, "twice", "query", name, "%s: given twice", name);
		return PBX_OK;
	}
	if (!*value) {
		core_problem_add(problem, 400, "wrong_type", "query", name, "%s: is empty", name);
		return PBX_OK;
	}
	*at = strdup(value);
	return *at ? PBX_OK : PBX_ENOMEM;
}

static void take_limit(struct core_view *view, const char *value, struct core_problem *problem)
{
	char *end;
	long limit = strtol(value, &end, 10);

	if (end == value || *end)
		core_problem_add(problem, 400, "wrong_type", "query", "limit", "limit: expected an integer");
	else if (limit < 1 || limit > (long)MOST_ITEMS_OF_A_PAGE)
		core_problem_add(problem, 400, "out_of_range", "query", "limit", "limit: %ld is not within 1 and %u", limit,
				 MOST_ITEMS_OF_A_PAGE);
	else
		view->limit = (uint32_t)limit;
}

static bool pages_itself(const struct pbx_table *args)
{
	return core_arg_find(args, "limit") != CORE_ARG_NOT_FOUND || core_arg_find(args, "cursor") != CORE_ARG_NOT_FOUND;
}

bool core_view_knows(const struct pbx_route *route, const char *name)
{
	static const char *const of_lists[] = { "limit", "cursor", "sort", "include_total" };

	if (strcmp(route->method, "GET") != 0)
		return false;
	if (!strcmp(name, "fields"))
		return true;
	for (size_t i = 0; i < sizeof of_lists / sizeof of_lists[0]; i++)
		if (!strcmp(name, of_lists[i]))
			return !pages_itself(&route->args);
	return false;
}

int core_view_take(struct core_view *view, const char *name, const char *value, struct core_problem *problem)
{
	if (!strcmp(name, "fields"))
		return keep_text(&view->fields, name, value, problem);
	if (!strcmp(name, "sort"))
		return keep_text(&view->sort, name, value, problem);
	if (!strcmp(name, "cursor"))
		return keep_text(&view->cursor, name, value, problem);
	if (!strcmp(name, "limit"))
		take_limit(view, value, problem);
	else if (!strcmp(value, "true") || !strcmp(value, "false"))
		view->wants_total = value[0] == 't';
	else
		core_problem_add(problem, 400, "wrong_type", "query", name, "%s: expected true or false", name);
	return PBX_OK;
}

/* ---- order ---------------------------------------------------------------------------- */

struct sort_key {
	char name[64];
	bool descending;
};

struct sort {
	struct sort_key keys[MOST_SORT_KEYS];
	uint32_t count;
};

struct row {
	const struct pbx_json *item;
	uint32_t place; /* as it came: equals keep their order */
};

static int compare_values(const struct pbx_json *a, const struct pbx_json *b)
{
	uint32_t type = core_json_type(a);

	if (type != core_json_type(b) || (type != PBX_JSON_NUMBER && type != PBX_JSON_TEXT && type != PBX_JSON_BOOL))
		return 0;
	if (type == PBX_JSON_TEXT)
		return strcmp(core_json_text(a), core_json_text(b));
	double left = type == PBX_JSON_BOOL ? core_json_boolean(a, false) : core_json_number(a, 0);
	double right = type == PBX_JSON_BOOL ? core_json_boolean(b, false) : core_json_number(b, 0);

	return left < right ? -1 : left > right;
}

static bool has_value(const struct pbx_json *value)
{
	return value && core_json_type(value) != PBX_JSON_NULL;
}

/* What has no value comes last, whatever the direction. */
static int compare_rows(const void *a, const void *b, void *context)
{
	const struct row *left = a, *right = b;
	const struct sort *sort = context;

	for (uint32_t i = 0; i < sort->count; i++) {
		const struct pbx_json *x = core_json_get(left->item, sort->keys[i].name);
		const struct pbx_json *y = core_json_get(right->item, sort->keys[i].name);

		if (has_value(x) != has_value(y))
			return has_value(x) ? -1 : 1;
		int order = compare_values(x, y);
		if (order)
			return sort->keys[i].descending ? -order : order;
	}
	return left->place < right->place ? -1 : left->place > right->place;
}

/* Whether any item has a member of that name; an empty list has all. */
static bool is_known(const struct row *rows, uint32_t count, const char *name, size_t length)
{
	for (uint32_t i = 0; i < count; i++)
		for (const struct pbx_json *member = core_json_first(rows[i].item); member; member = core_json_next(member))
			if (strlen(core_json_name(member)) == length && !memcmp(core_json_name(member), name, length))
				return true;
	return count == 0;
}

static void sort_rows(const char *text, struct row *rows, uint32_t count, struct core_problem *problem)
{
	struct sort sort = { .count = 0 };

	for (; *text; text += *text == ',') {
		bool descending = *text == '-';
		const char *name = text + descending;
		size_t length = strcspn(name, ",");

		if (length == 0 || length >= sizeof sort.keys[0].name || sort.count == MOST_SORT_KEYS ||
		    !is_known(rows, count, name, length)) {
			core_problem_add(problem, 400, "unknown", "query", "sort", "sort: no item has \"%.*s\"", (int)(length % 65), name);
			return;
		}
		memcpy(sort.keys[sort.count].name, name, length);
		sort.keys[sort.count++].descending = descending;
		text = name + length;
	}
	if (count)
		qsort_r(rows, count, sizeof *rows, compare_rows, &sort);
}

/* ---- pages ---------------------------------------------------------------------------- */

/* What tells an item from the others: its first member, as a text. */
static void identity_of(const struct pbx_json *item, char ret_text[96])
{
	const struct pbx_json *first = core_json_first(item);

	ret_text[0] = '\0';
	if (core_json_text(first))
		(void)snprintf(ret_text, 96, "%s", core_json_text(first));
	else if (core_json_type(first) == PBX_JSON_NUMBER)
		(void)snprintf(ret_text, 96, "%.17g", core_json_number(first, 0));
}

/* A cursor is where the last page ended, and with which item: what was added or removed before it meanwhile does not shift the next page. */
static uint32_t start_of_page(const char *cursor, const struct row *rows, uint32_t count, struct core_problem *problem)
{
	char *dot, identity[96];
	unsigned long place = strtoul(cursor, &dot, 10);

	if (dot == cursor || *dot != '.' || cursor[0] == '-' || cursor[0] == ' ') {
		core_problem_add(problem, 400, "invalid_value", "query", "cursor", "cursor: not one that an answer gave as next_cursor");
		return 0;
	}
	uint32_t start = place < count ? (uint32_t)place : count;
	for (uint32_t i = 0; dot[1] && i < count; i++) {
		uint32_t at = (start + count - 1 + i) % count; /* where it was, first */

		identity_of(rows[at].item, identity);
		if (!strcmp(identity, dot + 1))
			return at + 1;
	}
	return start;
}

static void check_fields(const char *fields, const struct row *rows, uint32_t count, struct core_problem *problem)
{
	for (size_t length; *fields; fields += length + (fields[length] == ',')) {
		length = strcspn(fields, ",");
		if (!is_known(rows, count, fields, length))
			core_problem_add(problem, 400, "unknown", "query", "fields", "fields: there is no \"%.*s\"",
					 (int)(length < 64 ? length : 64), fields);
	}
}

static bool is_field(const char *fields, const char *name)
{
	size_t length = strlen(name);

	for (; *fields; fields += strcspn(fields, ","), fields += *fields == ',')
		if (strcspn(fields, ",") == length && !memcmp(fields, name, length))
			return true;
	return false;
}

/* A copy of an object, or of the members asked for. */
static struct pbx_json *chosen(const struct pbx_json *object, const char *fields)
{
	AUTO(json) struct pbx_json *copy = fields ? core_json_object() : core_json_copy(object);

	for (const struct pbx_json *member = fields ? core_json_first(object) : NULL; member; member = core_json_next(member))
		if (is_field(fields, core_json_name(member)) &&
		    core_json_set(copy, core_json_name(member), core_json_copy(member)) != PBX_OK)
			return NULL;
	return TAKE(copy);
}

static struct pbx_json *page_of(const struct core_view *view, const struct row *rows, uint32_t start, uint32_t end)
{
	AUTO(json) struct pbx_json *items = core_json_array();

	for (uint32_t i = start; i < end; i++)
		if (core_json_append(items, chosen(rows[i].item, view->fields)) != PBX_OK)
			return NULL;
	return TAKE(items);
}

/* The other members of a list's answer stay as they are. */
static struct pbx_json *list_answer(const struct core_view *view, const struct pbx_json *json, const struct row *rows, uint32_t count,
				    uint32_t start)
{
	AUTO(json) struct pbx_json *answer = core_json_object();
	uint32_t most = view->limit ? view->limit : view->cursor ? CORE_PAGE_ITEMS : count;
	uint32_t end = count - start > most ? start + most : count;
	char cursor[128], identity[96];

	for (const struct pbx_json *member = core_json_first(json); member; member = core_json_next(member)) {
		bool is_items = !strcmp(core_json_name(member), "items");

		if (core_json_set(answer, core_json_name(member), is_items ? page_of(view, rows, start, end) : core_json_copy(member)) !=
		    PBX_OK)
			return NULL;
	}
	if (view->limit || view->cursor) {
		identity_of(end ? rows[end - 1].item : NULL, identity);
		(void)snprintf(cursor, sizeof cursor, "%u.%s", end, identity);
		if (core_json_set_text(answer, "next_cursor", end < count ? cursor : NULL) != PBX_OK)
			return NULL;
	}
	if (view->wants_total && core_json_set_integer(answer, "total", count) != PBX_OK)
		return NULL;
	return TAKE(answer);
}

static struct pbx_json *view_of_list(const struct core_view *view, const struct pbx_json *json, const struct pbx_json *items,
				     struct core_problem *problem)
{
	uint32_t count = core_json_count(items), at = 0, start = 0;
	struct row *rows = calloc((size_t)count + 1, sizeof *rows);

	if (!rows)
		return NULL;
	for (const struct pbx_json *item = core_json_first(items); item; item = core_json_next(item), at++)
		rows[at] = (struct row){ .item = item, .place = at };
	if (view->fields)
		check_fields(view->fields, rows, count, problem);
	if (view->sort)
		sort_rows(view->sort, rows, count, problem);
	if (view->cursor)
		start = start_of_page(view->cursor, rows, count, problem);
	struct pbx_json *answer = problem->status ? NULL : list_answer(view, json, rows, count, start);
	free(rows);
	return answer;
}

static struct pbx_json *view_of_object(const struct core_view *view, const struct pbx_json *json, struct core_problem *problem)
{
	const struct row row = { .item = json };

	if (view->limit || view->cursor || view->sort || view->wants_total)
		core_problem_add(problem, 400, "unknown", "query",
				 view->limit    ? "limit"
				 : view->cursor ? "cursor"
				 : view->sort   ? "sort"
						: "include_total",
				 "this is not a list");
	else
		check_fields(view->fields, &row, 1, problem);
	return problem->status ? NULL : chosen(json, view->fields);
}

/* ---- answering ------------------------------------------------------------------------ */

static bool append_encoded(char *text, size_t size, const char *value)
{
	size_t at = strlen(text);

	for (; *value; value++) {
		bool plain = (*value >= '0' && *value <= '9') || (*value >= 'A' && *value <= 'Z') || (*value >= 'a' && *value <= 'z') ||
			     strchr("-._~", *value);

		if (at + 4 > size)
			return false;
		at += (size_t)snprintf(text + at, size - at, plain ? "%c" : "%%%02X", (unsigned char)*value);
	}
	return true;
}

/* RFC 8288: the same question with the next cursor, relative to the resource. */
static void tell_next(const struct core_request *request, const char *cursor)
{
	char link[MOST_LINK] = "<?";
	const char *query = request->query;

	while (*query) {
		size_t length = strcspn(query, "&"), at = strlen(link);

		if (at + length + 2 > sizeof link)
			return;
		if (length && strncmp(query, "cursor=", 7) != 0)
			(void)snprintf(link + at, sizeof link - at, "%.*s&", (int)length, query);
		query += length + (query[length] == '&');
	}
	size_t at = strlen(link);
	(void)snprintf(link + at, sizeof link - at, "cursor=");
	if (!append_encoded(link, sizeof link - sizeof ">; rel=\"next\"", cursor))
		return;
	at = strlen(link);
	(void)snprintf(link + at, sizeof link - at, ">; rel=\"next\"");
	core_request_header(request, "Link", link);
}

struct pbx_json *core_view_apply(const struct core_request *request, const struct pbx_json *json, struct core_problem *problem)
{
	const struct core_view *view = &request->view;
	const struct pbx_json *items = core_json_get(json, "items");

	if (!is_asked(view))
		return NULL;
	struct pbx_json *shown =
		core_json_type(items) == PBX_JSON_ARRAY ? view_of_list(view, json, items, problem) : view_of_object(view, json, problem);
	if (!shown && !problem->status)
		core_problem_set(problem, 503, "no_memory", "out of memory, try again later");
	return shown;
}

bool core_view_refuses_stream(const struct core_request *request)
{
	return is_asked(&request->view);
}

bool core_view_tell(const struct core_request *request, const struct pbx_json *shown, const char *whole)
{
	const char *wanted = core_request_header_of(request, "If-None-Match");
	const char *cursor = core_json_text(core_json_get(shown, "next_cursor"));
	const size_t size = strlen(whole);
	char hex[65], etag[CORE_ETAG_SIZE];

	core_hash_hex(&whole, &size, 1, hex);
	(void)snprintf(etag, sizeof etag, "\"%.32s\"", hex);
	core_request_header(request, "ETag", etag);
	if (wanted && core_etag_is_listed(wanted, etag))
		return false;
	if (cursor && *cursor)
		tell_next(request, cursor);
	return true;
}
