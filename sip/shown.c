/* shown.c - what commands and REST tell of listeners and of the quirks of phones */
#include "shown.h"
#include "json.h"
#include "transport.h"
#include "quirks.h"
#include "request.h"
#include <string.h>

static void set_list(struct pbx_json *item, const char *name, const struct pbx_list *texts)
{
	struct pbx_json *list = core_json_array();

	for (uint32_t i = 0; i < texts->count; i++)
		(void)core_json_append_text(list, texts->items[i]); /* no memory shows as a member missing, here and below */
	(void)core_json_set(item, name, list);
}

void ua_show_listeners(void *self, pbx_request request)
{
	const struct ua *ua = self;
	struct pbx_json *list = core_json_array();
	const struct ua_socket *opened;

	for (uint32_t i = 0; (opened = ua_socket_at(i)); i++) {
		struct pbx_json *item = core_json_object();
		struct ua_manners manners;
		char learnt[64];

		ua_listener_manners(ua, opened->listener, &manners);
		(void)core_json_set_text(item, "listener", opened->listener);
		(void)core_json_set_text(item, "transport", opened->transport);
		(void)core_json_set_text(item, "address", strchr(opened->text, ':') + 1);
		set_list(item, "allow", manners.allow);
		(void)core_json_set_text(item, "realm", manners.realm);
		(void)core_json_set_text(item, "external_address", ua_transport_outside(&manners, opened->addr.sa.sa_family, learnt));
		(void)core_json_set_text(item, "media_address", manners.media_address);
		(void)core_json_set_text(item, "nat", manners.nat);
		set_list(item, "codecs", manners.codecs);
		(void)core_json_set_text(item, "tls_clients", strcmp(opened->transport, "tls") == 0 ? manners.tls_clients : "");
		(void)core_json_set_integer(item, "refused", (int64_t)opened->refused);
		(void)core_json_append(list, item);
	}
	(void)core_requests_service.reply(request, 200, list); /* the asker may have left */
}

void ua_show_quirks(void *self, pbx_request request)
{
	const struct ua *ua = self;
	struct pbx_json *list = core_json_array();
	const struct ua_quirk *quirk;
	bool brought_along;

	for (uint32_t i = 0; (quirk = ua_quirk_at(ua, i, &brought_along)); i++) {
		struct pbx_json *item = core_json_object();

		(void)core_json_set_text(item, "agent", quirk->agent);
		(void)core_json_set_boolean(item, "skip_static_rtpmap", quirk->skip_static_rtpmap);
		set_list(item, "codecs", &quirk->codecs);
		(void)core_json_set_integer(item, "ptime_ms", quirk->ptime_ms);
		(void)core_json_set_boolean(item, "brought_along", brought_along);
		(void)core_json_append(list, item);
	}
	(void)core_requests_service.reply(request, 200, list); /* the asker may have left */
}
