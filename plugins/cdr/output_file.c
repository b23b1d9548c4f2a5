/*
 * output_file - records to a file a day, cdr_2026-11-22.csv or .jsonl: the UTC day on which the call began
 *
 * All that waits goes out in one job of the pool: one write, one fdatasync, then it is acknowledged. A line is there as a whole or not
 * at all: what a full disk or a crash tore is cut off again, by us or by whoever opens the file next. Two versions of us during an upgrade
 * take turns by a lock on the file.
 */
#include "output.h"
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define NAME_SIZE 64u
#define TAIL_SIZE 65536
#define VERSIONS_MOST 100u /* of a day's file, when the columns were changed in between */

struct file_job {
	struct output *output;
	const struct pbx_jsons *json;
	struct outgoing *records;
	uint32_t count, written; /* of the records; those that are safe */
	bool is_csv;
	char *directory, *columns_text;
	const char *columns[CSV_COLUMNS_MOST + 1];
	char reason[200]; /* "" when all went well */
};

static void job_free(struct file_job *job)
{
	if (!job)
		return;
	outgoing_free_all(job->records);
	free(job->directory);
	free(job->columns_text);
	free(job);
}

/* ---- [work] ---------------------------------------------------------------------------- */

static int failed(struct file_job *job, const char *what, const char *path)
{
	int err = errno;

	(void)snprintf(job->reason, sizeof job->reason, "%s %.120s: %s", what, path, strerror(err));
	return PBX_EIO;
}

/* Bytes of the lines of one day, from `records` on; how many there are. */
static char *lines_of(const struct file_job *job, const struct outgoing *records, bool with_head, size_t *ret_size, uint32_t *ret_count)
{
	const char *day = records->day;
	char *lines = NULL;
	FILE *out = open_memstream(&lines, ret_size);

	*ret_count = 0;
	if (!out)
		return NULL;
	if (with_head && job->is_csv)
		csv_write_head(out, job->columns);
	for (; records && strcmp(records->day, day) == 0; records = records->next, ++*ret_count) {
		struct pbx_json *record = job->is_csv ? job->json->parse(records->text, strlen(records->text), NULL) : NULL;

		if (job->is_csv)
			csv_write_record(out, job->columns, job->json, record);
		else
			(void)fprintf(out, "%s\n", records->text);
		job->json->free(record);
	}
	if (fclose(out) == 0)
		return lines;
	free(lines);
	return NULL;
}

/* The end of the last whole line. */
static off_t whole_lines(int fd, off_t size)
{
	static const char none[] = "";
	char tail[TAIL_SIZE];
	off_t from = size > TAIL_SIZE ? size - TAIL_SIZE : 0;
	ssize_t length = pread(fd, tail, (size_t)(size - from), from);
	const char *end = length > 0 ? memrchr(tail, '\n', (size_t)length) : none;

	if (end == none || length != size - from)
		return size; /* it cannot be read: nothing is cut */
	return end ? from + (end - tail) + 1 : from;
}

/* Whether the file's first line names our columns; an empty file may. */
static bool has_our_columns(const struct file_job *job, int fd, off_t size)
{
	char head[2048] = "", ours[2048] = ""; /* CSV_COLUMNS_MOST names of fields */
	FILE *out = fmemopen(ours, sizeof ours, "w");

	if (!job->is_csv || size == 0)
		return true;
	if (!out)
		return false;
	csv_write_head(out, job->columns);
	(void)fclose(out);
	return pread(fd, head, strlen(ours), 0) == (ssize_t)strlen(ours) && strcmp(head, ours) == 0;
}

