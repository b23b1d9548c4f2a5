/*
 * taker - uses what another plugin offers
 *
 * `taker ask` answers what "test.gift/1" says. Its idea of the table has a function more than any provider has: that one reads as NULL.
 */
#include <pbx/requests.h>

struct gift {
	struct pbx_header header;
	void *self;
	const char *(*greeting)(void *self);
	void (*later)(void *self);
};

struct taker {
	PBX_INSTANCE(void);
};

static void on_ask(void *self, pbx_request request)
{
	const struct taker *taker = self;
	const struct pbx_requests *requests = pbx_requests(taker->host);
	const struct pbx_jsons *jsons = pbx_jsons(taker->host);
	const struct gift *gift = taker->host->service(taker->host, "test.gift/1", (uint32_t)sizeof *gift);
	struct pbx_json *json = jsons->new_object();

	(void)jsons->set_text(json, "gift", gift->greeting ? gift->greeting(gift->self) : "nobody");
	(void)jsons->set_boolean(json, "has_later", gift->later != NULL);
	(void)jsons->set_boolean(json, "has_undeclared", taker->host->service(taker->host, "pbx.timers/1", 64) != NULL);
	(void)requests->reply(request, 200, json);
}

static const struct pbx_command commands[] = { { "taker ask", on_ask, "Ask for the gift" } };

PBX_PLUGIN(taker)
= {
	PBX_PLUGIN_HEADER,
	.name = "taker",
	.version = "1.0.0",
	.summary = "Uses what another offers",
	.needs = PBX_NEEDS("pbx.requests/1", "pbx.json/1", GIFT),
	.instance_size = sizeof(struct taker),
	.commands = PBX_TABLE(commands),
};
