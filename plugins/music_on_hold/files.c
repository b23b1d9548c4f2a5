/*
 * files - tunes that people upload, take away or listen to
 *
 * An upload is written beside its place under a hidden name, tried by the media engine, and only then renamed: what cannot be played
 * never becomes part of a class. All file work is done in the pool.
 */
#include "music.h"
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>
#include <unistd.h>

#define CHUNK_BYTES 65536u

struct file_job {
	struct file_job *next;
	struct music *music;
	pbx_request request;
	char folder[4096], draft[4400], path[4400], class[MUSIC_NAME_LENGTH + 1];
	char *bytes;
	size_t size;
	int error; /* errno */
	/* download */
	int fd;
	bool reading, asker_gone;
	char chunk[CHUNK_BYTES];
	ssize_t got;
};

static void job_free(struct file_job *job)
{
	if (!job)
		return;
	struct file_job **at = &job->music->jobs;
	while (*at && *at != job)
		at = &(*at)->next;
	if (*at)
		*at = job->next;
	if (job->fd >= 0)
		(void)close(job->fd);
	free(job->bytes);
	free(job);
}

void music_jobs_clear(struct music *music)
{
	while (music->jobs)
		job_free(music->jobs);
}

/* Checks the two names; NULL when the request has been refused. */
static struct file_job *job_new(struct music *music, pbx_request request, const char *file)
{
	const struct pbx_requests *requests = music->requests;
	const char *class = requests->text(request, "class");
	char id[27];

	if (!music_is_name(class)) {
		(void)requests->fail(request, 422, "bad_name", "class", "a class name has up to %u letters, digits, - and _",
				     MUSIC_NAME_LENGTH);
		return NULL;
	}
	if (!music_is_file_name(file)) {
		(void)requests->fail(request, 422, "bad_name", "file", "a file name has no path and ends in .wav .flac .ogg .opus or .mp3");
		return NULL;
	}
	struct file_job *job = calloc(1, sizeof *job);
	if (!job || !music->uploads) {
		(void)requests->fail(request, 503, "no_place", NULL, "there is no place for uploaded music");
		free(job);
		return NULL;
	}
	*job = (struct file_job){ .next = music->jobs, .music = music, .request = request, .fd = -1 };
	music->jobs = job;
	music->host->ulid(music->host, id);
	(void)snprintf(job->class, sizeof job->class, "%s", class);
	(void)snprintf(job->folder, sizeof job->folder, "%s/%s", music->uploads, class);
	(void)snprintf(job->path, sizeof job->path, "%s/%s", job->folder, file);
	(void)snprintf(job->draft, sizeof job->draft, "%s/.%s%s", job->folder, id, strrchr(file, '.'));
	return job;
}

static void run_or_refuse(struct file_job *job, pbx_work_fn work, pbx_worked_fn done)
{
	struct music *music = job->music;

	if (music->host->work(music->host, work, done, job) == PBX_OK)
		return;
	(void)music->requests->fail(job->request, 503, "no_memory", NULL, "there is no memory");
	job_free(job);
}

/* ---- upload --------------------------------------------------------------------------- */

static void write_draft(void *self)
{
	struct file_job *job = self;
	size_t done = 0;

	if (mkdir(job->folder, 0750) != 0 && errno != EEXIST) {
		job->error = errno;
		return;
	}
	int fd = open(job->draft, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0640);
	while (fd >= 0 && done < job->size) {
		ssize_t wrote = write(fd, job->bytes + done, job->size - done);

		if (wrote < 0 && errno != EINTR)
			break;
		if (wrote > 0)
			done += (size_t)wrote;
	}
	if (fd < 0 || done < job->size || fsync(fd) != 0)
		job->error = errno;
	if (fd >= 0)
		(void)close(fd);
	if (job->error)
		(void)unlink(job->draft);
}

static void keep_draft(void *self)
{
	struct file_job *job = self;

	if (rename(job->draft, job->path) != 0) {
		job->error = errno;
		(void)unlink(job->draft);
	}
}

static void drop_draft(void *self)
{
	struct file_job *job = self;

	(void)unlink(job->draft); /* it may be gone: as good */
}

static void refuse_disk(struct file_job *job)
{
	(void)job->music->requests->fail(job->request, 503, "not_written", NULL, "the file could not be written: %s", strerror(job->error));
}

static void on_kept(void *self, void *data, int status)
{
	struct music *music = self;
	struct file_job *job = data;

	if (status == PBX_OK && job->error) {
		refuse_disk(job);
	} else if (status == PBX_OK) {
		music_rescan(music);
		(void)music->requests->reply(job->request, 201, NULL);
	}
	job_free(job);
}

static void on_dropped(void *self, void *data, int status)
{
	(void)self, (void)status;
	job_free(data);
}

static void on_probed(void *self, int result, const struct pbx_file_info *info)
{
	struct file_job *job = self;

	(void)info;
	if (result == PBX_OK) {
		run_or_refuse(job, keep_draft, on_kept);
		return;
	}
	(void)job->music->requests->fail(job->request, 400, "not_playable", NULL,
					 "this is no sound file that can be played, or it is shorter than 1 s or over 100 MB");
	run_or_refuse(job, drop_draft, on_dropped);
}

static void on_draft(void *self, void *data, int status)
{
	struct music *music = self;
	struct file_job *job = data;

	if (status == PBX_OK && !job->error && music->media->probe(music->host, job->draft, on_probed, job) == PBX_OK)
		return;
	if (status == PBX_OK && !job->error) {
		(void)music->requests->fail(job->request, 503, "no_memory", NULL, "there is no memory");
		run_or_refuse(job, drop_draft, on_dropped);
		return;
	}
	if (status == PBX_OK)
		refuse_disk(job);
	job_free(job);
}