/* A day's file, locked and whole; another one, "-2", when the columns have been changed since it was begun. */
static int open_day(struct file_job *job, const char *day, off_t *ret_size, char *path, size_t path_size)
{
	for (uint32_t version = 1; version <= VERSIONS_MOST; version++) {
		char suffix[16] = "";
		struct stat is;
		int fd;

		if (version > 1)
			(void)snprintf(suffix, sizeof suffix, "-%u", version);
		(void)snprintf(path, path_size, "%s/cdr_%s%s.%s", job->directory, day, suffix, job->is_csv ? "csv" : "jsonl");
		fd = open(path, O_RDWR | O_CREAT | O_APPEND | O_CLOEXEC, 0640);
		if (fd < 0 || flock(fd, LOCK_EX) != 0 || fstat(fd, &is) != 0) {
			(void)failed(job, "cannot open", path);
			if (fd >= 0)
				(void)close(fd);
			return -1;
		}
		*ret_size = whole_lines(fd, is.st_size);
		if (*ret_size == is.st_size || ftruncate(fd, *ret_size) == 0)
			if (has_our_columns(job, fd, *ret_size))
				return fd;
		(void)close(fd);
	}
	(void)snprintf(job->reason, sizeof job->reason, "the columns of %.120s have been changed too often today", path);
	return -1;
}

int output_write(int fd, const char *bytes, size_t size)
{
	while (size > 0) {
		ssize_t done = write(fd, bytes, size);

		if (done < 0 && errno == EINTR)
			continue;
		if (done <= 0)
			return PBX_EIO;
		bytes += done;
		size -= (size_t)done;
	}
	return PBX_OK;
}

/* The records of one day; how many. */
static int write_day(struct file_job *job, const struct outgoing *records, uint32_t *ret_count)
{
	char path[4096];
	off_t before;
	size_t size;
	int err = PBX_OK, fd = open_day(job, records->day, &before, path, sizeof path);

	if (fd < 0)
		return PBX_EIO;
	char *lines = lines_of(job, records, before == 0, &size, ret_count);

	if (!lines)
		err = failed(job, "cannot prepare", path);
	else if (output_write(fd, lines, size) != PBX_OK || fdatasync(fd) != 0) {
		err = failed(job, "cannot write", path);
		if (ftruncate(fd, before) != 0)
			(void)failed(job, "cannot cut", path); /* whoever opens it next cuts the torn line */
	}
	free(lines);
	(void)close(fd);
	return err;
}

static void work(void *data)
{
	struct file_job *job = data;
	int err = PBX_OK;

	if (mkdir(job->directory, 0750) != 0 && errno != EEXIST)
		err = failed(job, "cannot make", job->directory);
	for (const struct outgoing *at = job->records; at && err == PBX_OK;) {
		uint32_t count = 0;

		err = write_day(job, at, &count);
		if (err == PBX_OK)
			job->written += count;
		while (err == PBX_OK && count--)
			at = at->next;
	}
}

/* ---- [loop] ---------------------------------------------------------------------------- */

/* Columns as the settings have them, all when they name none. */
static int take_columns(struct file_job *job, const struct pbx_list *wanted)
{
	size_t size = 0;
	FILE *out = open_memstream(&job->columns_text, &size);

	if (!out)
		return PBX_ENOMEM;
	for (uint32_t i = 0; i < wanted->count; i++)
		(void)fprintf(out, "%s%c", wanted->items[i], 0);
	if (fclose(out) != 0)
		return PBX_ENOMEM;
	const char *at = job->columns_text;
	for (uint32_t i = 0; i < wanted->count && i < CSV_COLUMNS_MOST; i++, at += strlen(at) + 1)
		job->columns[i] = at;
	for (uint32_t i = 0; wanted->count == 0 && csv_columns[i]; i++)
		job->columns[i] = csv_columns[i];
	return PBX_OK;
}

static char *directory_of(const struct cdr *cdr)
{
	const char *chosen = cdr->settings->directory;

	if (!chosen[0])
		chosen = cdr->host->data_dir(cdr->host);
	return chosen ? strdup(chosen) : NULL;
}

static struct file_job *job_new(struct output *output)
{
	struct cdr *cdr = output->cdr;
	struct file_job *job = calloc(1, sizeof *job);

	if (!job)
		return NULL;
	job->output = output;
	job->json = cdr->json;
	job->is_csv = output->kind == &output_csv;
	job->directory = directory_of(cdr);
	if (job->directory && take_columns(job, &cdr->settings->csv_fields) == PBX_OK)
		return job;
	job_free(job);
	return NULL;
}

