/* core/openapi.c - the OpenAPI 3.1 document of every route, made from the same rows that check the requests
 *
 * Without memory a piece is left out rather than the document refused; each function frees what it could not hand on. */
#include "request_internal.h"
#include <stdlib.h>
#include <string.h>

/* Takes both; false: value is freed. */
static bool put(struct pbx_json *object, const char *name, struct pbx_json *taken)
{
	return object && taken ? core_json_set(object, name, taken) == PBX_OK : (core_json_free(taken), false);
}

static void put_text(struct pbx_json *object, const char *name, const char *text)
{
	if (object && text && *text)
		(void)core_json_set_text(object, name, text); /* as the file's comment says */
}

/* ---- schemas -------------------------------------------------------------------------- */

static struct pbx_json *texts(const char *const *items)
{
	struct pbx_json *list = core_json_array();

	for (; list && *items; items++)
		(void)core_json_append_text(list, *items); /* as above */
	return list;
}

static struct pbx_json *schema_of_type(uint32_t type)
{
	static const char *const names[] = { NULL,    "boolean", "integer", "number", "string", "string",
					     "array", "object",  "array",   "string", "string" };
	struct pbx_json *schema = core_json_object();

	if (type < sizeof names / sizeof names[0])
		put_text(schema, "type", names[type]);
	if (type == PBX_TYPE_LIST || type == PBX_TYPE_OBJECTS)
		(void)put(schema, "items", schema_of_type(type == PBX_TYPE_LIST ? PBX_TYPE_TEXT : PBX_TYPE_OBJECT));
	if (type == PBX_TYPE_TIME)
		put_text(schema, "format", "date-time");
	if (type == PBX_TYPE_SECRET)
		put_text(schema, "format", "password");
	return schema;
}

static struct pbx_json *schema_of_arg(const struct pbx_arg *arg)
{
	struct pbx_json *schema = schema_of_type(arg->type);
	bool is_integer = arg->type == PBX_TYPE_INT;

	if (schema && arg->choices)
		(void)put(schema, "enum", texts(arg->choices));
	if (schema && arg->least < arg->most && (is_integer || arg->type == PBX_TYPE_TEXT || arg->type == PBX_TYPE_SECRET)) {
		(void)core_json_set_integer(schema, is_integer ? "minimum" : "minLength", arg->least); /* as above */
		if (arg->most != INT64_MAX)
			(void)core_json_set_integer(schema, is_integer ? "maximum" : "maxLength", arg->most);
	}
	return schema;
}

static struct pbx_json *schema_of_fields(const struct pbx_table *fields)
{
	struct pbx_json *schema = core_json_object(), *properties = core_json_object();

	put_text(schema, "type", "object");
	for (uint32_t i = 0; properties && i < fields->count; i++) {
		struct pbx_field field = core_field_at(fields, i);
		struct pbx_json *property = schema_of_type(field.type);

		put_text(property, "description", field.help);
		(void)put(properties, field.name, property);
	}
	(void)put(schema, "properties", properties);
	return schema;
}

/* An answer is what the rows say, or a list of such in "items". */
static struct pbx_json *schema_of_reply(const struct pbx_table *fields)
{
	struct pbx_json *schema = core_json_object(), *choice = core_json_array(), *list = core_json_object();
	struct pbx_json *properties = core_json_object(), *items = core_json_object();

	put_text(items, "type", "array");
	(void)put(items, "items", schema_of_fields(fields));
	(void)put(properties, "items", items);
	put_text(list, "type", "object");
	(void)put(list, "properties", properties);
	if (choice) {
		struct pbx_json *one = schema_of_fields(fields);

		if (one)
			(void)core_json_append(choice, one); /* as above */
		if (list)
			(void)core_json_append(choice, list);
	} else {
		core_json_free(list);
	}
	(void)put(schema, "anyOf", choice);
	return schema;
}

static struct pbx_json *reference(const char *to)
{
	struct pbx_json *json = core_json_object();

	put_text(json, "$ref", to);
	return json;
}

/* { type: { schema: … } } */
static struct pbx_json *content(const char *type, struct pbx_json *taken_schema)
{
	struct pbx_json *json = core_json_object(), *media = core_json_object();

	(void)put(media, "schema", taken_schema);
	(void)put(json, type, media);
	return json;
}

/* ---- operations ----------------------------------------------------------------------- */

static bool is_in_template(const char *path, const char *name)
{
	char place[96];

	(void)snprintf(place, sizeof place, "{%s}", name);
	return strstr(path, place) != NULL;
}

