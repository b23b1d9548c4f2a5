/*
 * country - where an address is, and who is heard from there
 *
 * The database is a file in MaxMind's format that somebody else keeps up to date (geoipupdate). A job reads it into memory of its own, again when
 * it has been replaced: a lookup is a walk through that memory, no disk and no lock, and takes about a microsecond. Without a database that can be
 * used nobody is refused for a country, and the log says so.
 */
#include "sbc.h"
#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define LOOK_EVERY_S 60u
#define MOST_BYTES (256L << 20)

struct job {
	char path[512];
	uint64_t identity[4];
	struct country_database *database; /* NULL: as before, or error says why not */
	char error[160];
};

/* ---- the file ------------------------------------------------------------------------- */

static void database_free(struct country_database *database)
{
	if (!database)
		return;
	if (database->mmdb.file_content)
		MMDB_close(&database->mmdb);
	if (database->descriptor >= 0)
		(void)close(database->descriptor);
	free(database);
}

/* [work] 0, or errno. */
static int copy_file(int from, int to)
{
	static const size_t chunk = 1u << 20;
	char *buffer = malloc(chunk);
	ssize_t got = 0;

	if (!buffer)
		return ENOMEM;
	while ((got = read(from, buffer, chunk)) > 0)
		for (ssize_t done = 0, put; done < got; done += put)
			if ((put = write(to, buffer + done, (size_t)(got - done))) < 0) {
				free(buffer);
				return errno;
			}
	int error = got < 0 ? errno : 0;
	free(buffer);
	return error;
}

/* [work] The library wants a file's name: it gets that of our copy. */
static void open_copy(struct job *job, int file)
{
	struct country_database *database = calloc(1, sizeof *database);
	char path[40];

	if (!database) {
		(void)snprintf(job->error, sizeof job->error, "no memory");
		return;
	}
	database->descriptor = memfd_create("countries", MFD_CLOEXEC);
	int error = database->descriptor < 0 ? errno : copy_file(file, database->descriptor);
	(void)snprintf(path, sizeof path, "/proc/self/fd/%d", database->descriptor);
	int status = error ? MMDB_SUCCESS : MMDB_open(path, MMDB_MODE_MMAP, &database->mmdb);
	if (!error && status == MMDB_SUCCESS) {
		job->database = database;
		return;
	}
	(void)snprintf(job->error, sizeof job->error, "%s", error ? strerror(error) : MMDB_strerror(status));
	database->mmdb.file_content = NULL; /* a failed open has let go of it */
	database_free(database);
}

/* [work] */
static void read_database(void *data)
{
	struct job *job = data;
	struct stat stat;
	int file = open(job->path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);

	if (file < 0 || fstat(file, &stat) != 0) {
		(void)snprintf(job->error, sizeof job->error, "%s", strerror(errno));
		memset(job->identity, 0, sizeof job->identity); /* what comes back is news */
	} else if (!S_ISREG(stat.st_mode) || stat.st_size > MOST_BYTES) {
		(void)snprintf(job->error, sizeof job->error, S_ISREG(stat.st_mode) ? "it is larger than %ld MiB" : "it is no file",
			       MOST_BYTES >> 20);
	} else {
		const uint64_t identity[4] = { stat.st_dev, stat.st_ino, (uint64_t)stat.st_size,
					       (uint64_t)stat.st_mtim.tv_sec * 1000000000u + (uint64_t)stat.st_mtim.tv_nsec };

		if (memcmp(identity, job->identity, sizeof identity) != 0)
			open_copy(job, file);
		memcpy(job->identity, identity, sizeof identity);
	}
	if (file >= 0)
		(void)close(file);
}

/* ---- taking it ------------------------------------------------------------------------ */

