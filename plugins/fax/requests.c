/*
 * requests - what people look at, send and delete, by REST and pbxctl; a user with an extension sees the faxes of that number
 */
#include "fax.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* Somebody asks about one fax. */
struct asked {
	struct plugin *plugin;
	pbx_request request;
	void (*then)(struct asked *asked, const struct pbx_rows *rows);
	char path[PATH_SIZE], reason[REASON_SIZE];
	char *data; /* owned: what is sent, or read */
	size_t size;
	struct job *job;
	char source[PATH_SIZE]; /* of who sends by pbxctl; "": the body */
	bool is_pdf, as_pdf;    /* what is sent; what is wanted */
	int err;
};

static void asked_free(struct asked *asked)
{
	free(asked->data);
	free(asked);
}

static struct asked *asked_new(struct plugin *plugin, pbx_request request)
{
	struct asked *asked = calloc(1, sizeof *asked);

	if (!asked) {
		(void)plugin->requests->fail(request, 503, "no_memory", NULL, "there is no memory");
		return NULL;
	}
	asked->plugin = plugin;
	asked->request = request;
	return asked;
}

/* ---- looking ---- */

static void on_rows(void *self, const struct pbx_rows *rows)
{
	struct asked *asked = self;
	const struct plugin *plugin = asked->plugin;
	struct pbx_json *list = plugin->json->new_array();

	for (uint32_t at = 0; rows->status == PBX_OK && at < rows->count; at++)
		(void)plugin->json->append(list, row_json(plugin, rows, at));
	if (rows->status == PBX_OK)
		(void)plugin->requests->reply(asked->request, 200, list);
	else
		(void)plugin->requests->fail(asked->request, 503, "store", NULL, "the database does not answer");
	if (rows->status != PBX_OK)
		plugin->json->free(list);
	asked_free(asked);
}

void on_list(void *self, pbx_request request)
{
	struct plugin *plugin = self;
	struct asked *asked = asked_new(plugin, request);
	const char *inbox = plugin->requests->text(request, "inbox"), *state = plugin->requests->text(request, "state");
	const struct pbx_value values[] = { pbx_v_text(inbox ? inbox : ""), pbx_v_text(state ? state : ""),
					    pbx_v_text(plugin->requests->own_account(request)),
					    PBX_V_INT(plugin->requests->integer(request, "limit", 100)) };

	if (asked && plugin->store->run(plugin->host,
					"SELECT " ROW_COLUMNS " FROM fax_faxes WHERE ($1 = '' OR inbox = $1) AND ($2 = '' OR state = $2)"
					" AND ($3 = '' OR inbox = $3 OR from_number = $3) ORDER BY id DESC LIMIT $4",
					values, 4, on_rows, asked) != PBX_OK) {
		(void)plugin->requests->fail(request, 503, "store", NULL, "the database has too much to do");
		asked_free(asked);
	}
}

static void on_row(void *self, const struct pbx_rows *rows)
{
	struct asked *asked = self;
	struct plugin *plugin = asked->plugin;

	if (rows->status == PBX_OK && rows->count == 1) {
		(void)snprintf(asked->path, sizeof asked->path, "%s/%s", plugin->folder, pbx_cell_text(rows, 0, ROW_PATH));
		asked->then(asked, rows);
		return;
	}
	if (rows->status == PBX_OK)
		(void)plugin->requests->fail(asked->request, 404, "not_found", "id", "there is no such fax");
	else
		(void)plugin->requests->fail(asked->request, 503, "store", NULL, "the database does not answer");
	asked_free(asked);
}

static void ask_row(struct plugin *plugin, pbx_request request, void (*then)(struct asked *asked, const struct pbx_rows *rows))
{
	struct asked *asked = asked_new(plugin, request);
	const struct pbx_value values[] = { pbx_v_text(plugin->requests->text(request, "id")),
					    pbx_v_text(plugin->requests->own_account(request)) };

	if (!asked)
		return;
	asked->then = then;
	if (plugin->store->run(plugin->host,
			       "SELECT " ROW_COLUMNS " FROM fax_faxes WHERE id = $1 AND ($2 = '' OR inbox = $2 OR from_number = $2)",
			       values, 2, on_row, asked) == PBX_OK)
		return;
	(void)plugin->requests->fail(request, 503, "store", NULL, "the database has too much to do");
	asked_free(asked);
}

