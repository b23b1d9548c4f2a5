/* tests/fuzz/fuzz_subscribe.c - a message of anything that says SUBSCRIBE: one answer, and a watch that can be told and ended, or none
 *
 * The transaction, the store and the sending of NOTIFY are stood in for here (--wrap in meson.build); Sofia parses, subscribe.c and watch.c do their work. */
#include "notifier_internal.h"
#include "loop.h"
#include "log.h"
#include "owner_internal.h"
#include "transport.h"
#include <assert.h>
#include <sofia-sip/msg_addr.h>
#include <sofia-sip/sip_util.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Declared as what they stand for, so that the compiler tells when that is another one. */
__typeof__(ua_take_transaction) __wrap_ua_take_transaction;
__typeof__(ua_reply) __wrap_ua_reply;
__typeof__(ua_transport_contact) __wrap_ua_transport_contact;
__typeof__(ua_notify) __wrap_ua_notify;
__typeof__(ua_watch_store) __wrap_ua_watch_store;
__typeof__(ua_watch_unstore) __wrap_ua_watch_unstore;
__typeof__(nta_incoming_tag) __wrap_nta_incoming_tag;
__typeof__(core_ulid) __wrap_core_ulid;

/* The tag of every dialog, so that an input can name one. */
void __wrap_core_ulid(char ret_text[27])
{
	(void)snprintf(ret_text, 27, "01ARZ3NDEKTSV4RRFFQ69G5FAV");
}

static int status_sent;
static unsigned answers, told;

nta_incoming_t *__wrap_ua_take_transaction(struct ua_request *request)
{
	return (nta_incoming_t *)request; /* nobody looks into it */
}

void __wrap_ua_reply(struct ua *ua, nta_incoming_t *irq, int status, const char *phrase, const char *headers)
{
	(void)ua, (void)irq, (void)phrase;
	assert(status >= 200 && status < 700 && (!headers || strlen(headers) < 600));
	status_sent = status;
	answers++;
}

void __wrap_ua_transport_contact(const struct ua *ua, const char *listener, const struct core_addr *peer, const char *transport,
				 char *ret_contact, size_t size)
{
	(void)ua, (void)listener, (void)peer, (void)transport;
	(void)snprintf(ret_contact, size, "<sip:192.0.2.1:5060>");
}

bool __wrap_ua_notify(struct ua_watch *watch, const char *terminated)
{
	assert(watch->target && watch->local && watch->remote && watch->call_id && watch->content_type);
	told += !terminated;
	return true;
}

void __wrap_ua_watch_store(const struct ua_watch *watch)
{
	assert(watch->id[0] && watch->resource[0] && watch->remote_tag[0] && !strpbrk(watch->target, "\r\n"));
}

void __wrap_ua_watch_unstore(const struct ua_watch *watch)
{
	(void)watch;
}

char const *__wrap_nta_incoming_tag(nta_incoming_t *irq, char const *tag)
{
	(void)irq;
	return tag;
}

static int on_subscribed(void *self, const struct pbx_watch_info *info)
{
	(void)self;
	assert(info->resource[0] && strlen(info->resource) < 64 && strlen(info->body) < 4096);
	return strcmp(info->resource, "1009") == 0 ? PBX_EPERM : PBX_OK;
}

static int on_write(void *self, const struct pbx_watch_info *info, uint64_t since, struct pbx_document *ret_document)
{
	(void)self, (void)info, (void)since;
	ret_document->head = "";
	return PBX_OK;
}

static struct ua_settings settings = { .min_expires_s = 60, .max_expires_s = 3600, .max_subscriptions = 10, .domain = "pbx.test" };
static struct core_owner owner;
static struct ua ua;

static void set_up(void)
{
	static const char *const types[] = { "application/dialog-info+xml", "application/other+xml" };
	const struct pbx_event_package package = { .size = sizeof package,
						   .name = "dialog",
						   .content_types = { types, 2 },
						   .takes_lists = true,
						   .subscribed = on_subscribed,
						   .write = on_write };
	const struct pbx_list_member members[] = { { "1001", "One" }, { "1002", "" } };
	const struct pbx_table table = { members, 2, sizeof members[0] };

	if (!ua.host) {
		assert(core_loop_init(true) == PBX_OK && core_log_init() == PBX_OK);
		(void)core_log_set_level(NULL, 2, 0);
		core_owner_init(&owner, "sip", NULL);
		ua.host = &owner.host;
		ua.settings = &settings;
	}
	assert(ua_notifier_start(&ua) == PBX_OK);
	ua_notifier_open();
	assert(ua_notifier_service.package(ua.host, &package, NULL) == PBX_OK);
	assert(ua_notifier_service.set_list(ua.host, "page", &table) == PBX_OK);
}

static bool has_empty_tag(const sip_addr_t *address)
{
	return address->a_tag && !address->a_tag[0];
}

static void subscribe(const uint8_t *data, size_t size)
{
	msg_t *msg = msg_make(sip_default_mclass(), 0, data, (ssize_t)size);
	sip_t *sip = msg ? sip_object(msg) : NULL;
	struct ua_request request = {
		.ua = &ua, .msg = msg, .sip = sip, .address = "192.0.2.7:5060", .transport = "udp", .account = "1001"
	};

	/* What nta itself asks of a request before we see it, and refuse_at_once of agent.c. */
	if (sip && sip->sip_request && !sip->sip_error && sip->sip_from && sip->sip_to && sip->sip_call_id && sip->sip_call_id->i_id &&
	    sip->sip_cseq && sip->sip_via && !has_empty_tag(sip->sip_from) && !has_empty_tag(sip->sip_to)) {
		uint32_t before = ua_notifier_count();

		answers = told = 0;
		ua_subscribe(&request);
		assert(answers == 1 && ua_notifier_count() <= before + 1);
		assert(ua_notifier_count() == before || status_sent == 200);
		core_loop_settle();
		assert(told <= 1);
	}
	msg_destroy(msg);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	/* Two of them: the second may mean the dialog of the first. */
	const uint8_t *second = memmem(data, size, "\nSUBSCRIBE ", 11);
	size_t first_size = second ? (size_t)(second + 1 - data) : size;

	set_up();
	subscribe(data, first_size);
	if (second)
		subscribe(second + 1, size - first_size);
	ua_notifier_stop();
	core_loop_settle();
	return 0;
}
