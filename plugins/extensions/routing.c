/*
 * routing - a call to an extension rings its devices, or goes where its owner sent it; a call of an extension asks whether it may
 */
#include "extensions.h"
#include <string.h>

const char *const forward_names[FORWARD_KINDS] = { "always", "busy", "no_answer", "offline" };

static const char *or_null(const char *text)
{
	return text[0] ? text : NULL;
}

static int forward(struct pbx_route_answer *answer, const struct account *account, const char *to, uint32_t reason)
{
	answer->verdict = PBX_ROUTE_FORWARD;
	answer->to = to;
	answer->reason = reason;
	answer->owner_number = account->number;
	answer->owner_name = account->name;
	return PBX_OK;
}

static int reject(struct pbx_route_answer *answer, uint32_t sip_code, const char *text)
{
	answer->verdict = PBX_ROUTE_REJECT;
	answer->sip_code = sip_code;
	answer->text = text;
	return PBX_OK;
}

/* PBX_ORDER_SCREEN, so behind emergency numbers: has the caller as many calls as it may have made? */
static int on_calling(void *self, pbx_route_query query, const struct pbx_route_request *request, struct pbx_route_answer *ret_answer)
{
	struct extensions *extensions = self;
	const struct account *account = request->account[0] && !request->forwarded ? account_find(extensions, request->account) : NULL;
	uint32_t most = !account ? 0 : account->max_outgoing ? account->max_outgoing : extensions->settings->max_outgoing;

	(void)query;
	if (most == 0)
		return PBX_OK; /* pass */
	uint32_t made =
		extensions->calls->calls_made(request->account) + request->explaining; /* the one that is asked for counts already */
	(void)snprintf(extensions->limit_text, sizeof extensions->limit_text, "%u of %u calls that %s may have made at once",
		       made > most ? made - 1 : made, most, account->number);
	if (made > most)
		return reject(ret_answer, 403, extensions->limit_text);
	ret_answer->text = extensions->limit_text;
	return PBX_OK; /* pass */
}

/* PBX_ORDER_EXTENSIONS: is the number one of ours? */
static int on_number(void *self, pbx_route_query query, const struct pbx_route_request *request, struct pbx_route_answer *ret_answer)
{
	struct extensions *extensions = self;
	const struct account *account = account_find(extensions, request->number);
	const struct extension_settings *settings = extensions->settings;

	(void)query;
	if (!account)
		return PBX_OK; /* pass */
	if (account->forward[FORWARD_ALWAYS][0])
		return forward(ret_answer, account, account->forward[FORWARD_ALWAYS], PBX_FORWARD_UNCONDITIONAL);
	if (account->dnd && account->forward[FORWARD_NO_ANSWER][0])
		return forward(ret_answer, account, account->forward[FORWARD_NO_ANSWER], PBX_FORWARD_DND);
	if (account->dnd)
		return reject(ret_answer, 480, "does not want to be disturbed");

	(void)snprintf(extensions->target_text, sizeof extensions->target_text, "aor:%s", account->number);
	extensions->target = (struct pbx_dial_target){ .text = extensions->target_text };
	ret_answer->verdict = PBX_ROUTE_TARGETS;
	ret_answer->targets = &extensions->target;
	ret_answer->target_count = 1;
	ret_answer->target_size = sizeof *ret_answer->targets;
	ret_answer->ring_ms = (account->ring_s ? account->ring_s : settings->ring_s) * 1000;
	ret_answer->busy_to = or_null(account->forward[FORWARD_BUSY]);
	ret_answer->no_answer_to = or_null(account->forward[FORWARD_NO_ANSWER]);
	ret_answer->offline_to = or_null(account->forward[FORWARD_OFFLINE]);
	ret_answer->owner_number = account->number;
	ret_answer->owner_name = account->name;
	ret_answer->max_calls = account->no_waiting ? 1 : account->max_calls ? account->max_calls : settings->max_calls;
	return PBX_OK;
}

/* PBX_ORDER_PERMISSION: nobody in the house has this number; may the caller, or who forwarded the call, leave it as far as that? */
static int on_leaving(void *self, pbx_route_query query, const struct pbx_route_request *request, struct pbx_route_answer *ret_answer)
{
	struct extensions *extensions = self;
	const char *who = request->forwarder && request->forwarder[0] ? request->forwarder : request->account;
	const struct account *account = who[0] ? account_find(extensions, who) : NULL;

	(void)query;
	if (!account)
		return PBX_OK; /* pass: a trunk's call, or a feature's */
	uint32_t may = class_of_account(extensions->settings, account), wanted = class_of_number(extensions->settings, request->number);
	if (may == CLASS_INTERNAL)
		return reject(ret_answer, 403, "this extension may not call outside");
	(void)snprintf(extensions->permission_text, sizeof extensions->permission_text, "%s may call %s numbers, this one is %s",
		       account->number, class_names[may], class_names[wanted]);
	if (wanted > may)
		return reject(ret_answer, 403, extensions->permission_text);
	ret_answer->text = extensions->permission_text;
	return PBX_OK; /* pass */
}

/* The number belongs to us in the plan, so that no feature can claim it beside us. */
int routing_reserve(struct extensions *extensions, const char *number, struct pbx_diag *diag)
{
	return extensions->routing->reserve(extensions->host, number, diag);
}

static void reserve_one(void *context, const struct account *account)
{
	struct extensions *extensions = context;
	struct pbx_diag diag = { .text = "" };

	if (routing_reserve(extensions, account->number, &diag) != PBX_OK)
		pbx_error(extensions->host, "number_taken", "number=%s reason=\"%s\"", account->number, diag.text);
}

int routing_start(struct extensions *extensions)
{
	int err = extensions->routing->hook(extensions->host, PBX_ORDER_SCREEN, "calls at once", on_calling, extensions);

	if (err == PBX_OK)
		err = extensions->routing->hook(extensions->host, PBX_ORDER_EXTENSIONS, "extension", on_number, extensions);
	if (err == PBX_OK)
		err = extensions->routing->hook(extensions->host, PBX_ORDER_PERMISSION, "may call outside", on_leaving, extensions);
	if (err == PBX_OK)
		accounts_each(extensions, reserve_one, extensions);
	return err;
}
