/* core/accounts.h - what the directories know of an account, whichever of them has it. All of it: [loop], answered from memory. */
#pragma once
#include <pbx/directory.h>
#include <stddef.h>

/* account: its user part; nobody has "" or NULL. */
bool core_account_exists(const char *account);
/* A text of the account, as offsetof(struct pbx_account, name) says, of the first directory that has one; "" when none has. */
void core_account_text(const char *account, size_t member, char *ret_text, size_t size);
#define CORE_ACCOUNT_TEXT(account, member, ret_text)                                                                                       \
	core_account_text((account), offsetof(struct pbx_account, member), (ret_text), sizeof(ret_text))