static struct pbx_json *parameter(const struct pbx_arg *arg, const char *in)
{
	struct pbx_json *json = core_json_object();

	put_text(json, "name", arg->name);
	put_text(json, "in", in);
	put_text(json, "description", arg->help);
	if (json && (!strcmp(in, "path") || (arg->flags & PBX_ARG_REQUIRED)))
		(void)core_json_set_boolean(json, "required", true); /* as above */
	(void)put(json, "schema", schema_of_arg(arg));
	return json;
}

/* A path's places that no row describes are texts. */
static void add_path_parameters(struct pbx_json *list, const struct pbx_route *route)
{
	for (const char *open = strchr(route->path, '{'); open; open = strchr(open + 1, '{')) {
		AUTO(text) char *name = strndup(open + 1, strcspn(open + 1, "}"));
		uint32_t at = name ? core_arg_find(&route->args, name) : 0;

		if (!name)
			return;
		struct pbx_arg arg =
			at == CORE_ARG_NOT_FOUND ? (struct pbx_arg){ .name = name, .type = PBX_TYPE_TEXT } : core_arg_at(&route->args, at);
		struct pbx_json *json = parameter(&arg, "path");
		if (json)
			(void)core_json_append(list, json); /* as above */
	}
}

static void add_reference(struct pbx_json *list, const char *to)
{
	struct pbx_json *json = reference(to);

	if (json)
		(void)core_json_append(list, json); /* as above */
}

/* What every route understands (request_view.c, request_turns.c, request_once.c) is described once, in the components. */
static void add_conventions(struct pbx_json *list, const struct pbx_route *route)
{
	static const struct {
		const char *name, *to;
	} of_answers[] = { { "fields", "#/components/parameters/fields" },
			   { "limit", "#/components/parameters/limit" },
			   { "cursor", "#/components/parameters/cursor" },
			   { "sort", "#/components/parameters/sort" },
			   { "include_total", "#/components/parameters/include_total" } };
	const char *last = strrchr(route->path, '/');
	bool is_list = last && last[1] != '{';

	if (!strcmp(route->method, "GET")) {
		for (size_t i = 0; route->reply.count && i < sizeof of_answers / sizeof of_answers[0]; i++)
			if (core_view_knows(route, of_answers[i].name) && (i == 0 || is_list))
				add_reference(list, of_answers[i].to);
		add_reference(list, "#/components/parameters/if_none_match");
	} else if (!strcmp(route->method, "POST")) {
		if (!(route->flags & PBX_ROUTE_PUBLIC))
			add_reference(list, "#/components/parameters/idempotency_key");
	} else {
		add_reference(list, "#/components/parameters/if_match");
	}
}

static struct pbx_json *parameters(const struct pbx_route *route)
{
	struct pbx_json *list = core_json_array();

	if (!list)
		return NULL;
	add_path_parameters(list, route);
	for (uint32_t i = 0; i < route->args.count; i++) {
		struct pbx_arg arg = core_arg_at(&route->args, i);
		struct pbx_json *json =
			(arg.flags & PBX_ARG_QUERY) && !is_in_template(route->path, arg.name) ? parameter(&arg, "query") : NULL;

		if (json)
			(void)core_json_append(list, json); /* as above */
	}
	add_conventions(list, route);
	return list;
}

static struct pbx_json *request_body(const struct pbx_route *route)
{
	AUTO(json) struct pbx_json *properties = core_json_object(), *required = core_json_array();
	struct pbx_json *schema = core_json_object(), *json = core_json_object();

	put_text(schema, "type", "object");
	for (uint32_t i = 0; properties && required && i < route->args.count; i++) {
		struct pbx_arg arg = core_arg_at(&route->args, i);

		if ((arg.flags & PBX_ARG_QUERY) || is_in_template(route->path, arg.name))
			continue;
		struct pbx_json *property = schema_of_arg(&arg);
		put_text(property, "description", arg.help);
		(void)put(properties, arg.name, property);
		if (arg.flags & PBX_ARG_REQUIRED)
			(void)core_json_append_text(required, arg.name); /* as above */
	}
	bool is_needed = core_json_count(required) > 0, has_members = core_json_count(properties) > 0;
	if (is_needed)
		(void)put(schema, "required", TAKE(required));
	(void)put(schema, "properties", TAKE(properties));
	if (is_needed)
		(void)core_json_set_boolean(json, "required", true); /* as above */
	if (!has_members || !put(json, "content", content("application/json", schema))) {
		if (!has_members)
			core_json_free(schema);
		core_json_free(json);
		return NULL;
	}
	return json;
}

