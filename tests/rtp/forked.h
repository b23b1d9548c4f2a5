/* tests/rtp/forked.h - two phones talk, and a recorder elsewhere is sent what one of them says or hears */
#pragma once
#include "rig.h"
#include <core/owner.h>

extern struct phone alice, bob, recorder;

/* What its watcher was told. */
struct forked {
	pbx_fork fork;
	int changed, ended;
};

/* Alice and Bob talk; the recorder waits on sockets of its own. */
void forked_call(const char *alice_codecs, const char *bob_codecs);
void forked_hang_up(void);

/* Forks Alice's leg; spec.size is filled in. */
void forked_open(struct forked *forked, struct pbx_fork_spec spec);
void forked_aim(const struct forked *forked); /* at the recorder */
struct pbx_fork_state forked_state(const struct forked *forked);
struct pbx_fork_local forked_local(const struct forked *forked);
void forked_close(const struct forked *forked); /* and the worker has done with it */

/* The next packet at the recorder, which has to be one of that fork's and the next of its sequence: `last` moves on. */
struct heard_packet forked_next(const struct forked *forked, struct heard_packet *last);
