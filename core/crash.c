/* core/crash.c - names the owner whose code ran when a fatal signal struck
 *
 * The handler runs on a stack of its own, so that an overflow is reported as well, and uses what is safe in a handler: one write(), then the
 * signal again with its default effect, so that core dumps and exit statuses are as they always are. */
#include "crash.h"
#include "owner_internal.h"
#include <signal.h>
#include <string.h>
#include <unistd.h>

struct text {
	char bytes[160];
	size_t length;
};

static void put(struct text *text, const char *from)
{
	while (*from && text->length < sizeof text->bytes - 1)
		text->bytes[text->length++] = *from++;
}

static void put_number(struct text *text, int number)
{
	char digits[] = { (char)('0' + number / 10 % 10), (char)('0' + number % 10), '\0' };

	put(text, digits[0] == '0' ? digits + 1 : digits);
}

static void on_fatal(int signal_number)
{
	struct text text = { .length = 0 };
	const char *owner;

	(void)core_running(&owner);
	put(&text, "crashed signal=");
	put_number(&text, signal_number);
	put(&text, " owner=");
	put(&text, owner);
	text.bytes[text.length++] = '\n';
	ssize_t ignored = write(STDERR_FILENO, text.bytes, text.length);
	(void)ignored;              /* nothing can be done about it here */
	(void)raise(signal_number); /* SA_RESETHAND has restored its default effect */
}

int core_crash_install(void)
{
	static const int fatal[] = { SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGABRT };
	static char memory[32768];
	stack_t own = { .ss_sp = memory, .ss_size = sizeof memory };
	struct sigaction action = { .sa_handler = on_fatal, .sa_flags = (int)SA_RESETHAND | SA_ONSTACK };

	(void)sigemptyset(&action.sa_mask);
	if (sigaltstack(&own, NULL))
		return PBX_EIO;
	for (size_t i = 0; i < sizeof fatal / sizeof fatal[0]; i++)
		if (sigaction(fatal[i], &action, NULL))
			return PBX_EIO;
	return PBX_OK;
}