static void take(struct sbc *sbc, struct country_database *database)
{
	struct country *country = &sbc->country;
	time_t built_s = (time_t)database->mmdb.metadata.build_epoch;
	char day[16] = "";
	struct tm utc;

	database_free(country->database);
	country->database = database;
	if (gmtime_r(&built_s, &utc))
		(void)strftime(day, sizeof day, "%Y-%m-%d", &utc);
	(void)snprintf(country->state, sizeof country->state, "%.100s of %s", database->mmdb.metadata.database_type, day);
	pbx_notice(sbc->host, "country_database_read", "file=%s database=\"%s\"", country->path, country->state);
}

/* Said once for each reason; the one that we have goes on. */
static void complain(struct sbc *sbc, const char *reason)
{
	struct country *country = &sbc->country;

	if (strcmp(country->state, reason) == 0)
		return;
	(void)snprintf(country->state, sizeof country->state, "%s", reason);
	pbx_error(sbc->host, "country_database_unusable", "file=%s reason=\"%s\" meaning=\"%s\"", country->path, reason,
		  country->database ? "the one read before is still used" : "nobody is refused for a country");
}

static void on_read(void *self, void *data, int status)
{
	struct sbc *sbc = self;
	struct job *job = data;
	struct country *country = &sbc->country;

	country->at_work = false;
	if (status != PBX_OK || strcmp(job->path, country->path) != 0) { /* another one is wanted by now */
		database_free(job->database);
	} else {
		memcpy(country->identity, job->identity, sizeof job->identity);
		if (job->error[0])
			complain(sbc, job->error);
		else if (job->database)
			take(sbc, job->database);
	}
	free(job);
}

static void look(struct sbc *sbc)
{
	struct country *country = &sbc->country;
	struct job *job = calloc(1, sizeof *job);

	if (!job)
		return; /* the next look may find some memory */
	(void)snprintf(job->path, sizeof job->path, "%s", country->path);
	memcpy(job->identity, country->identity, sizeof job->identity);
	country->at_work = sbc->host->work(sbc->host, read_database, on_read, job) == PBX_OK;
	if (!country->at_work)
		free(job);
}

void country_second(struct sbc *sbc)
{
	const char *wanted = sbc->settings->enabled ? sbc->settings->country_database : "";
	struct country *country = &sbc->country;

	if (country->at_work)
		return;
	if (strcmp(wanted, country->path) != 0) {
		database_free(country->database);
		*country = (struct country){ .state = "off" };
		(void)snprintf(country->path, sizeof country->path, "%s", wanted);
	}
	if (country->path[0] && country->seconds++ % LOOK_EVERY_S == 0)
		look(sbc);
}

void country_free(struct sbc *sbc)
{
	database_free(sbc->country.database);
	sbc->country.database = NULL;
}

/* ---- asking it ------------------------------------------------------------------------ */

static bool read_code(MMDB_entry_s *entry, const char *const *path, char ret_country[COUNTRY_TEXT])
{
	MMDB_entry_data_s value;

	if (MMDB_aget_value(entry, &value, path) != MMDB_SUCCESS || !value.has_data || value.type != MMDB_DATA_TYPE_UTF8_STRING ||
	    value.data_size != 2)
		return false;
	memcpy(ret_country, value.utf8_string, 2);
	ret_country[2] = '\0';
	return true;
}

void country_of(const struct sbc *sbc, const uint8_t address[16], char ret_country[COUNTRY_TEXT])
{
	/* MaxMind's and DB-IP's; where the provider has registered it, when nobody knows where it is; and IPinfo's. */
	static const char *const paths[][3] = {
		{ "country", "iso_code", NULL }, { "registered_country", "iso_code", NULL }, { "country", NULL }, { "country_code", NULL }
	};
	struct sockaddr_in ipv4 = { .sin_family = AF_INET };
	struct sockaddr_in6 ipv6 = { .sin6_family = AF_INET6 };
	int err;

	ret_country[0] = '\0';
	if (!sbc->country.database)
		return;
	memcpy(&ipv4.sin_addr, address + 12, 4);
	memcpy(&ipv6.sin6_addr, address, 16);
	const struct sockaddr *socket = network_is_ipv4(address) ? (const struct sockaddr *)&ipv4 : (const struct sockaddr *)&ipv6;
	MMDB_lookup_result_s result = MMDB_lookup_sockaddr(&sbc->country.database->mmdb, socket, &err);
	if (err != MMDB_SUCCESS || !result.found_entry)
		return;
	for (size_t i = 0; i < sizeof paths / sizeof paths[0]; i++)
		if (read_code(&result.entry, paths[i], ret_country))
			return;
}

