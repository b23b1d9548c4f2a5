/*
 * hosts - addresses that this machine's own file knows
 *
 * Without this plugin names are asked of the system, which looks there first; so must we. It is read anew for each question that is put,
 * in the pool, and an answer from it counts as one from a server.
 */
#include "dns.h"
#include <arpa/inet.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

static bool names_it(char *names, const char *name)
{
	char *rest = NULL;

	for (const char *word = strtok_r(names, " \t\r\n", &rest); word; word = strtok_r(NULL, " \t\r\n", &rest))
		if (strcasecmp(word, name) == 0)
			return true;
	return false;
}

static void read_line(struct hosts_job *job, char *line)
{
	char *names;

	line[strcspn(line, "#")] = '\0';
	line += strspn(line, " \t");
	names = line + strcspn(line, " \t");
	if (!*names)
		return;
	*names++ = '\0';
	if (inet_pton(job->type == DNS_A ? AF_INET : AF_INET6, line, job->addresses[job->count]) == 1 && names_it(names, job->name))
		job->count++;
}

void hosts_read(void *context)
{
	struct hosts_job *job = context;
	FILE *file = fopen("/etc/hosts", "re");
	char *line = NULL;
	size_t size = 0;

	while (file && job->count < HOSTS_MOST && getline(&line, &size, file) >= 0)
		read_line(job, line);
	free(line);
	if (file)
		(void)fclose(file);
}
