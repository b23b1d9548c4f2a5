/*
 * store_journal.c - records on disk while the engine is away
 *
 * A record that the engine cannot take is appended to a file and told to be safe once it has reached the disk; what
 * gathers meanwhile goes in one write. When the engine is back, the files are read in order and sent to it, some records
 * in one transaction; new ones still go to the journal, into the next file, until nothing is left. A file that has been
 * sent is removed; how far we are in the first one is kept in "position", so that after a crash at most one transaction is
 * repeated, which records can bear. A record that the engine refuses for what it says is put aside in "refused.journal".
 *
 * Files are written and read in the work pool, one write and one read at a time; everything else is [loop].
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
#include "store_journal_file.h"
#include "timer.h"

#define FILE_BYTES 8388608      /* then the next file begins */
#define WAITING_BYTES 16777216u /* in memory, while the disk is full */
#define READ_BYTES 262144u
#define GROUP_FRAMES 128u /* records of one transaction */
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

/* One look into the files. [work] sees this only. */
struct reading {
	char path[512], position_path[512];
	uint64_t position[2]; /* of what has been sent: file, offset */
	size_t size, wanted;  /* bytes read; bytes to read */
	char *bytes;
	bool at_end;
};

/* A frame that the engine refused. [work] sees this only. */
struct refused {
	char path[512];
	size_t size;
	char frame[];
};

/* Records of one transaction, read from frames. */
struct group {
	struct pbx_statement statements[GROUP_FRAMES];
	struct pbx_value params[4 * FRAME_PARAMS_MOST];
	uint32_t count, param_count;
	size_t size; /* bytes of the frames */
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
	pbx_timer timer;

	/* The way back. */
	bool replaying, reading_now;
	uint64_t read_file;
	off_t read_at;
	size_t read_wanted;
	struct reading *chunk;         /* what has been read, while it is sent */
	size_t sent, group_size;       /* bytes of the chunk that are done with; that are on their way */
	uint32_t group_frames, singly; /* singly: so many records go one by one, since their transaction failed */
} journal;

static void write_next(void);
static void replay_next(void);

bool store_journal_is_on(void)
{
	return journal.on;
}

bool store_journal_is_empty(void)
{
	return journal.stored == 0 && !journal.waiting.first && !journal.writing;
}

static void path_of(char *ret_path, size_t size, uint64_t file)
{
	(void)snprintf(ret_path, size, "%s/%08" PRIu64 ".journal", journal.dir, file);
}

static void on_timer(void *self, pbx_timer timer)
{
	(void)self;
	(void)timer;
	journal.timing = false;
	write_next();
	replay_next();
}

static void try_again_later(void)
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
		try_again_later();
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
	if (!writing->error) {
		write_next();
		replay_next();
	}
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
	path_of(writing->path, sizeof writing->path, journal.file);
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
		try_again_later();
		return;
	}
	journal.writing = writing;
	if (core_work(core_self(), write_out, on_written, NULL, writing) != PBX_OK) {
		journal.writing = NULL;
		put_back(&writing->jobs);
		writing_free(writing);
		try_again_later();
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
	if (!journal.disk_full)
		write_next();
}

/* ---- sending it back ---- */

static void reading_free(struct reading *reading)
{
	if (!reading)
		return;
	free(reading->bytes);
	free(reading);
}

/* [work] */
static void put_aside(void *job)
{
	const struct refused *refused = job;
	int fd = open(refused->path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);

	if (fd < 0)
		return;
	(void)!write(fd, refused->frame, refused->size); /* the log has said that it was refused, and why */
	(void)close(fd);
}

static void on_put_aside(void *context, void *job, int status)
{
	(void)context;
	(void)status;
	free(job);
}