static void show(struct asked *asked, const struct pbx_rows *rows)
{
	(void)asked->plugin->requests->reply(asked->request, 200, row_json(asked->plugin, rows, 0));
	asked_free(asked);
}

void on_show(void *self, pbx_request request)
{
	ask_row(self, request, show);
}

void on_inboxes(void *self, pbx_request request)
{
	const struct plugin *plugin = self;
	const struct pbx_objects *inboxes = &plugin->settings->inboxes;
	struct pbx_json *list = plugin->json->new_array();

	for (uint32_t at = 0; at < inboxes->count; at++) {
		const struct inbox_row *inbox = (const struct inbox_row *)((const char *)inboxes->rows + (size_t)at * inboxes->row_size);
		struct pbx_json *object = plugin->json->new_object();

		(void)plugin->json->set_text(object, "number", inbox->number);
		(void)plugin->json->set_text(object, "name", inbox->name);
		(void)plugin->json->set_text(object, "station", inbox->station[0] ? inbox->station : plugin->settings->station);
		(void)plugin->json->append(list, object);
	}
	(void)plugin->requests->reply(request, 200, list);
}

/* ---- the pages themselves ---- */

static int read_whole(const char *path, char **ret_data, size_t *ret_size)
{
	FILE *file = fopen(path, "rbe");
	long size = file && fseek(file, 0, SEEK_END) == 0 ? ftell(file) : -1;
	char *data = size > 0 ? malloc((size_t)size) : NULL;
	bool good = data && fseek(file, 0, SEEK_SET) == 0 && fread(data, 1, (size_t)size, file) == (size_t)size;

	if (file)
		(void)fclose(file);
	if (!good) {
		free(data);
		return PBX_EIO;
	}
	*ret_data = data;
	*ret_size = (size_t)size;
	return PBX_OK;
}

static void read_file(void *job) /* [work] */
{
	struct asked *asked = job;

	asked->err =
		asked->as_pdf ? pages_to_pdf(asked->path, &asked->data, &asked->size) : read_whole(asked->path, &asked->data, &asked->size);
}

static void on_file_read(void *self, void *job, int status)
{
	struct plugin *plugin = self;
	struct asked *asked = job;
	const struct pbx_requests *requests = plugin->requests;

	if (status == PBX_OK && asked->err == PBX_ENOTSUP)
		(void)requests->fail(asked->request, 422, "not_t6", "format",
				     "only pages compressed by T.6, as those received are, become a PDF");
	else if (status == PBX_OK && asked->err != PBX_OK)
		(void)requests->fail(asked->request, 404, "no_file", "id", "it has no pages");
	else if (status == PBX_OK &&
		 requests->begin(asked->request, asked->as_pdf ? "application/pdf" : "image/tiff", NULL, NULL, NULL) == PBX_OK) {
		(void)requests->write(asked->request, asked->data, asked->size);
		(void)requests->end(asked->request);
	}
	asked_free(asked);
}

static void hand_out(struct asked *asked, const struct pbx_rows *rows)
{
	struct plugin *plugin = asked->plugin;
	const char *format = plugin->requests->text(asked->request, "format");

	(void)rows;
	asked->as_pdf = format && strcmp(format, "pdf") == 0;
	if (plugin->host->work(plugin->host, read_file, on_file_read, asked) == PBX_OK)
		return;
	(void)plugin->requests->fail(asked->request, 503, "no_memory", NULL, "there is no memory");
	asked_free(asked);
}

void on_file(void *self, pbx_request request)
{
	ask_row(self, request, hand_out);
}

/* ---- sending ---- */

static int write_whole(const char *path, const char *data, size_t size)
{
	FILE *file = fopen(path, "wbxe");
	bool good = file && fwrite(data, 1, size, file) == size;

	if (file && fclose(file) != 0)
		good = false;
	return good ? PBX_OK : errno == ENOSPC ? PBX_ENOSPC : PBX_EIO;
}

