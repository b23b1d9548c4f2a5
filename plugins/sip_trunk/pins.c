/*
 * pins - routes that ask for a PIN before a call goes out
 *
 *    dialled ──► answered, "enter your pin" ──► typed, # ──► right: the number goes through routing again, with a pass for this route
 *                              ▲                        └──► wrong: asked again, three times in all; then the call ends
 *                              └─────────────────────────────┘
 *
 * The caller is answered, since most phones send keys only then. A pass is good once.
 */
#include "sip_trunk.h"
#include <stdlib.h>
#include <string.h>

#define TYPE_MS 10000u /* between two keys */
#define MOST_TRIES 3u
#define LEAST_PIN 3u
#define MOST_PIN 16u

struct asking {
	struct asking *next;
	struct sip_trunk *plugin;
	pbx_leg leg;
	char route_id[ID_SIZE], number[96], account[64];
};

static void asking_free(struct asking *asking)
{
	struct asking **at = &asking->plugin->askings;

	while (*at != asking)
		at = &(*at)->next;
	*at = asking->next;
	free(asking);
}

void pins_clear(struct sip_trunk *plugin)
{
	while (plugin->askings)
		asking_free(plugin->askings);
}

int pins_check(const char *pins, struct pbx_diag *diag)
{
	const char *items[64];
	char text[512];
	uint32_t count = list_split(pins, text, sizeof text, items, 64);

	for (uint32_t i = 0; i < count; i++) {
		size_t length = strlen(items[i]);

		if (length >= LEAST_PIN && length <= MOST_PIN && strspn(items[i], "0123456789") == length)
			continue;
		pbx_diag_set(diag, "pins", "a PIN has %u to %u digits: write 4711,0815", LEAST_PIN, MOST_PIN);
		return PBX_EINVAL;
	}
	return PBX_OK;
}

/* ---- passes --------------------------------------------------------------------------- */

bool pin_is_typed(struct sip_trunk *plugin, const struct pbx_route_request *request, const char *route_id)
{
	for (uint32_t i = 0; request->leg.id && i < MOST_PASSES; i++) {
		struct pass *pass = &plugin->passes[i];

		if (pass->leg.id != request->leg.id || strcmp(pass->route_id, route_id) != 0)
			continue;
		pass->leg = (pbx_leg){ 0 };
		return true;
	}
	return false;
}

static void give_pass(const struct asking *asking)
{
	struct sip_trunk *plugin = asking->plugin;
	struct pass *pass = &plugin->passes[plugin->pass_at++ % MOST_PASSES];

	pass->leg = asking->leg;
	memcpy(pass->route_id, asking->route_id, sizeof pass->route_id);
}

/* ---- the caller ----------------------------------------------------------------------- */

static bool on_pin(void *self, pbx_leg leg, const char *typed)
{
	const struct asking *asking = self;
	struct sip_trunk *plugin = asking->plugin;
	const struct outbound_route *route = record_find(plugin, KIND_OUTBOUND, asking->route_id);
	char *pins = route ? row_secret(plugin, &kinds[KIND_OUTBOUND], route, route->pins) : NULL, text[512];
	const char *items[64];
	uint32_t count = pins ? list_split(pins, text, sizeof text, items, 64) : 0;
	bool right = false;

	(void)leg;
	for (uint32_t i = 0; i < count; i++)
		right = right || strcmp(items[i], typed) == 0;
	plugin->secrets->wipe(pins);
	explicit_bzero(text, sizeof text);
	return right;
}

static void tell_refused(const struct asking *asking)
{
	const struct sip_trunk *plugin = asking->plugin;
	struct pbx_json *data = plugin->json->new_object();

	(void)plugin->json->set_text(data, "route_id", asking->route_id);
	(void)plugin->json->set_text(data, "extension", asking->account);
	(void)plugin->json->set_text(data, "number", asking->number);
	(void)plugin->bus->publish(plugin->host, "trunk.pin_refused", (pbx_call){ 0 }, data); /* without memory the log has it */
	pbx_warn(plugin->host, "pin_refused", "route=%s extension=%s number=%s", asking->route_id, asking->account, asking->number);
}

