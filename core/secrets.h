/* core/secrets.h - the installation's key and what is done with it; serves "pbx.secrets/1" */
#pragma once
#include <pbx/secrets.h>

/* The key: the systemd credential pbx.key ($CREDENTIALS_DIRECTORY) where there is one, else key_file, which is made (0600, 32 random bytes)
 * on the first start. PBX_OK; PBX_EIO: the file cannot be read or made, or it is not a key (logged). [loop] */
int core_secrets_init(const char *key_file);
void core_secrets_fini(void); /* forgets the key. [loop] */

/* As in pbx/secrets.h. [any] */
char *core_secrets_seal(const char *text, const char *context);
char *core_secrets_open(const char *sealed, const char *context);
void core_secrets_wipe(char *text);

extern const struct pbx_secrets core_secrets_service;