static void refuse(const char *frame, size_t size, const char *reason)
{
	struct refused *refused = malloc(sizeof *refused + size);

	core_log(PBX_LOG_ERROR, "core", NULL, "journal_record_refused", "error=\"%s\" kept=%s/refused.journal", reason, journal.dir);
	if (!refused)
		return;
	(void)snprintf(refused->path, sizeof refused->path, "%s/refused.journal", journal.dir);
	refused->size = size;
	memcpy(refused->frame, frame, size);
	if (core_work(core_self(), put_aside, on_put_aside, NULL, refused) != PBX_OK)
		free(refused);
}

static void save_position(const struct reading *reading)
{
	int fd = open(reading->position_path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);

	if (fd < 0)
		return;
	(void)!pwrite(fd, reading->position, sizeof reading->position, 0); /* an old position repeats records, which they can bear */
	(void)close(fd);
}

/* [work] Notes what has been sent, then reads what comes next. */
static void read_in(void *job)
{
	struct reading *reading = job;
	int fd;

	save_position(reading);
	fd = open(reading->path, O_RDONLY | O_CLOEXEC);
	if (fd < 0) {
		reading->at_end = true;
		return;
	}
	reading->bytes = malloc(reading->wanted);
	ssize_t got = reading->bytes ? pread(fd, reading->bytes, reading->wanted, (off_t)reading->position[1]) : 0;
	reading->size = got > 0 ? (size_t)got : 0;
	reading->at_end = reading->bytes && got == 0;
	(void)close(fd);
}

static void send_group(void);

static void stop_replay(void)
{
	reading_free(journal.chunk);
	journal.chunk = NULL;
	journal.replaying = false;
}

/* The file has been sent: the next one, or the end. */
static void next_file(void)
{
	char path[512];

	path_of(path, sizeof path, journal.read_file);
	(void)unlink(path);
	journal.read_file++;
	journal.read_at = 0;
	stop_replay();
	replay_next();
}

static void on_read(void *context, void *job, int status)
{
	struct reading *reading = job;
	size_t wanted = 0;

	(void)context;
	journal.reading_now = false;
	journal.chunk = reading;
	journal.sent = 0;
	if (journal.closing || status != PBX_OK || !core_store_is_up()) {
		stop_replay();
	} else if (reading->at_end) {
		next_file();
	} else if (reading->size && frame_check(reading->bytes, reading->size, &wanted)) {
		journal.read_wanted = READ_BYTES;
		send_group();
	} else {
		/* A frame longer than what we read, or a disk that cannot be read. */
		bool longer = wanted > reading->wanted;

		journal.read_wanted = longer ? wanted : READ_BYTES;
		stop_replay();
		if (longer)
			replay_next();
		else
			try_again_later();
	}
}

static void read_on(void)
{
	struct reading *reading = calloc(1, sizeof *reading);

	if (reading) {
		path_of(reading->path, sizeof reading->path, journal.read_file);
		(void)snprintf(reading->position_path, sizeof reading->position_path, "%s/position", journal.dir);
		reading->position[0] = journal.read_file;
		reading->position[1] = (uint64_t)journal.read_at;
		reading->wanted = journal.read_wanted;
	}
	journal.reading_now = reading && core_work(core_self(), read_in, on_read, NULL, reading) == PBX_OK;
	if (!journal.reading_now) {
		free(reading);
		journal.replaying = false;
		try_again_later();
	}
}

static void group_done(void)
{
	journal.sent += journal.group_size;
	journal.read_at += (off_t)journal.group_size;
	journal.stored -= journal.group_frames;
	journal.bytes -= journal.group_size;
	if (journal.singly)
		journal.singly--;
	send_group();
}

static void on_group(void *self, const struct pbx_rows *rows)
{
	(void)self;
	if (rows->status == PBX_OK) {
		group_done();
	} else if (rows->status != PBX_EINVAL && rows->status != PBX_EEXIST) {
		stop_replay();
		try_again_later();
	} else if (journal.group_frames > 1) {
		journal.singly = journal.group_frames;
		send_group();
	} else {
		if (rows->status != PBX_EEXIST) /* it is there already */
			refuse(journal.chunk->bytes + journal.sent, journal.group_size, rows->error);
		group_done();
	}
}

