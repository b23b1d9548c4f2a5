/*
 * store_journal.c - records on disk while the engine is away
 *
 * A record that the engine cannot take is appended to a file and told to be safe once it has reached the disk; what
 * gathers meanwhile goes in one write. A file that has grown long is followed by the next number. When the engine is back,
 * store_journal_replay.c sends them to it; new records still come here, into a file of their own, until nothing is left.
 *
 * Files are written in the work pool, one write at a time; everything else is [loop].
 */
#include <assert.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include "log.h"
#include "loop.h"
#include "owner.h"
#include "store_journal_inner.h"
#include "timer.h"

#define FILE_BYTES 8388608      /* then the next file begins */
#define WAITING_BYTES 16777216u /* in memory, while the disk is full */
#define RETRY_MS 1000u

/* One append. [work] sees this only. */
struct writing {
	char path[512];
	int fd; /* -1: to be opened */
	char *bytes;
	size_t size;
	off_t at;
	int error;               /* errno; 0: safe on disk */
	struct store_queue jobs; /* not for [work] */
};

static struct {
	bool on, closing;
	char dir[384];
	struct store_queue waiting; /* for the disk */
	size_t waiting_bytes;
	struct writing *writing;
	uint64_t file; /* number of the one that is written */
	int fd;
	off_t end;
	uint64_t stored, bytes; /* on disk, not sent yet */
	bool disk_full, timing;
	bool asked_for; /* a file was being written when records could have been sent */
	pbx_timer timer;
} journal;

static void write_next(void);

bool store_journal_is_on(void)
{
	return journal.on;
}

bool store_journal_is_empty(void)
{
	return journal.stored == 0 && !journal.waiting.first && !journal.writing;
}

bool store_journal_is_closing(void)
{
	return journal.closing;
}

bool store_journal_puts_off(void)
{
	if (journal.writing)
		journal.asked_for = true;
	return journal.writing;
}

const char *store_journal_dir(void)
{
	return journal.dir;
}

void store_journal_path(char *ret_path, size_t size, uint64_t file)
{
	(void)snprintf(ret_path, size, "%s/%08" PRIu64 ".journal", journal.dir, file);
}

static void on_timer(void *self, pbx_timer timer)
{
	(void)self;
	(void)timer;
	journal.timing = false;
	write_next();
	if (!journal.writing)
		store_journal_replay();
}

void store_journal_try_later(void)
{
	if (!journal.timing && !journal.closing)
		journal.timing = core_timer_start(core_self(), RETRY_MS, 0, on_timer, NULL, &journal.timer) == PBX_OK;
}

/* ---- writing ---- */

static void writing_free(struct writing *writing)
{
	if (!writing)
		return;
	free(writing->bytes);
	free(writing);
}