static void upload(struct music *music, pbx_request request, const char *file, const char *bytes, size_t size)
{
	struct file_job *job = job_new(music, request, file);

	if (!job)
		return;
	job->bytes = malloc(size);
	job->size = size;
	if (!job->bytes) {
		(void)music->requests->fail(request, 503, "no_memory", NULL, "there is no memory");
		job_free(job);
		return;
	}
	memcpy(job->bytes, bytes, size);
	run_or_refuse(job, write_draft, on_draft);
}

void music_on_upload(void *self, pbx_request request)
{
	struct music *music = self;
	size_t size = 0;
	const char *body = music->requests->raw(request, &size);

	if (!body || size == 0)
		(void)music->requests->fail(request, 400, "empty", NULL, "the request has no body: send the file itself");
	else
		upload(music, request, music->requests->text(request, "file"), body, size);
}

void music_on_upload_form(void *self, pbx_request request)
{
	struct music *music = self;
	struct part part;
	size_t size = 0;
	const char *body = music->requests->raw(request, &size);

	if (!body || !multipart_first_file(music->requests->http_header(request, "Content-Type"), body, size, &part) || part.size == 0)
		(void)music->requests->fail(request, 400, "no_file", NULL,
					    "the body is no multipart/form-data with a file in it: curl -F file=@tune.wav does that");
	else
		upload(music, request, part.name, part.bytes, part.size);
}

/* ---- removal -------------------------------------------------------------------------- */

static void remove_file(void *self)
{
	struct file_job *job = self;

	if (unlink(job->path) != 0)
		job->error = errno;
	else
		(void)rmdir(job->folder); /* only when it was the last */
}

static void on_file_removed(void *self, void *data, int status)
{
	struct music *music = self;
	struct file_job *job = data;

	if (status == PBX_OK && job->error == ENOENT) {
		(void)music->requests->fail(job->request, 404, "not_found", "file",
					    "no such file was uploaded; shipped files are removed on disk");
	} else if (status == PBX_OK && job->error) {
		refuse_disk(job);
	} else if (status == PBX_OK) {
		music_rescan(music);
		(void)music->requests->reply(job->request, 204, NULL);
	}
	job_free(job);
}

void music_on_remove_file(void *self, pbx_request request)
{
	struct music *music = self;
	struct file_job *job = job_new(music, request, music->requests->text(request, "file"));

	if (job)
		run_or_refuse(job, remove_file, on_file_removed);
}

/* ---- download: a chunk from the pool, then the next when the asker has taken it ------- */

static const char *content_type(const char *path)
{
	const char *dot = strrchr(path, '.');

	if (strcasecmp(dot, ".wav") == 0)
		return "audio/wav";
	if (strcasecmp(dot, ".flac") == 0)
		return "audio/flac";
	return strcasecmp(dot, ".mp3") == 0 ? "audio/mpeg" : "audio/ogg";
}

static void read_chunk(void *self)
{
	struct file_job *job = self;

	if (job->fd < 0)
		job->fd = open(job->path, O_RDONLY | O_CLOEXEC);
	job->got = job->fd >= 0 ? read(job->fd, job->chunk, sizeof job->chunk) : -1;
	job->error = job->got < 0 ? errno : 0;
}

static void read_on(struct file_job *job);

static void on_chunk(void *self, void *data, int status)
{
	struct music *music = self;
	struct file_job *job = data;
	int err = PBX_ECANCELLED;

	job->reading = false;
	if (status == PBX_OK && !job->asker_gone && job->got > 0)
		err = music->requests->write(job->request, job->chunk, (size_t)job->got);
	if (err == PBX_OK) {
		read_on(job);
	} else if (err != PBX_EBUSY) { /* busy: on_asker_ready goes on */
		if (status == PBX_OK && !job->asker_gone)
			(void)music->requests->end(job->request);
		job_free(job);
	}
}

static void read_on(struct file_job *job)
{
	job->reading = job->music->host->work(job->music->host, read_chunk, on_chunk, job) == PBX_OK;
	if (job->reading)
		return;
	(void)job->music->requests->end(job->request); /* cut short: there is no memory */
	job_free(job);
}

static void on_asker_ready(void *self, pbx_request request)
{
	(void)request;
	read_on(self);
}

static void on_asker_gone(void *self, pbx_request request)
{
	struct file_job *job = self;

	(void)request;
	job->asker_gone = true;
	if (!job->reading)
		job_free(job); /* else on_chunk does */
}

static const char *stored_path(const struct music_class *class, const char *file)
{
	for (uint32_t i = 0; i < class->files.count; i++)
		if (strcmp(strrchr(class->files.paths[i], '/') + 1, file) == 0)
			return class->files.paths[i];
	return NULL;
}

void music_on_download(void *self, pbx_request request)
{
	struct music *music = self;
	struct file_job *job = job_new(music, request, music->requests->text(request, "file"));
	const struct music_class *class = job ? music_find(music, job->class) : NULL;
	const char *path = class ? stored_path(class, music->requests->text(request, "file")) : NULL;

	if (job && !path) {
		(void)music->requests->fail(request, 404, "not_found", "file", "there is no such tune");
		job_free(job);
	} else if (job) {
		(void)snprintf(job->path, sizeof job->path, "%s", path);
		if (music->requests->begin(request, content_type(path), on_asker_ready, on_asker_gone, job) == PBX_OK)
			read_on(job);
		else
			job_free(job);
	}
}