static struct pbx_json *response(const char *description, struct pbx_json *taken_content)
{
	struct pbx_json *json = core_json_object();

	put_text(json, "description", description);
	(void)put(json, "content", taken_content);
	return json;
}

static struct pbx_json *responses(const struct pbx_route *route)
{
	static const struct {
		const char *status, *method, *to; /* method NULL: of every route */
	} refusals[] = { { "400", NULL, "#/components/responses/malformed" },    { "412", "PUT", "#/components/responses/changed" },
			 { "412", "PATCH", "#/components/responses/changed" },   { "412", "DELETE", "#/components/responses/changed" },
			 { "422", NULL, "#/components/responses/unacceptable" }, { "429", NULL, "#/components/responses/too_many" } };
	struct pbx_json *json = core_json_object();

	(void)put(json, "2XX", response("Done", route->reply.count ? content("application/json", schema_of_reply(&route->reply)) : NULL));
	if (!strcmp(route->method, "GET"))
		(void)put(json, "304", response("As If-None-Match says: nothing has changed", NULL));
	for (size_t i = 0; i < sizeof refusals / sizeof refusals[0]; i++)
		if (!refusals[i].method || !strcmp(refusals[i].method, route->method))
			(void)put(json, refusals[i].status, reference(refusals[i].to));
	(void)put(json, "default", reference("#/components/responses/refused"));
	return json;
}

/* "get_plugins_name_reload": unique, as method and path are. */
static void operation_id(const struct pbx_route *route, char *ret_id, size_t size)
{
	size_t at = 0;

	for (const char *c = route->method; *c && at + 1 < size; c++)
		ret_id[at++] = (char)(*c | 0x20);
	for (const char *c = route->path; *c && at + 1 < size; c++) {
		bool is_letter = (*c >= 'a' && *c <= 'z') || (*c >= 'A' && *c <= 'Z') || (*c >= '0' && *c <= '9');

		if (is_letter || ret_id[at - 1] != '_')
			ret_id[at++] = is_letter ? *c : '_';
	}
	ret_id[at] = '\0';
}

static struct pbx_json *operation(const struct core_route *route)
{
	const char *const tags[] = { core_owner_name(route->owner), NULL };
	struct pbx_json *json = core_json_object();
	char id[160];

	operation_id(&route->row, id, sizeof id);
	put_text(json, "operationId", id);
	put_text(json, "summary", route->row.summary);
	(void)put(json, "tags", texts(tags));
	(void)put(json, "parameters", parameters(&route->row));
	if (route->row.flags & PBX_ROUTE_RAW_BODY)
		(void)put(json, "requestBody", response(NULL, content("application/octet-stream", core_json_object())));
	else if (strcmp(route->row.method, "GET") != 0)
		(void)put(json, "requestBody", request_body(&route->row));
	(void)put(json, "responses", responses(&route->row));
	if (route->row.flags & PBX_ROUTE_PUBLIC)
		(void)put(json, "security", core_json_array());
	put_text(json, "x-scope", route->row.scope);
	return json;
}

/* The member of object under that name, made when it is not there. Borrowed. */
static struct pbx_json *member(struct pbx_json *object, const char *name)
{
	if (!core_json_get(object, name))
		(void)put(object, name, core_json_object());
	return (struct pbx_json *)core_json_get(object, name); /* object is ours to change, and so are its parts */
}

static struct pbx_json *paths(void)
{
	struct pbx_json *json = core_json_object();

	for (const struct core_route *route = core_routes(); json && route; route = route->next) {
		struct pbx_json *path = member(json, route->row.path);
		char method[16] = "";

		for (size_t i = 0; route->row.method[i] && i + 1 < sizeof method; i++)
			method[i] = (char)(route->row.method[i] | 0x20);
		if (path && !core_json_get(path, method)) /* newest first: a predecessor's is not shown */
			(void)put(path, method, operation(route));
	}
	return json;
}

/* ---- the document --------------------------------------------------------------------- */

/* A part of the components as JSON text. */
static void put_parsed(struct pbx_json *object, const char *name, const char *text)
{
	(void)put(object, name, core_json_parse(text, strlen(text), NULL));
}