static int open_file(struct writing *writing)
{
	writing->fd = open(writing->path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
	if (writing->fd < 0)
		return errno;

	char *slash = strrchr(writing->path, '/');
	*slash = '\0';
	int dir = open(writing->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	*slash = '/';
	if (dir >= 0) {
		(void)fsync(dir); /* without it a power cut may lose the name, never a crash of ours */
		(void)close(dir);
	}
	return 0;
}

static int write_all(int fd, const char *bytes, size_t size, off_t at)
{
	while (size > 0) {
		ssize_t written = pwrite(fd, bytes, size, at);

		if (written < 0 && errno == EINTR)
			continue;
		if (written <= 0)
			return written < 0 ? errno : ENOSPC;
		bytes += written;
		size -= (size_t)written;
		at += written;
	}
	return fdatasync(fd) == 0 ? 0 : errno;
}

/* [work] All of it or nothing. */
static void write_out(void *job)
{
	struct writing *writing = job;

	writing->error = writing->fd < 0 ? open_file(writing) : 0;
	if (writing->error)
		return;
	writing->error = write_all(writing->fd, writing->bytes, writing->size, writing->at);
	if (writing->error)
		(void)!ftruncate(writing->fd, writing->at); /* else the torn end is cut when the file is opened again */
}

static void note_disk(int error)
{
	if (error && !journal.disk_full)
		core_log(PBX_LOG_ERROR, "core", NULL, "journal_not_written",
			 "dir=%s reason=\"%s\" waiting=%u: calls go on, records wait in memory", journal.dir, strerror(error),
			 journal.waiting.count);
	if (!error && journal.disk_full)
		core_log(PBX_LOG_NOTICE, "core", NULL, "journal_written_again", "dir=%s", journal.dir);
	journal.disk_full = error != 0;
}

static void settle_all(struct store_queue *jobs, int status)
{
	for (struct store_job *job; (job = store_queue_take(jobs));) {
		if (status == PBX_OK)
			store_rows_clear(&job->result);
		else
			store_rows_fail(&job->result, status, "neither the database nor the disk takes the record");
		store_settle(job);
	}
}

/* What could not be written goes back to the front. */
static void put_back(struct store_queue *jobs)
{
	for (struct store_job *job = jobs->first; job; job = job->next)
		journal.waiting_bytes += frame_size(job->statements);
	if (!jobs->first)
		return;
	jobs->last->next = journal.waiting.first;
	if (!journal.waiting.last)
		journal.waiting.last = jobs->last;
	journal.waiting.first = jobs->first;
	journal.waiting.count += jobs->count;
	*jobs = (struct store_queue){ 0 };
}

static void close_file(void)
{
	if (journal.fd >= 0)
		(void)close(journal.fd);
	journal.fd = -1;
	journal.end = 0;
	journal.file++;
}

static void after_write(struct writing *writing)
{
	struct store_queue jobs = writing->jobs;

	journal.fd = writing->fd;
	note_disk(writing->error);
	if (writing->error) {
		put_back(&jobs);
		store_journal_try_later();
		return;
	}
	journal.end += (off_t)writing->size;
	journal.bytes += writing->size;
	journal.stored += jobs.count;
	if (journal.end >= FILE_BYTES)
		close_file();
	settle_all(&jobs, PBX_OK);
}

static void on_written(void *context, void *job, int status)
{
	struct writing *writing = job;

	(void)context;
	if (status != PBX_OK)
		writing->error = ECANCELED;
	journal.writing = NULL;
	after_write(writing);
	if (!writing->error)
		write_next();
	bool due = !writing->error || journal.stored || journal.asked_for;
	journal.asked_for = false;
	if (due) /* else only what did not fit is left, and nothing has changed */
		store_journal_replay();
	writing_free(writing);
}

/* All that waits, as one write. NULL: no memory. */
static struct writing *writing_new(void)
{
	struct writing *writing = calloc(1, sizeof *writing);
	char *at = writing ? malloc(journal.waiting_bytes) : NULL;

	if (!at) {
		free(writing);
		return NULL;
	}
	writing->bytes = at;
	writing->size = journal.waiting_bytes;
	writing->at = journal.end;
	writing->fd = journal.fd;
	store_journal_path(writing->path, sizeof writing->path, journal.file);
	for (const struct store_job *job = journal.waiting.first; job; job = job->next) {
		frame_put(at, job->statements);
		at += frame_size(job->statements);
	}
	writing->jobs = journal.waiting;
	journal.waiting = (struct store_queue){ 0 };
	journal.waiting_bytes = 0;
	return writing;
}

static void write_next(void)
{
	if (journal.writing || journal.closing || !journal.waiting.first)
		return;

	struct writing *writing = writing_new();
	if (!writing) {
		store_journal_try_later();
		return;
	}
	journal.writing = writing;
	if (core_work(core_self(), write_out, on_written, NULL, writing) != PBX_OK) {
		journal.writing = NULL;
		put_back(&writing->jobs);
		writing_free(writing);
		store_journal_try_later();
	}
}

void store_journal_add(struct store_job *job)
{
	size_t size = frame_size(job->statements);

	if (journal.waiting_bytes + size > WAITING_BYTES || job->statements->count > FRAME_PARAMS_MOST) {
		store_rows_fail(&job->result, PBX_EIO, "neither the database nor the disk takes the record");
		job->replayed = true; /* it does not come here again */
		store_finish_soon(job);
		return;
	}
	store_queue_put(&journal.waiting, job);
	journal.waiting_bytes += size;
	if (journal.disk_full)
		store_journal_try_later();
	else
		write_next();
}

/* ---- for the way back ---- */

void store_journal_sent(uint32_t records, size_t bytes)
{
	journal.stored -= records;
	journal.bytes -= bytes;
}

/* Nothing is left on disk. What waits in memory for a full disk goes straight to the engine. */
static void drained(void)
{
	struct store_queue waiting = journal.waiting;

	if (journal.disk_full && waiting.first) {
		journal.waiting = (struct store_queue){ 0 };
		journal.waiting_bytes = 0;
		for (struct store_job *job; (job = store_queue_take(&waiting));)
			store_resubmit(job);
	}
	if (store_journal_is_empty()) {
		journal.disk_full = false; /* nobody waits for it */
		store_is_whole();
	}
}

bool store_journal_offers(uint64_t file)
{
	if (file != journal.file)
		return true;
	if (journal.stored == 0) {
		drained();
		return false;
	}
	close_file(); /* new records begin another, while this one is sent */
	return true;
}

/* ---- opening and closing ---- */

static uint64_t file_number(const char *name)
{
	char *end;
	unsigned long long number = strtoull(name, &end, 10);

	return end > name && strcmp(end, ".journal") == 0 ? number : 0;
}

/* The lowest and highest number there is; 0: none. */
static int find_files(uint64_t *ret_first, uint64_t *ret_last)
{
	DIR *dir = opendir(journal.dir);

	*ret_first = *ret_last = 0;
	if (!dir)
		return PBX_EIO;
	for (const struct dirent *entry; (entry = readdir(dir));) {
		uint64_t number = file_number(entry->d_name);

		if (number && (!*ret_first || number < *ret_first))
			*ret_first = number;
		if (number > *ret_last)
			*ret_last = number;
	}
	(void)closedir(dir);
	return PBX_OK;
}

static int open_one(uint64_t file, uint64_t from)
{
	struct frame_count count;
	char path[512];

	store_journal_path(path, sizeof path, file);
	if (access(path, F_OK) != 0)
		return PBX_OK;

	int err = frame_scan(path, from, &count);
	if (err != PBX_OK)
		return err;
	if (count.cut_bytes)
		core_log(PBX_LOG_WARN, "core", NULL, "journal_cut", "file=%s bytes=%" PRIu64 " kept=%s.cut", path, count.cut_bytes, path);
	journal.stored += count.frames;
	journal.bytes += count.bytes;
	return PBX_OK;
}

/* It was sent, and the crash came before it was removed. */
static int remove_file(uint64_t file)
{
	char path[512];

	store_journal_path(path, sizeof path, file);
	return unlink(path) == 0 || errno == ENOENT ? PBX_OK : PBX_EIO;
}

/* Numbers are never used twice, so that an old position cannot mean a new file. */
static int open_files(void)
{
	uint64_t first, last, position[2];
	int err = find_files(&first, &last);

	store_journal_position(journal.dir, position);
	uint64_t from = position[0] > first ? position[0] : first;
	uint64_t from_at = from == position[0] ? position[1] : 0;

	for (uint64_t file = first; err == PBX_OK && file && file <= last; file++)
		err = file < from ? remove_file(file) : open_one(file, file == from ? from_at : 0);
	journal.file = (last > position[0] ? last : position[0]) + 1;
	store_journal_replay_open(first ? from : journal.file, first ? from_at : 0);
	return err;
}

int store_journal_open(const char *dir)
{
	memset(&journal, 0, sizeof journal);
	journal.fd = -1;
	if (!dir || !*dir)
		return PBX_OK;
	if (snprintf(journal.dir, sizeof journal.dir, "%s", dir) >= (int)sizeof journal.dir)
		return PBX_EINVAL;
	if (mkdir(dir, 0700) != 0 && errno != EEXIST) {
		core_log(PBX_LOG_ERROR, "core", NULL, "journal_failed", "dir=%s reason=\"%s\"", dir, strerror(errno));
		return PBX_EIO;
	}

	int err = open_files();
	if (err != PBX_OK)
		core_log(PBX_LOG_ERROR, "core", NULL, "journal_failed", "dir=%s reason=\"%s\"", dir, strerror(errno));
	else if (journal.stored)
		core_log(PBX_LOG_NOTICE, "core", NULL, "journal_found", "dir=%s records=%" PRIu64, dir, journal.stored);
	journal.on = err == PBX_OK;
	return err;
}

void store_journal_flush(void)
{
	journal.closing = true;
	while (journal.writing) {
		core_loop_step();
		(void)usleep(200);
	}
	if (!journal.waiting.first)
		return;

	struct writing *writing = writing_new();
	if (!writing) {
		settle_all(&journal.waiting, PBX_ENOMEM);
		return;
	}
	write_out(writing);
	after_write(writing);
	writing_free(writing);
	if (journal.disk_full)
		settle_all(&journal.waiting, PBX_EIO);
}

void store_journal_close(void)
{
	journal.closing = true;
	store_journal_replay_close();
	if (journal.timing)
		(void)core_timer_stop(journal.timer);
	journal.timing = false;
	if (journal.fd >= 0)
		(void)close(journal.fd);
	journal.fd = -1;
	journal.on = false;
}

void store_journal_stats(struct store_journal_stats *ret_stats)
{
	*ret_stats = (struct store_journal_stats){
		.records = journal.stored + journal.waiting.count + (journal.writing ? journal.writing->jobs.count : 0),
		.bytes = journal.bytes,
		.disk_full = journal.disk_full,
	};
}