static struct outgoing *take_records(struct file_job *job)
{
	struct outgoing *records = job->records;

	job->records = NULL;
	return records;
}

static void on_written(void *self, void *data, int status)
{
	struct file_job *job = data;
	struct output *output = job->output;
	int64_t seq = 0;

	(void)self;
	output->away = 0;
	for (uint32_t i = 0; i < job->written; i++) {
		struct outgoing *record = job->records;

		seq = record->seq;
		job->records = record->next;
		record->next = NULL;
		outgoing_free_all(record);
	}
	if (seq)
		(void)output->cdr->bus->acknowledge(output->follower, seq);
	if (status == PBX_OK && output->follower.id) {
		output_give_back(output, take_records(job));
		if (job->written)
			output_arrived(output, job->written);
		if (job->reason[0])
			output_failed(output, job->reason);
		output_wake(output);
	}
	job_free(job);
}

static void send(struct output *output)
{
	struct cdr *cdr = output->cdr;
	struct file_job *job = output->away ? NULL : job_new(output);
	int err = job ? PBX_OK : PBX_ENOMEM;

	if (output->away)
		return; /* its end takes us along */
	if (job) {
		job->records = output_take(output, &job->count);
		output->away = 1;
		err = cdr->host->work(cdr->host, work, on_written, job);
	}
	if (err == PBX_OK)
		return;
	output->away = 0;
	if (job)
		output_give_back(output, take_records(job));
	job_free(job);
	output_failed(output, "there is no memory");
}

static bool csv_is_on(const struct cdr_settings *settings)
{
	return settings->csv;
}

static bool jsonl_is_on(const struct cdr_settings *settings)
{
	return settings->jsonl;
}

const struct output_kind output_csv = { .name = "csv", .is_on = csv_is_on, .send = send };
const struct output_kind output_jsonl = { .name = "jsonl", .is_on = jsonl_is_on, .send = send };

/* ---- old files ------------------------------------------------------------------------- */

struct retiring {
	char *directory, oldest[12]; /* the first day that is kept */
	uint32_t removed;
};

/* [work] */
static void retire(void *data)
{
	struct retiring *retiring = data;
	DIR *folder = opendir(retiring->directory);
	const struct dirent *entry;

	while (folder && (entry = readdir(folder)) != NULL) {
		const char *name = entry->d_name, *end = strrchr(name, '.');

		if (strncmp(name, "cdr_", 4) != 0 || strlen(name) < 18 || strspn(name + 4, "0123456789-") < 10 ||
		    (strcmp(end, ".csv") != 0 && strcmp(end, ".jsonl") != 0))
			continue;
		if (strncmp(name + 4, retiring->oldest, 10) < 0 && unlinkat(dirfd(folder), name, 0) == 0)
			retiring->removed++;
	}
	if (folder)
		(void)closedir(folder);
}

static void on_retired(void *self, void *data, int status)
{
	const struct cdr *cdr = self;
	struct retiring *retiring = data;

	(void)status;
	if (retiring->removed)
		pbx_notice(cdr->host, "files_removed", "count=%u before=%s", retiring->removed, retiring->oldest);
	free(retiring->directory);
	free(retiring);
}

void files_retire(struct cdr *cdr)
{
	time_t oldest = (time_t)(cdr->host->wall_us(cdr->host) / 1000000) - (time_t)cdr->settings->files_days * 86400;
	struct retiring *retiring;
	struct tm utc;

	if (cdr->settings->files_days == 0 || !(cdr->settings->csv || cdr->settings->jsonl))
		return;
	retiring = calloc(1, sizeof *retiring);
	if (retiring && gmtime_r(&oldest, &utc)) {
		(void)strftime(retiring->oldest, sizeof retiring->oldest, "%Y-%m-%d", &utc);
		retiring->directory = directory_of(cdr);
		if (retiring->directory && cdr->host->work(cdr->host, retire, on_retired, retiring) == PBX_OK)
			return;
		free(retiring->directory);
	}
	free(retiring); /* tried again in an hour */
}