/* Once more through routing, with a pass. */
static void let_out(struct asking *asking)
{
	const struct pbx_calls *calls = asking->plugin->calls;
	pbx_leg leg = asking->leg;
	char number[sizeof asking->number];

	give_pass(asking);
	memcpy(number, asking->number, sizeof number); /* route takes the leg from us, and asking goes */
	if (calls->route(leg, number) != PBX_OK)
		(void)calls->hangup(leg, PBX_CAUSE_FAILURE); /* or it has ended */
}

static void on_typed(void *self, pbx_leg leg, const struct pbx_collected *collected)
{
	struct asking *asking = self;

	if (collected->reason <= PBX_COLLECTED_TIMEOUT) {
		let_out(asking);
	} else if (collected->reason != PBX_COLLECTED_HANGUP && collected->reason != PBX_COLLECTED_STOPPED) {
		tell_refused(asking);
		(void)asking->plugin->calls->hangup(leg, PBX_CAUSE_REJECTED); /* or it has ended: as good */
	}
}

static void ask(struct asking *asking)
{
	static const struct pbx_say prompt = { .kind = PBX_SAY_PROMPT, .text = "enter_pin" };
	const struct pbx_collect wish = {
		.size = sizeof wish,
		.flags = PBX_COLLECT_SECRET,
		.prompt = &prompt,
		.prompt_count = 1,
		.least = LEAST_PIN,
		.first_ms = TYPE_MS,
		.next_ms = TYPE_MS,
		.tries = MOST_TRIES,
		.accept = on_pin,
		.done = on_typed,
	};

	if (asking->plugin->calls->collect(asking->leg, &wish, asking) != PBX_OK)
		(void)asking->plugin->calls->hangup(asking->leg, PBX_CAUSE_FAILURE); /* or it is gone: as good */
}

static void on_answered(void *self, pbx_leg leg)
{
	(void)leg;
	ask(self);
}

static void on_lost(void *self, pbx_leg leg)
{
	(void)leg;
	asking_free(self);
}

static void on_ended(void *self, pbx_leg leg, uint32_t cause)
{
	(void)leg, (void)cause;
	asking_free(self);
}

static const struct pbx_controller controller = {
	.size = sizeof controller,
	.answered = on_answered,
	.lost = on_lost,
	.ended = on_ended,
};

static void on_dialled(void *self, pbx_leg leg)
{
	struct asking *asking = self;
	const struct pbx_calls *calls = asking->plugin->calls;
	struct pbx_leg_info info = { .size = sizeof info };
	int err = calls->control(asking->plugin->host, leg, &controller, asking);

	if (err != PBX_OK) {
		asking_free(asking);
		return; /* left alone, the leg gets 500 */
	}
	if (calls->info(leg, &info) == PBX_OK && info.state == PBX_LEG_ANSWERED)
		ask(asking);
	else if (calls->answer(leg) != PBX_OK)
		(void)calls->hangup(leg, PBX_CAUSE_FAILURE); /* or it has ended: as good */
}

int pin_ask(struct sip_trunk *plugin, const struct pbx_route_request *request, const char *route_id, struct pbx_route_answer *ret_answer)
{
	bool is_alone = !request->leg.id || (request->forwarder && request->forwarder[0]);
	struct asking *asking = is_alone ? NULL : calloc(1, sizeof *asking);

	ret_answer->verdict = PBX_ROUTE_REJECT;
	ret_answer->sip_code = is_alone ? 403 : 500;
	ret_answer->text = is_alone ? "this route asks for a PIN, and nobody is there to type it" : "there is no memory";
	if (!asking)
		return PBX_OK;
	asking->plugin = plugin;
	asking->leg = request->leg;
	(void)snprintf(asking->route_id, sizeof asking->route_id, "%s", route_id);
	(void)snprintf(asking->number, sizeof asking->number, "%s", request->number);
	(void)snprintf(asking->account, sizeof asking->account, "%s", request->account);
	asking->next = plugin->askings;
	plugin->askings = asking;
	ret_answer->verdict = PBX_ROUTE_CONTROL;
	ret_answer->dialled = on_dialled;
	ret_answer->self = asking;
	ret_answer->text = "asks for a PIN";
	return PBX_OK;
}