/* Addresses that are in no country: of this machine, of private networks, of links (RFC 1918, 6598, 3927, 4193, 4291). */
static bool is_private(const uint8_t a[16])
{
	if (network_is_ipv4(a))
		return a[12] == 10 || a[12] == 127 || (a[12] == 172 && a[13] >> 4 == 1) || (a[12] == 192 && a[13] == 168) ||
		       (a[12] == 100 && a[13] >> 6 == 1) || (a[12] == 169 && a[13] == 254);
	return (a[0] & 0xfe) == 0xfc || (a[0] == 0xfe && a[1] >> 6 == 2) || IN6_IS_ADDR_LOOPBACK((const struct in6_addr *)(const void *)a);
}

static bool names(const struct pbx_list *countries, const char *country)
{
	for (uint32_t i = 0; i < countries->count; i++)
		if (strcasecmp(countries->items[i], country) == 0)
			return true;
	return false;
}

static bool is_guarded(const struct sbc_settings *settings, const char *method)
{
	if (strcmp(settings->country_guards, "registrations") == 0)
		return strcmp(method, "REGISTER") == 0;
	return strcmp(settings->country_guards, "calls") != 0 || strcmp(method, "INVITE") == 0;
}

bool country_allows(const struct sbc *sbc, const uint8_t address[16], const char *method, char ret_country[COUNTRY_TEXT])
{
	const struct sbc_settings *settings = sbc->settings;

	ret_country[0] = '\0';
	if (!sbc->country.database || (settings->countries_allowed.count == 0 && settings->countries_denied.count == 0) ||
	    !is_guarded(settings, method))
		return true;
	country_of(sbc, address, ret_country);
	if (!ret_country[0])
		return settings->countries_allowed.count == 0 || strcmp(settings->country_unknown, "pass") == 0 || is_private(address);
	return !names(&settings->countries_denied, ret_country) &&
	       (settings->countries_allowed.count == 0 || names(&settings->countries_allowed, ret_country));
}

/* ---- settings ------------------------------------------------------------------------- */

static int check_codes(const struct pbx_list *countries, const char *option, struct pbx_diag *diag)
{
	for (uint32_t i = 0; i < countries->count; i++) {
		const char *code = countries->items[i];

		if (strlen(code) != 2 || !isalpha((unsigned char)code[0]) || !isalpha((unsigned char)code[1])) {
			pbx_diag_set(diag, option, "%.40s is no country's code; write two letters each (ISO 3166), as US,CA", code);
			return PBX_EINVAL;
		}
	}
	return PBX_OK;
}

int country_check(const struct sbc_settings *settings, struct pbx_diag *diag)
{
	const char *named = settings->countries_allowed.count  ? "countries_allowed"
			    : settings->countries_denied.count ? "countries_denied"
							       : NULL;

	if (settings->country_database[0] && settings->country_database[0] != '/') {
		pbx_diag_set(diag, "country_database", "%.200s is no absolute path; write /var/lib/GeoIP/GeoLite2-Country.mmdb",
			     settings->country_database);
		return PBX_EINVAL;
	}
	if (named && !settings->country_database[0]) {
		pbx_diag_set(diag, named,
			     "who is in a country is told by a database: set country_database first, to a file such as "
			     "/var/lib/GeoIP/GeoLite2-Country.mmdb");
		return PBX_EINVAL;
	}
	int err = check_codes(&settings->countries_allowed, "countries_allowed", diag);
	return err == PBX_OK ? check_codes(&settings->countries_denied, "countries_denied", diag) : err;
}
