/* pbx/programs.h - a program of somebody else's is run, within limits
 * Served by the core as "pbx.programs/1".
 *
 * For what others do better: a document becomes pages, a recording a transcript, a text speech. The program gets its arguments as they are,
 * there is no shell. It has a session and a process group of its own, none of our descriptors and none of our environment. However it ends, it is
 * gone and reaped before we are told, and what it started is killed with it; what has left its process group (setsid) is not found. A thread of its
 * own waits for it: neither the loop nor the pool does. */
#pragma once
#include <pbx/plugin.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct pbx_program {
	uint64_t id;
} pbx_program;

struct pbx_program_spec {
	uint32_t size;
	uint32_t run_ms; /* then it is killed; 0: 10,000. 600,000 at most */
	/* NULL ends it. The first: an absolute path, or a name that is looked for in /usr/local/bin, /usr/bin and /bin. */
	const char *const *argv;
	/* "NAME=value", 32 at most, NULL ends it: beside, or instead of, PATH, LC_ALL=C.UTF-8, HOME=/nonexistent. */
	const char *const *environment;
	const char *folder; /* where it runs, absolute; NULL: where we do */
	const void *input;  /* its standard input, 64 MiB at most; NULL: none */
	size_t input_size;
	uint32_t most_output_bytes; /* of its standard output, 64 MiB at most: who writes more is killed; 0: what it writes goes nowhere */
	uint32_t most_memory_mib;   /* of addresses, each process of it; 0: no limit */
	uint32_t most_file_mib;     /* of each file it writes; 0: no limit */
};

/* Borrowed until the callback returns. */
struct pbx_program_result {
	uint32_t size;
	int32_t status; /* PBX_OK: it ended by itself, .exit_status tells how. PBX_ENOENT (there is no such program), PBX_ETIMEOUT, PBX_ENOSPC (a longer
			       * output, or file), PBX_EIO (it crashed, or cannot be started), PBX_ENOMEM, PBX_ECANCELLED */
	uint32_t exit_status; /* PBX_OK: 0 to 255 */
	uint32_t signal;      /* that ended it, when it crashed; else 0 */
	const char *error;    /* in words, "gs took more than 25 s"; "" when PBX_OK */
	const char *output;   /* as much as there is, however it ended; a zero follows */
	size_t output_size;
	uint32_t took_ms;
};

struct pbx_programs {
	struct pbx_header header;

	/* Everything in spec is copied. done(self, program, result) always follows, exactly once, on the loop, and when we are stopped with
	 * PBX_ECANCELLED before unload. ret_program may be NULL. PBX_OK, PBX_EINVAL (spec), PBX_ENOSPC (16 run), PBX_ENOMEM. [loop] */
	int (*start)(struct pbx_host *host, const struct pbx_program_spec *spec,
		     void (*done)(void *self, pbx_program program, const struct pbx_program_result *result), void *self,
		     pbx_program *ret_program);
	/* Kills it; done follows. PBX_OK, PBX_ENOENT (it is over). [loop] */
	int (*cancel)(pbx_program program);
	/* Whether there is such a program, for who tells a person what to install. PBX_OK, PBX_ENOENT. [any] */
	int (*find)(const char *name);
};

PBX_SERVICE(pbx_programs, "pbx.programs/1")

#ifdef __cplusplus
}
#endif