#define HEADER_PARAMETER(name, description)                                                                                                \
	"{\"name\":\"" name "\",\"in\":\"header\",\"schema\":{\"type\":\"string\"},\"description\":\"" description "\"}"
#define QUERY_PARAMETER(name, schema, description)                                                                                         \
	"{\"name\":\"" name "\",\"in\":\"query\",\"schema\":" schema ",\"description\":\"" description "\"}"
#define TEXT_SCHEMA "{\"type\":\"string\",\"minLength\":1}"

static struct pbx_json *component_parameters(void)
{
	struct pbx_json *json = core_json_object();

	put_parsed(
		json, "if_match",
		HEADER_PARAMETER("If-Match", "ETag of the resource as you have seen it: when it has changed since, nothing is done (412)"));
	put_parsed(json, "if_none_match", HEADER_PARAMETER("If-None-Match", "ETag of the answer you have: 304 when it is still the same"));
	put_parsed(json, "idempotency_key",
		   HEADER_PARAMETER("Idempotency-Key", "A text of your own: whoever sends the same request with it again within 24 hours "
						       "gets the first answer, and nothing is done twice"));
	put_parsed(json, "fields", QUERY_PARAMETER("fields", TEXT_SCHEMA, "Only these members, separated by commas"));
	put_parsed(json, "limit",
		   QUERY_PARAMETER("limit", "{\"type\":\"integer\",\"minimum\":1,\"maximum\":500}",
				   "At most so many items, with next_cursor and a Link header when there are more; without it all"));
	put_parsed(json, "cursor", QUERY_PARAMETER("cursor", TEXT_SCHEMA, "next_cursor of the page before"));
	put_parsed(json, "sort",
		   QUERY_PARAMETER("sort", TEXT_SCHEMA, "Members to sort by, separated by commas, - before one for descending"));
	put_parsed(json, "include_total", QUERY_PARAMETER("include_total", "{\"type\":\"boolean\"}", "Whether to say how many there are"));
	return json;
}

static void put_response(struct pbx_json *object, const char *name, const char *description)
{
	(void)put(object, name, response(description, content("application/problem+json", reference("#/components/schemas/Problem"))));
}

static struct pbx_json *component_responses(void)
{
	struct pbx_json *json = core_json_object();

	put_response(
		json, "malformed",
		"The request is not what this document says: JSON, a name, a type, a range, a choice, something missing. errors has every "
		"fault with its pointer");
	put_response(json, "unacceptable", "The request is well formed, but its owner cannot accept a value in it; errors says which");
	put_response(json, "changed", "The resource is not as If-Match says: read it again");
	put_response(json, "too_many", "Too many requests: Retry-After says for how many seconds to wait, RateLimit-* what is left");
	put_response(json, "refused", "Refused");
	return json;
}

static struct pbx_json *components(void)
{
	struct pbx_json *json = core_json_object(), *schemas = core_json_object();

	put_parsed(json, "securitySchemes", "{\"bearer\":{\"type\":\"http\",\"scheme\":\"bearer\"}}");
	put_parsed(schemas, "Problem",
		   "{\"type\":\"object\",\"description\":\"RFC 9457\",\"required\":[\"type\",\"title\",\"status\",\"code\"],"
		   "\"properties\":{\"type\":{\"type\":\"string\"},\"title\":{\"type\":\"string\"},\"status\":{\"type\":\"integer\"},"
		   "\"detail\":{\"type\":\"string\"},\"code\":{\"type\":\"string\"},\"request_id\":{\"type\":\"string\"},"
		   "\"errors\":{\"type\":\"array\",\"items\":{\"type\":\"object\",\"properties\":{\"pointer\":{\"type\":\"string\"},"
		   "\"in\":{\"type\":\"string\"},\"code\":{\"type\":\"string\"},\"detail\":{\"type\":\"string\"}}}}}}");
	(void)put(json, "schemas", schemas);
	(void)put(json, "parameters", component_parameters());
	(void)put(json, "responses", component_responses());
	return json;
}

struct pbx_json *core_requests_openapi(void)
{
	static const char head[] = "{\"openapi\":\"3.1.0\",\"info\":{\"title\":\"Warden PBX\",\"version\":\"" PBX_VERSION "\"},"
				   "\"servers\":[{\"url\":\"/api/v1\"}],\"security\":[{\"bearer\":[]}]}";
	struct pbx_json *json = core_json_parse(head, sizeof head - 1, NULL);

	(void)put(json, "paths", paths());
	(void)put(json, "components", components());
	return json;
}