static void name_pdf(const struct asked *asked, char ret_path[PATH_SIZE + 4])
{
	(void)snprintf(ret_path, PATH_SIZE + 4, "%s.pdf", asked->path);
}

/* Whatever was asked to be sent is a file from here on: pages, or a PDF that is to be drawn. */
static void keep_file(void *job) /* [work] */
{
	struct asked *asked = job;
	char pdf[PATH_SIZE + 4];

	asked->err = asked->source[0] ? read_whole(asked->source, &asked->data, &asked->size) : PBX_OK;
	if (asked->err != PBX_OK) {
		(void)snprintf(asked->reason, sizeof asked->reason, "there is no such file, or pbxd may not read it");
		return;
	}
	asked->is_pdf = asked->size > 5 && memcmp(asked->data, "%PDF-", 5) == 0;
	name_pdf(asked, pdf);
	const char *path = asked->is_pdf ? pdf : asked->path;

	asked->err = write_whole(path, asked->data, asked->size);
	if (asked->err == PBX_OK && !asked->is_pdf)
		asked->err = pages_check(path, asked->reason);
	if (asked->err != PBX_OK)
		(void)unlink(path);
}

static void keep_drawn(void *job) /* [work] */
{
	struct asked *asked = job;
	char pdf[PATH_SIZE + 4];

	name_pdf(asked, pdf);
	(void)unlink(pdf);
	if (asked->err == PBX_OK)
		asked->err = pages_check(asked->path, asked->reason);
	if (asked->err != PBX_OK)
		(void)unlink(asked->path); /* or it has never been there */
}

static void refuse_pages(const struct asked *asked)
{
	const struct pbx_requests *requests = asked->plugin->requests;

	if (asked->err == PBX_ENOTSUP)
		(void)requests->fail(asked->request, 503, "no_ghostscript", NULL, "%s", asked->reason);
	else if (asked->err == PBX_EBUSY)
		(void)requests->fail(asked->request, 503, "busy", NULL, "many documents are being drawn: send it again in a minute");
	else if (asked->reason[0])
		(void)requests->fail(asked->request, 422, "bad_pages", NULL, "%s", asked->reason);
	else
		(void)requests->fail(asked->request, 503, "disk", NULL, "the file cannot be kept: is the disk full?");
}

/* The pages are there, or not. */
static void on_pages(void *self, void *job, int status)
{
	struct plugin *plugin = self;
	struct asked *asked = job;
	struct job *sent = asked->job;

	if (asked->err == PBX_OK && status == PBX_OK)
		asked->err = send_claim(sent);
	if (status != PBX_OK || asked->err != PBX_OK) {
		if (status == PBX_OK)
			refuse_pages(asked);
		job_finish(sent);
		asked_free(asked);
		return;
	}
	struct pbx_json *answer = plugin->json->new_object();
	char location[48];

	(void)plugin->json->set_text(answer, "id", sent->id);
	(void)snprintf(location, sizeof location, "/faxes/%s", sent->id);
	(void)plugin->requests->created(asked->request, location, answer);
	asked_free(asked);
	send_begin(sent);
}

static void take_drawn(struct asked *asked)
{
	struct plugin *plugin = asked->plugin;

	if (plugin->host->work(plugin->host, keep_drawn, on_pages, asked) == PBX_OK)
		return;
	asked->err = PBX_ENOMEM;
	keep_drawn(asked); /* deletes the files */
	on_pages(plugin, asked, PBX_OK);
}

static void on_drawn(void *self, pbx_program program, const struct pbx_program_result *result)
{
	struct asked *asked = self;

	(void)program;
	asked->err = convert_judge(result, asked->path, asked->reason);
	take_drawn(asked);
}

static void on_kept(void *self, void *job, int status)
{
	struct asked *asked = job;
	char pdf[PATH_SIZE + 4];

	if (!asked->is_pdf || asked->err != PBX_OK) {
		on_pages(self, job, status);
		return;
	}
	name_pdf(asked, pdf);
	int err = status == PBX_OK ? convert_pdf(self, pdf, asked->path, on_drawn, asked) : status;
	if (err == PBX_OK)
		return;
	asked->err = err == PBX_ENOSPC ? PBX_EBUSY : err;
	take_drawn(asked);
}

