/*
 * store_journal_replay.c - what the journal holds goes back to the engine
 *
 * When the engine is back, the files are read in order and sent to it, some records in one transaction, until nothing is
 * left. A file that has been sent is removed; how far we are in the first one is kept in "position", so that after a crash
 * at most one transaction is repeated, which records can bear. A record that the engine refuses for what it says is put
 * aside in "refused.journal".
 *
 * Files are read in the work pool, one read at a time; everything else is [loop].
 */
#include <fcntl.h>
#include <inttypes.h>
#include <string.h>
#include <unistd.h>
#include "log.h"
#include "loop.h"
#include "owner.h"
#include "store_journal_inner.h"

#define READ_BYTES 262144u
#define GROUP_FRAMES 128u /* records of one transaction */

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
	bool on, reading;
	uint64_t file; /* the one being sent */
	off_t at;
	size_t wanted;
	struct reading *chunk;         /* what has been read, while it is sent */
	size_t sent, group_size;       /* bytes of the chunk that are done with; that are on their way */
	uint32_t group_frames, singly; /* singly: so many records go one by one, since their transaction failed */
} replay;

static void (*on_refused)(const struct pbx_statement *statement);

void store_on_refused(void (*fn)(const struct pbx_statement *statement))
{
	on_refused = fn;
}

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

	core_log(PBX_LOG_ERROR, "core", NULL, "journal_record_refused", "error=\"%s\" kept=%s/refused.journal", reason,
		 store_journal_dir());
	if (!refused)
		return;
	(void)snprintf(refused->path, sizeof refused->path, "%s/refused.journal", store_journal_dir());
	refused->size = size;
	memcpy(refused->frame, frame, size);
	if (core_work(core_self(), put_aside, on_put_aside, NULL, refused) != PBX_OK)
		free(refused);
}

/* Its owner may know what to do about it. */
static void tell_refused(const char *frame, size_t size)
{
	struct pbx_value *params = on_refused ? calloc(FRAME_PARAMS_MOST, sizeof *params) : NULL;
	struct pbx_statement statement;

	if (params && frame_read(frame, size, &statement, params) == PBX_OK)
		on_refused(&statement);
	free(params);
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
	reading_free(replay.chunk);
	replay.chunk = NULL;
	replay.on = false;
}

/* The file has been sent: the next one, or the end. */
static void next_file(void)
{
	char path[512];

	store_journal_path(path, sizeof path, replay.file);
	(void)unlink(path);
	replay.file++;
	replay.at = 0;
	stop_replay();
	store_journal_replay();
}

static void on_read(void *context, void *job, int status)
{
	struct reading *reading = job;
	size_t wanted = 0;

	(void)context;
	replay.reading = false;
	replay.chunk = reading;
	replay.sent = 0;
	if (store_journal_is_closing() || status != PBX_OK || !core_store_is_up()) {
		stop_replay();
	} else if (reading->at_end) {
		next_file();
	} else if (reading->size && frame_check(reading->bytes, reading->size, &wanted)) {
		replay.wanted = READ_BYTES;
		send_group();
	} else {
		/* A frame longer than what we read, or a disk that cannot be read. */
		bool longer = wanted > reading->wanted;

		replay.wanted = longer ? wanted : READ_BYTES;
		stop_replay();
		if (longer)
			store_journal_replay();
		else
			store_journal_try_later();
	}
}

static void read_on(void)
{
	struct reading *reading = calloc(1, sizeof *reading);

	if (reading) {
		store_journal_path(reading->path, sizeof reading->path, replay.file);
		(void)snprintf(reading->position_path, sizeof reading->position_path, "%s/position", store_journal_dir());
		reading->position[0] = replay.file;
		reading->position[1] = (uint64_t)replay.at;
		reading->wanted = replay.wanted;
	}
	replay.reading = reading && core_work(core_self(), read_in, on_read, NULL, reading) == PBX_OK;
	if (!replay.reading) {
		free(reading);
		replay.on = false;
		store_journal_try_later();
	}
}

static void group_done(void)
{
	replay.sent += replay.group_size;
	replay.at += (off_t)replay.group_size;
	store_journal_sent(replay.group_frames, replay.group_size);
	if (replay.singly)
		replay.singly--;
	send_group();
}

static void on_group(void *self, const struct pbx_rows *rows)
{
	(void)self;
	if (rows->status == PBX_OK) {
		group_done();
	} else if (rows->status != PBX_EINVAL && rows->status != PBX_EEXIST) {
		stop_replay();
		store_journal_try_later();
	} else if (replay.group_frames > 1) {
		replay.singly = replay.group_frames;
		send_group();
	} else {
		if (rows->status != PBX_EEXIST) { /* it is there already */
			refuse(replay.chunk->bytes + replay.sent, replay.group_size, rows->error);
			tell_refused(replay.chunk->bytes + replay.sent, replay.group_size);
		}
		group_done();
	}
}

static void group_fill(struct group *group)
{
	uint32_t most = replay.singly ? 1 : GROUP_FRAMES;
	size_t at = replay.sent, size = replay.chunk->size, wanted;

	while (group->count < most && group->param_count + FRAME_PARAMS_MOST <= 4 * FRAME_PARAMS_MOST) {
		const char *frame = replay.chunk->bytes + at;
		size_t length = frame_check(frame, size - at, &wanted);

		if (!length || frame_read(frame, length, &group->statements[group->count], group->params + group->param_count) != PBX_OK)
			break;
		group->param_count += group->statements[group->count++].param_count;
		at += length;
	}
	group->size = at - replay.sent;
}

/* The next records of the chunk, in one transaction. None is left: more is read. */
static void send_group(void)
{
	struct group *group = calloc(1, sizeof *group);
	int err = PBX_ENOMEM;

	if (group) {
		group_fill(group);
		replay.group_size = group->size;
		replay.group_frames = group->count;
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
		store_journal_replay();
	else
		store_journal_try_later();
}

void store_journal_replay(void)
{
	if (replay.on || store_journal_is_closing() || store_journal_puts_off() || !core_store_is_up())
		return;
	if (!store_journal_offers(replay.file))
		return;
	replay.on = true;
	read_on();
}

/* ---- opening and closing ---- */

void store_journal_position(const char *dir, uint64_t ret_position[2])
{
	char path[512];

	(void)snprintf(path, sizeof path, "%s/position", dir);
	int fd = open(path, O_RDONLY | O_CLOEXEC);

	ret_position[0] = ret_position[1] = 0;
	if (fd < 0)
		return;
	if (read(fd, ret_position, 2 * sizeof *ret_position) != 2 * (ssize_t)sizeof *ret_position)
		ret_position[0] = ret_position[1] = 0;
	(void)close(fd);
}

void store_journal_replay_open(uint64_t file, uint64_t at)
{
	memset(&replay, 0, sizeof replay);
	replay.file = file;
	replay.at = (off_t)at;
	replay.wanted = READ_BYTES;
}

void store_journal_replay_close(void)
{
	while (replay.reading) {
		core_loop_step();
		(void)usleep(200);
	}
	stop_replay();
}
