/* core/only_one.h - one daemon to one place: what is kept there has no second writer. All of it: [loop], before anything is read there. */
#pragma once
#include <pbx/plugin.h>

/* Takes a place for as long as this process lives, by a lock on the file `path`, which is made and holds our process id as text. The kernel lets go
 * of it with the process however that ends, so a killed daemon leaves nothing in the way; programs we start do not inherit it. what: the
 * place in words, "/var/lib/pbx"; setting: what to change to have another one, "server.data_dir".
 * PBX_OK and *ret_fd, for core_only_one_end; PBX_EEXIST (somebody has it: diag says who, and what to do), PBX_EIO (the file cannot be made or locked: diag). */
int core_only_one(const char *path, const char *what, const char *setting, int *ret_fd, struct pbx_diag *diag);
/* Lets go. The file stays: whoever removed it could remove that of a successor. fd -1 is fine. */
void core_only_one_end(int fd);