static void group_fill(struct group *group)
{
	uint32_t most = journal.singly ? 1 : GROUP_FRAMES;
	size_t at = journal.sent, size = journal.chunk->size, wanted;

	while (group->count < most && group->param_count + FRAME_PARAMS_MOST <= 4 * FRAME_PARAMS_MOST) {
		const char *frame = journal.chunk->bytes + at;
		size_t length = frame_check(frame, size - at, &wanted);

		if (!length || frame_read(frame, length, &group->statements[group->count], group->params + group->param_count) != PBX_OK)
			break;
		group->param_count += group->statements[group->count++].param_count;
		at += length;
	}
	group->size = at - journal.sent;
}

/* The next records of the chunk, in one transaction. None is left: more is read. */
static void send_group(void)
{
	struct group *group = calloc(1, sizeof *group);
	int err = PBX_ENOMEM;

	if (group) {
		group_fill(group);
		journal.group_size = group->size;
		journal.group_frames = group->count;
		err = PBX_OK;
	}
	if (group && group->count) {
		struct store_job *job = store_job_new(group->statements, group->count);

		if (job)
			job->record = job->replayed = true;
		err = store_ask_apart(core_self(), job, on_group, NULL);
	}

	bool at_end = group && !group->count;
	free(group);
	if (err == PBX_OK && !at_end)
		return;
	stop_replay();
	if (at_end)
		replay_next();
	else
		try_again_later();
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
	if (store_journal_is_empty())
		store_is_whole();
}

static void replay_next(void)
{
	if (journal.replaying || journal.closing || journal.writing || !core_store_is_up())
		return;
	if (journal.read_file == journal.file) {
		if (journal.stored == 0) {
			drained();
			return;
		}
		close_file(); /* new records begin another, while this one is sent */
	}
	journal.replaying = true;
	read_on();
}

void store_journal_replay(void)
{
	replay_next();
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

static void read_position(uint64_t ret_position[2])
{
	char path[512];

	(void)snprintf(path, sizeof path, "%s/position", journal.dir);
	int fd = open(path, O_RDONLY | O_CLOEXEC);

	ret_position[0] = ret_position[1] = 0;
	if (fd < 0)
		return;
	if (read(fd, ret_position, 2 * sizeof *ret_position) != 2 * (ssize_t)sizeof *ret_position)
		ret_position[0] = ret_position[1] = 0;
	(void)close(fd);
}

static int open_one(uint64_t file, uint64_t from)
{
	struct frame_count count;
	char path[512];

	path_of(path, sizeof path, file);
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

	path_of(path, sizeof path, file);
	return unlink(path) == 0 || errno == ENOENT ? PBX_OK : PBX_EIO;
}

/* Numbers are never used twice, so that an old position cannot mean a new file. */
static int open_files(void)
{
	uint64_t first, last, position[2];
	int err = find_files(&first, &last);

	read_position(position);
	journal.read_file = position[0] > first ? position[0] : first;
	journal.read_at = journal.read_file == position[0] ? (off_t)position[1] : 0;
	for (uint64_t file = first; err == PBX_OK && file && file <= last; file++)
		err = file < journal.read_file ? remove_file(file)
					       : open_one(file, file == journal.read_file ? (uint64_t)journal.read_at : 0);
	journal.file = (last > position[0] ? last : position[0]) + 1;
	if (!first)
		journal.read_file = journal.file;
	return err;
}

int store_journal_open(const char *dir)
{
	memset(&journal, 0, sizeof journal);
	journal.fd = -1;
	journal.read_wanted = READ_BYTES;
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
	while (journal.reading_now) {
		core_loop_step();
		(void)usleep(200);
	}
	stop_replay();
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
