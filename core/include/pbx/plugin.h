/* pbx/plugin.h - the card a plugin hands in at the door, and the host it then talks to
 *
 * A plugin is one shared object that exports one symbol: a constant descriptor with tables (settings,
 * migrations, routes, commands, metrics, events) and a few callbacks. The host reads the tables
 * before it runs any of the plugin's code, and takes back everything the plugin registered when it
 * goes. Every callback runs on [loop] unless its comment says otherwise. README.md beside this file (installed as
 * /usr/share/doc/warden-pbx-dev/writing-a-plugin.md) is a whole plugin to begin with. */
#pragma once
#include <pbx/abi.h>

#ifdef __cplusplus
extern "C" {
#endif

struct pbx_host;
struct pbx_json;

/* ---- settings ------------------------------------------------------------------------- */

#define PBX_SETTING_RESTART 1u /* a change takes effect when the plugin (or daemon) is restarted */
#define PBX_SETTING_NEEDED 2u  /* there is no sensible default: the section is refused without it */
#define PBX_SETTING_LINES 4u   /* TEXT, SECRET: may have several lines (PEM); without it no text has control characters */

/* One option of the owner's section, declared once; parsing, validation, the JSON Schema, the form in the
 * console and the reference manual are made from it. Use the macros below. */
struct pbx_setting {
	const char *name;             /* key in the section; "a.b" for a key in a sub-section */
	uint32_t type;                /* PBX_TYPE_BOOL INT NUMBER TEXT CHOICE LIST OBJECTS SECRET */
	uint32_t offset, width;       /* where in the settings structure, and its size in bytes */
	uint32_t flags;               /* PBX_SETTING_… */
	int64_t initial, least, most; /* BOOL, INT; the range holds when least < most; texts: length range */
	double initial_number, least_number, most_number;
	const char *initial_text;   /* TEXT, CHOICE, SECRET; LIST: separated by commas */
	const char *const *choices; /* CHOICE: ends with NULL */
	const char *unit;           /* "ms", "s", "bytes"… */
	const char *help;           /* one sentence, no full stop */
	struct pbx_table fields;    /* OBJECTS: struct pbx_setting rows, offsets within one object */
	uint32_t object_size;       /* OBJECTS: sizeof one object */
};

#define PBX_SETTING_(kind, c_type, owner, member, ...)                                                                                     \
	{                                                                                                                                  \
		.name = #member, .type = (kind), .offset = (uint32_t)offsetof(owner, member),                                              \
		.width = (uint32_t)sizeof(((owner *)0)->member) + 0u * (uint32_t)sizeof(_Generic(((owner *)0)->member, c_type : 1)),       \
		__VA_ARGS__                                                                                                                \
	}
#define PBX_BOOL(owner, member, ...) PBX_SETTING_(PBX_TYPE_BOOL, bool, owner, member, __VA_ARGS__)
#define PBX_UINT(owner, member, ...) PBX_SETTING_(PBX_TYPE_INT, uint32_t, owner, member, __VA_ARGS__)
#define PBX_INT(owner, member, ...) PBX_SETTING_(PBX_TYPE_INT, int64_t, owner, member, __VA_ARGS__)
#define PBX_NUMBER(owner, member, ...) PBX_SETTING_(PBX_TYPE_NUMBER, double, owner, member, __VA_ARGS__)
#define PBX_TEXT(owner, member, ...) PBX_SETTING_(PBX_TYPE_TEXT, const char *, owner, member, __VA_ARGS__)
#define PBX_SECRET(owner, member, ...) PBX_SETTING_(PBX_TYPE_SECRET, const char *, owner, member, __VA_ARGS__)
#define PBX_CHOICE(owner, member, ...) PBX_SETTING_(PBX_TYPE_CHOICE, const char *, owner, member, __VA_ARGS__)
#define PBX_LIST(owner, member, ...) PBX_SETTING_(PBX_TYPE_LIST, struct pbx_list, owner, member, __VA_ARGS__)
#define PBX_OBJECTS(owner, member, ...) PBX_SETTING_(PBX_TYPE_OBJECTS, struct pbx_objects, owner, member, __VA_ARGS__)
#define PBX_CHOICES(...)                                                                                                                   \
	(const char *const[])                                                                                                              \
	{                                                                                                                                  \
		__VA_ARGS__, NULL                                                                                                          \
	}

/* ---- what else is declared ------------------------------------------------------------ */

/* A step of the owner's schema. Portable SQL (pbx/store.h tells the dialect), several statements separated
 * by semicolons, run once, in a transaction, in order of number. A shipped step never changes. */
struct pbx_migration {
	uint32_t number; /* 1, 2, 3… */
	const char *name;
	const char *sql;
};

#define PBX_ARG_REQUIRED 1u
#define PBX_ARG_REST 2u  /* commands: takes all remaining words; of an OBJECT as pairs of name=value, whose names are the user's */
#define PBX_ARG_QUERY 4u /* routes: from the query string; neither flag: from the body, or the path when the template names it */
#define PBX_ARG_LINES 8u /* TEXT, SECRET: may have several lines; without it no text has control characters, nor one in a list */

/* An argument of a command or route. It arrives already checked against type, choices and range. */
struct pbx_arg {
	const char *name;
	uint32_t type;  /* PBX_TYPE_… ; OBJECT and OBJECTS in bodies; typed as JSON, or see PBX_ARG_REST */
	uint32_t flags; /* PBX_ARG_… */
	const char *help;
	const char *const *choices;
	int64_t least, most;   /* range of integers, or of a text's length, when least < most */
	const char *completes; /* commands: what the shell may offer: "plugin", "call", "owner", "setting", "extension"… */
};

/* A member of an event's data or of an answer. */
struct pbx_field {
	const char *name;
	uint32_t type;
	const char *help;
};

/* Answers one request, now or later, by pbx.requests/1 (pbx/requests.h). self is the instance. */
typedef void (*pbx_request_fn)(void *self, pbx_request request);

#define PBX_ROUTE_PUBLIC 1u   /* no token is asked for */
#define PBX_ROUTE_WRITES 2u   /* changes something: audited, refused while draining */
#define PBX_ROUTE_RAW_BODY 4u /* the body is not JSON: read it by pbx_requests.raw */

/* A REST resource. path is below /api/v1, with {name} for a path argument: "/books/{isbn}", "/books/{isbn}:lend". */
struct pbx_route {
	const char *method; /* "GET", "POST", "PUT", "PATCH", "DELETE" */
	const char *path;
	pbx_request_fn handle;
	const char *scope;      /* "parking:read"; an administrator has all, a user those of the role "user". NULL: whoever has logged in */
	const char *summary;    /* one line for the API document */
	uint32_t flags;         /* PBX_ROUTE_… */
	struct pbx_table args;  /* struct pbx_arg */
	struct pbx_table reply; /* struct pbx_field of the answer, or of one item of the list it gives */
};

/* A command of pbxctl. The reply is JSON; pbxctl shows it as a table or with --json as it is. Arguments are typed in the order of the table,
 * or as name=value. */
struct pbx_command {
	const char *words; /* "parking list" */
	pbx_request_fn handle;
	const char *help;      /* one line */
	struct pbx_table args; /* struct pbx_arg */
	/* Members shown in a table, in order, "slot,caller,parker"; NULL: all. "legs.number" is that of a member, or of each item of a list, once;
	 * "state+legs.on_hold" is both in one column: what is empty or no is left out, a yes says its name. */
	const char *columns;
	uint32_t flags;
};

#define PBX_METRIC_COUNTER 1u
#define PBX_METRIC_GAUGE 2u
#define PBX_METRIC_HISTOGRAM 3u

/* A family of pbx_… metrics in base units (seconds, bytes, ratios). Labels have few values: never a number, a call or an address. */
struct pbx_metric {
	const char *name; /* "pbx_parking_slots" */
	uint32_t kind;    /* PBX_METRIC_… */
	const char *help;
	const char *labels;  /* names separated by commas; NULL: none */
	const char *buckets; /* HISTOGRAM: upper bounds separated by commas, rising */
};

/* An event that the owner publishes on the bus (pbx/bus.h). */
struct pbx_event_type {
	const char *name; /* "call.parked" */
	const char *help;
	struct pbx_table fields; /* struct pbx_field of its data */
};

/* ---- the descriptor ------------------------------------------------------------------- */

/* What a plugin is. Callbacks may be NULL; self is the instance, zeroed memory of instance_size bytes that
 * begins with PBX_INSTANCE(). Order of life: load, start, (reload | drain)*, stop, unload. */
struct pbx_plugin {
	struct pbx_header header;
	const char *build;                    /* only for who uses drafts (below): PBX_BUILD of pbx/build.h; else NULL */
	const char *name, *version, *summary; /* name: [a-z0-9_]+, the file's name without .so */
	const char *const *
		needs; /* every service we use, the core's own too, and plugins that must be there before us; "name?" when we can do without.
			* Ids that begin with "pbx.lab." are drafts: they may change with every build, so a plugin that names one, here or in
			* .offers, says .build and is loaded only by the daemon of the very build it was compiled with. */
	const char *const *offers; /* services we provide */
	uint32_t instance_size;
	uint32_t settings_size; /* sizeof the settings structure; PBX_SETTINGS() writes it */
	struct pbx_table settings, migrations, routes, commands, metrics, events;

	/* Looks at its surroundings without changing anything: is the hardware, the licence, the file there? A refusal
	 * here (any error, and a sentence in diag) costs nothing. It runs in a process of its own, before the daemon loads
	 * us: settings, name and data_dir are there, functions of services are NULL, post and work answer PBX_ESTATE,
	 * log lines go nowhere. */
	int (*check)(void *self, struct pbx_diag *diag);
	/* Prepares what needs no call: reads tables, opens files. Migrations have run. PBX_ELATER: call host->ready() when done. When it fails
	 * unload is not called: free before you return. */
	int (*load)(void *self);
	/* Takes its place: claims numbers, hooks, subscriptions. From here calls arrive. When it fails what it has claimed is taken back, and unload
	 * is called without stop. */
	int (*start)(void *self);
	/* New settings are proposed. PBX_OK: they become self->settings when we return. Else: say why; the old ones stay. NULL: they are always
	 * welcome. */
	int (*reload)(void *self, const void *proposed, struct pbx_diag *diag);
	/* A successor takes the new calls; finish the ones we have. The host waits for our holds to reach zero. */
	void (*drain)(void *self);
	/* The last chance to use services. Afterwards the host revokes everything we registered: legs we still control end without
	 * another word to their controller, so what hangs on them is ours to free, here or in unload. */
	void (*stop)(void *self);
	/* Frees what load allocated. Every done() of work, store, fetch and programs has been called, with PBX_ECANCELLED at the latest. */
	void (*unload)(void *self);
	/* The table behind an id named in .offers, its .self filled in; it lives as long as the instance. */
	const void *(*offer)(void *self, const char *id);
	/* Whether values fit one another that each are in range: what no table can say. Looks at nothing but the structure, and is asked without an
	 * instance: at the start, by `config check`, and before each change. Not PBX_OK: diag names the option ("lots[1].name" in a list of
	 * objects), and the cure. */
	int (*settings_check)(const void *settings, struct pbx_diag *diag);
};

#define PBX_PLUGIN_HEADER .header = PBX_HEADER(struct pbx_plugin)
#define PBX_NEEDS(...)                                                                                                                     \
	(const char *const[])                                                                                                              \
	{                                                                                                                                  \
		__VA_ARGS__, NULL                                                                                                          \
	}
#define PBX_OFFERS(...)                                                                                                                    \
	(const char *const[])                                                                                                              \
	{                                                                                                                                  \
		__VA_ARGS__, NULL                                                                                                          \
	}
#define PBX_SETTINGS(type, array) .settings_size = (uint32_t)sizeof(type), .settings = PBX_TABLE(array)

/* First member of every instance; PBX_INSTANCE(void) when there are no settings. settings is there from check() on, with every
 * default filled in. It is replaced, never changed, when new ones are accepted: the structure and its texts are good until our
 * callback returns, so copy what is to last longer. */
#define PBX_INSTANCE(settings_type)                                                                                                        \
	struct pbx_host *host;                                                                                                             \
	const settings_type *settings

#define PBX_PLUGIN(id)                                                                                                                     \
	extern PBX_EXPORT const struct pbx_plugin pbx_plugin;                                                                              \
	const struct pbx_plugin pbx_plugin

/* ---- the host ------------------------------------------------------------------------- */

#define PBX_LOG_ERROR 3u  /* somebody must act */
#define PBX_LOG_WARN 4u   /* we coped, at a price */
#define PBX_LOG_NOTICE 5u /* the day's story */
#define PBX_LOG_INFO 6u
#define PBX_LOG_DEBUG 7u

typedef void (*pbx_posted_fn)(void *self, void *data);
typedef void (*pbx_work_fn)(void *job);                           /* [work] may block, sees nothing but its job */
typedef void (*pbx_worked_fn)(void *self, void *job, int status); /* [loop] PBX_OK, or PBX_ECANCELLED when we are being stopped */

/* One instance's door to the daemon. Everything obtained through it is charged to the instance. */
struct pbx_host {
	struct pbx_header header;

	/* The service behind an id that .needs names, as a table of `size` bytes (sizeof the caller's type): NULL only when
	 * .needs does not name it: a plugin that asks so in load or start is refused. The table stays at its address for our whole life; functions the provider lacks, and all of
	 * them while an optional provider ("id?") is away, are NULL. Use pbx_calls(host) and its like. [loop] */
	const void *(*service)(struct pbx_host *host, const char *id, uint32_t size);

	/* An event and its facts, "limit_reached", "limit_ms=%u". The host adds time, plugin and call. call may be none. [any] */
	void (*log)(struct pbx_host *host, uint32_t level, pbx_call call, const char *event, const char *format, ...) PBX_PRINTF(5, 6);

	/* Runs fn(self, data) on the loop, after the current callback. Dropped when the instance has been stopped: then
	 * drop(data) runs instead, when given. PBX_OK, PBX_ENOMEM. [any] */
	int (*post)(struct pbx_host *host, pbx_posted_fn fn, void *data, void (*drop)(void *data));

	/* Runs work(job) in the pool, then done(self, job, status) on the loop. PBX_OK, PBX_ENOMEM. [loop] */
	int (*work)(struct pbx_host *host, pbx_work_fn work, pbx_worked_fn done, void *job);

	/* While holds are out the instance is not unloaded: a drain waits for them, and a refused unload names `why`. Legs we
	 * control, dials, and listeners of our sources are counted by themselves. PBX_OK, PBX_ENOMEM. [loop] */
	int (*hold)(struct pbx_host *host, const char *why);
	/* Gives one such hold back. PBX_OK, PBX_ENOENT (no such hold). [loop] */
	int (*release)(struct pbx_host *host, const char *why);

	/* Monotonic milliseconds, as of the start of this callback. [loop] */
	uint64_t (*now_ms)(struct pbx_host *host);
	/* Microseconds since 1970 UTC. [any] */
	int64_t (*wall_us)(struct pbx_host *host);

	/* Ends a load that answered PBX_ELATER: PBX_OK, or an error with its reason as text. [loop] */
	void (*ready)(struct pbx_host *host, int result, const char *reason);

	/* The name we were loaded under, and a directory of our own that is kept over restarts (made when asked for; NULL
	 * when that failed). Both live as long as the instance. During an upgrade both versions use the same directory. [loop] */
	const char *(*name)(struct pbx_host *host);
	const char *(*data_dir)(struct pbx_host *host);
	/* A fresh ULID, 26 characters and a zero, rising within the process (github.com/ulid/spec). [loop] */
	void (*ulid)(struct pbx_host *host, char ret_id[27]);
};

#define pbx_log_(host, level, event, ...) ((host)->log((host), (level), (pbx_call){ 0 }, (event), __VA_ARGS__))
#define pbx_error(host, event, ...) pbx_log_(host, PBX_LOG_ERROR, event, __VA_ARGS__)
#define pbx_warn(host, event, ...) pbx_log_(host, PBX_LOG_WARN, event, __VA_ARGS__)
#define pbx_notice(host, event, ...) pbx_log_(host, PBX_LOG_NOTICE, event, __VA_ARGS__)
#define pbx_info(host, event, ...) pbx_log_(host, PBX_LOG_INFO, event, __VA_ARGS__)
#define pbx_debug(host, event, ...) pbx_log_(host, PBX_LOG_DEBUG, event, __VA_ARGS__)

/* How a service is fetched with its type; each service header ends with one of these. */
#define PBX_SERVICE(name, id)                                                                                                              \
	static inline const struct name *name(struct pbx_host *host)                                                                       \
	{                                                                                                                                  \
		return (const struct name *)host->service(host, id, (uint32_t)sizeof(struct name));                                        \
	}

#ifdef __cplusplus
}
#endif