static void send_pages(struct plugin *plugin, pbx_request request, const char *data, size_t size, const char *source)
{
	const char *from = plugin->requests->text(request, "from"), *own = plugin->requests->own_account(request);
	struct asked *asked = asked_new(plugin, request);
	struct job *job = asked ? job_new(plugin, true, NULL) : NULL;
	char *copy = job && data ? malloc(size) : NULL;

	if (!job || (data && !copy)) {
		if (job)
			job_finish(job);
		if (asked)
			(void)plugin->requests->fail(request, 503, "no_memory", NULL, "there is no memory");
		free(asked);
		return;
	}
	if (data)
		memcpy(copy, data, size);
	asked->data = copy;
	asked->size = size;
	asked->job = job;
	(void)snprintf(asked->source, sizeof asked->source, "%s", source);
	(void)snprintf(asked->path, sizeof asked->path, "%s", job->path);
	(void)snprintf(job->to, sizeof job->to, "%s", plugin->requests->text(request, "to"));
	(void)snprintf(job->from, sizeof job->from, "%s", own[0] ? own : from ? from : "");
	if (plugin->host->work(plugin->host, keep_file, on_kept, asked) == PBX_OK)
		return;
	(void)plugin->requests->fail(request, 503, "no_memory", NULL, "there is no memory");
	job_finish(job);
	asked_free(asked);
}

void on_send(void *self, pbx_request request)
{
	struct plugin *plugin = self;
	size_t size = 0;
	const char *body = plugin->requests->raw(request, &size);

	if (!body || size == 0)
		(void)plugin->requests->fail(request, 400, "no_pages", NULL, "the body is to be a TIFF of fax pages, or a PDF");
	else if (size > (size_t)plugin->settings->most_mib << 20)
		(void)plugin->requests->fail(request, 413, "too_long", NULL, "a file may have %u MiB (fax.most_mib)",
					     plugin->settings->most_mib);
	else
		send_pages(plugin, request, body, size, "");
}

void on_send_file(void *self, pbx_request request)
{
	struct plugin *plugin = self;
	const char *file = plugin->requests->text(request, "file");

	if (file[0] != '/' || strlen(file) >= PATH_SIZE)
		(void)plugin->requests->fail(request, 422, "bad_path", "file", "the path of the file is to begin with /");
	else
		send_pages(plugin, request, NULL, 0, file);
}

/* ---- deleting ---- */

static void remove_file(void *job) /* [work] */
{
	const struct asked *asked = job;

	(void)unlink(asked->path); /* there may be none */
}

static void on_removed(void *self, void *job, int status)
{
	struct plugin *plugin = self;
	struct asked *asked = job;

	if (status == PBX_OK)
		(void)plugin->requests->reply(asked->request, 204, NULL);
	asked_free(asked);
}

static void cancel(struct job *job)
{
	struct plugin *plugin = job->plugin;

	job->cancelled = true;
	if (job->fax.id)
		(void)plugin->faxes->stop(job->fax); /* its end follows */
	else if (job->dial.id)
		(void)plugin->calls->cancel(job->dial); /* likewise */
	else
		job_finish(job); /* it waits */
}

static void delete_it(struct asked *asked, const struct pbx_rows *rows)
{
	struct plugin *plugin = asked->plugin;
	struct job *job = job_find(plugin, pbx_cell_text(rows, 0, 0));
	const struct pbx_value id = pbx_v_text(pbx_cell_text(rows, 0, 0));

	if (job)
		cancel(job);
	(void)plugin->store->record(plugin->host, "DELETE FROM fax_faxes WHERE id = $1", &id, 1, NULL, NULL);
	if (plugin->host->work(plugin->host, remove_file, on_removed, asked) == PBX_OK)
		return;
	(void)plugin->requests->fail(asked->request, 503, "no_memory", NULL, "there is no memory");
	asked_free(asked);
}

void on_delete(void *self, pbx_request request)
{
	ask_row(self, request, delete_it);
}
