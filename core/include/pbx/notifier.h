/* pbx/notifier.h - state that phones subscribe to: lamps, presence, message counts (RFC 6665)
 * Served by the core as "pbx.notifier/1". All of it: [loop].
 *
 * A package ("dialog", "presence", "message-summary") belongs to the plugin that knows its state; signalling keeps the subscriptions:
 * authentication, dialogs, expiry, versions, rate, resource lists (RFC 4662), the store that carries them over a restart, and PUBLISH
 * (RFC 3903) with its entity tags. The plugin says that something has changed and writes documents when asked. */
#pragma once
#include <pbx/plugin.h>

#ifdef __cplusplus
extern "C" {
#endif

/* One subscription. Texts are borrowed until the callback returns and never NULL. */
struct pbx_watch_info {
	uint32_t size;
	pbx_watch watch;
	const char *package, *resource; /* "dialog", "1001" (the user part of the Request-URI) */
	const char *watcher;            /* authenticated account */
	const char *device;             /* User-Agent */
	const char *content_type;       /* the one chosen from Accept */
	const char *body, *body_type;   /* of the SUBSCRIBE that is being handled, else "" */
	uint32_t expires_s;
	const char *domain; /* ours: the host part of addresses in documents */
};

/* A document in two halves with the subscription's version number between them, so that one text serves all watchers of a resource;
 * tail NULL: there is no version in it. Borrowed until the next call of write. */
struct pbx_document {
	uint32_t size;
	const char *head, *tail;
	uint64_t stamp; /* of the state it tells: comes back as `since` for whoever has got it. 0: every document is a full one */
	const char
		*content_type; /* when it is another than the one agreed on: multipart/mixed of documents of that type; NULL: it is not */
};

#define PBX_PUBLISHED 1u /* a new document, or another one in its place */
#define PBX_PUBLISH_REFRESHED 2u
#define PBX_PUBLISH_REMOVED 3u /* taken back, or expired */

struct pbx_publication {
	uint32_t size;
	uint32_t what;        /* PBX_PUBLISH… */
	const char *resource; /* whose state: always the account's own */
	const char *tag;      /* entity tag: names this publication from its beginning to its end */
	const char *content_type, *body;
	uint32_t expires_s;
};

struct pbx_event_package {
	uint32_t size;
	const char *name;
	struct pbx_list content_types; /* offered, best first */
	uint32_t default_expires_s;    /* 0: 3,600; bounds are the settings sip.min_expires_s and sip.max_expires_s */
	uint32_t throttle_ms;          /* at most one NOTIFY per subscription in so long; 0: 100 */
	bool takes_lists;              /* a resource may be a list (RFC 4662) */

	/* May they watch this? PBX_OK, PBX_EPERM (403), PBX_ENOENT (404). Called for a new subscription and for each refresh with a body.
	 * NULL: everybody with an account may. */
	int (*subscribed)(void *self, const struct pbx_watch_info *info);
	/* Watchers of a resource with the same view get the same document (what one may see another may not). NULL: all see the same. */
	uint32_t (*view)(void *self, const struct pbx_watch_info *info);
	/* The state now. since: 0 for a full document, else the stamp of the last one this watcher has got: only what has changed from there on
	 * need be told, when the format knows partial documents. Once for all watchers with the same view, type and stamp. PBX_OK, PBX_ENOMEM,
	 * PBX_ENOENT (no such resource any more: the subscription ends with reason noresource). */
	int (*write)(void *self, const struct pbx_watch_info *info, uint64_t since, struct pbx_document *ret_document);
	/* NULL: PUBLISH gets 489. PBX_OK, PBX_EINVAL (400), PBX_ENOTSUP (415), PBX_EPERM (403). */
	int (*published)(void *self, const struct pbx_publication *publication);
	void (*ended)(void *self, pbx_watch watch); /* may be NULL */
	/* What is published are reports, each by itself (vq-rtcpxr, RFC 6035): to whatever user of ours a phone is told to send them, without
	 * entity tags; publication.resource is the account that published. */
	bool takes_reports;
};

struct pbx_notifier {
	struct pbx_header header;

	/* We write this package. PBX_OK, PBX_EEXIST, PBX_EINVAL, PBX_ENOMEM. When we go, its subscriptions end with "deactivated" unless a
	 * successor of ours takes them over. */
	int (*package)(struct pbx_host *host, const struct pbx_event_package *package, void *self);
	/* The state of a resource is another one: everybody who watches it is told, in one pass, at once or when throttle_ms allows. Cheap
	 * when nobody watches. PBX_OK, PBX_ENOENT (not our package). */
	int (*changed)(struct pbx_host *host, const char *package, const char *resource);
	/* How many watch a resource; NULL: all of the package. */
	uint32_t (*watchers)(const char *package, const char *resource);
	void (*each)(const char *package, const char *resource, void (*each)(void *context, const struct pbx_watch_info *info),
		     void *context);
	/* A list that phones may subscribe to under a name (RFC 4662): members are struct { const char *resource, *display; } rows. count 0
	 * takes it away. PBX_OK, PBX_EEXIST (another owner's), PBX_EINVAL, PBX_ENOMEM. */
	int (*set_list)(struct pbx_host *host, const char *name, const struct pbx_table *members);
	/* Tells an account's registered phones without a subscription: message counts for phones that do not subscribe, "check-sync" for those
	 * that are to fetch their configuration. event "message-summary", "check-sync;reboot=true". PBX_OK, PBX_ENOENT (no phone is
	 * registered), PBX_EINVAL. */
	int (*tell)(struct pbx_host *host, const char *account, const char *event, const char *content_type, const char *body);
};

struct pbx_list_member {
	const char *resource, *display;
};

PBX_SERVICE(pbx_notifier, "pbx.notifier/1")

#ifdef __cplusplus
}
#endif
