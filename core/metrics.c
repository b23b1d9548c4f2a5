/* core/metrics.c - families of metrics as their owners declared them, and their series
 *
 * A family belongs to its name: when an upgraded plugin declares what its predecessor still has, both move the same series, and counters go on.
 * It goes when its last owner does. Series of a family are kept sorted by their labels: there are few, and text comes out in order. */
#include "metrics.h"
#include "overlap.h"
#include "owner.h"
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#define MOST_SERIES 1000u
#define MOST_LABELS 8u
#define MOST_BUCKETS 32u
#define MOST_VALUES 256u /* bytes of a series' label values */

struct series {
	char *labels;       /* values separated by commas, "" for none */
	double value;       /* COUNTER, GAUGE; HISTOGRAM: the sum */
	uint64_t count;     /* HISTOGRAM */
	uint64_t buckets[]; /* each without those below */
};

struct family {
	struct family *next;
	uint32_t users, kind;
	char *name, *help, *labels;
	uint32_t label_count, bucket_count, series_count;
	double bounds[MOST_BUCKETS];
	struct series **series;
};

/* What one owner declared: its rows, as families. */
struct declared {
	struct declared *next;
	struct pbx_host *owner;
	uint32_t count;
	struct family *families[];
};

struct scraper {
	struct scraper *next;
	struct pbx_host *owner;
	void (*fn)(void *self);
	void *self;
};

static struct family *families; /* by name */
static struct declared *declared;
static struct scraper *scrapers;

/* ---- families ---- */

static void family_free(struct family *family)
{
	if (!family)
		return;
	for (uint32_t i = 0; i < family->series_count; i++) {
		free(family->series[i]->labels);
		free(family->series[i]);
	}
	free(family->series);
	free(family->name);
	free(family->help);
	free(family->labels);
	free(family);
}

/* An empty text is one item, an empty one. */
static uint32_t count_items(const char *list)
{
	uint32_t count = list ? 1 : 0;

	for (; list && *list; list++)
		count += *list == ',';
	return count;
}

static int parse_bounds(struct family *family, const char *buckets)
{
	const char *at = buckets ? buckets : "";

	while (*at) {
		char *end;
		double bound = strtod(at, &end);

		if (end == at || family->bucket_count == MOST_BUCKETS)
			return PBX_EINVAL;
		if (family->bucket_count && bound <= family->bounds[family->bucket_count - 1])
			return PBX_EINVAL;
		family->bounds[family->bucket_count++] = bound;
		at = end + strspn(end, ", ");
	}
	return PBX_OK;
}

static bool is_name(const char *name)
{
	size_t length = strspn(name, "abcdefghijklmnopqrstuvwxyz0123456789_");

	return length && !name[length] && (name[0] < '0' || name[0] > '9');
}

/* The name of a counter's family is without _total; its samples' is with it. */
static size_t base_length(const char *name, uint32_t kind)
{
	size_t length = strlen(name);

	return kind == PBX_METRIC_COUNTER && length > 6 && !strcmp(name + length - 6, "_total") ? length - 6 : length;
}

static int family_fill(struct family *family, const struct pbx_metric *metric)
{
	family->kind = metric->kind;
	family->name = strndup(metric->name, base_length(metric->name, metric->kind));
	family->help = strdup(metric->help ? metric->help : "");
	family->labels = strdup(metric->labels ? metric->labels : "");
	if (!family->name || !family->help || !family->labels)
		return PBX_ENOMEM;
	family->label_count = family->labels[0] ? count_items(family->labels) : 0;
	if (!is_name(metric->name) || metric->kind < PBX_METRIC_COUNTER || metric->kind > PBX_METRIC_HISTOGRAM ||
	    family->label_count > MOST_LABELS)
		return PBX_EINVAL;
	return metric->kind == PBX_METRIC_HISTOGRAM ? parse_bounds(family, metric->buckets) : PBX_OK;
}

static struct family **find_place(const char *name, size_t length)
{
	struct family **at = &families;

	while (*at && strncmp((*at)->name, name, length) < 0)
		at = &(*at)->next;
	return at;
}

static bool is_same(const struct family *family, const struct pbx_metric *metric)
{
	return family->kind == metric->kind && !strcmp(family->labels, metric->labels ? metric->labels : "");
}

/* The series of labels; made when there is none and there is room. */
static int get_series(struct family *family, const char *labels, struct series **ret_series)
{
	uint32_t low = 0, high = family->series_count;

	while (low < high) {
		uint32_t middle = (low + high) / 2;
		int order = strcmp(family->series[middle]->labels, labels);

		if (order == 0) {
			*ret_series = family->series[middle];
			return PBX_OK;
		}
		if (order < 0)
			low = middle + 1;
		else
			high = middle;
	}
	if (family->series_count == MOST_SERIES)
		return PBX_ENOSPC;

	struct series **grown = realloc(family->series, (family->series_count + 1) * sizeof(struct series *));
	if (!grown)
		return PBX_ENOMEM;
	family->series = grown;
	struct series *series = calloc(1, sizeof *series + family->bucket_count * sizeof series->buckets[0]);
	char *copy = strdup(labels);
	if (!series || !copy) {
		free(series);
		free(copy);
		return PBX_ENOMEM;
	}
	series->labels = copy;
	memmove(&grown[low + 1], &grown[low], (family->series_count - low) * sizeof(struct series *));
	grown[low] = series;
	family->series_count++;
	*ret_series = series;
	return PBX_OK;
}

static int get_family(const struct pbx_metric *metric, struct family **ret_family)
{
	size_t length = base_length(metric->name, metric->kind);
	struct family **place = find_place(metric->name, length);
	struct family *family = *place;

	if (family && strlen(family->name) == length && !strncmp(family->name, metric->name, length)) {
		if (!is_same(family, metric))
			return PBX_EEXIST;
		family->users++;
		*ret_family = family;
		return PBX_OK;
	}

	family = calloc(1, sizeof *family);
	int err = family ? family_fill(family, metric) : PBX_ENOMEM;
	struct series *only;
	if (err == PBX_OK && !family->label_count)
		err = get_series(family, "", &only); /* what has not happened yet is 0, not missing */
	if (err != PBX_OK) {
		family_free(family);
		return err;
	}
	family->users = 1;
	family->next = *place;
	*place = family;
	*ret_family = family;
	return PBX_OK;
}

static void drop_family(struct family *family)
{
	if (--family->users)
		return;
	struct family **at = &families;
	while (*at != family)
		at = &(*at)->next;
	*at = family->next;
	family_free(family);
}

/* ---- owners ---- */

static void declared_free(struct declared *set)
{
	for (uint32_t i = 0; i < set->count; i++)
		drop_family(set->families[i]);
	free(set);
}

/* Rows may be shorter than ours: what the writer did not know is zero. */
static struct pbx_metric read_row(const struct pbx_table *table, uint32_t index)
{
	struct pbx_metric metric = { 0 };
	const char *row = (const char *)table->rows + (size_t)index * table->row_size;

	core_copy_overlap(&metric, sizeof metric, row, table->row_size);
	return metric;
}

int core_metrics_declare(struct pbx_host *owner, const struct pbx_table *metrics, struct pbx_diag *diag)
{
	assert(owner);
	struct declared *set = calloc(1, sizeof *set + metrics->count * sizeof set->families[0]);

	if (!set)
		return PBX_ENOMEM;
	set->owner = owner;
	for (uint32_t i = 0; i < metrics->count; i++) {
		struct pbx_metric metric = read_row(metrics, i);
		int err = metric.name ? get_family(&metric, &set->families[i]) : PBX_EINVAL;

		if (err != PBX_OK) {
			pbx_diag_set(diag, NULL,
				     err == PBX_EEXIST   ? "its metric \"%s\" is there already, of another kind or with other labels"
				     : err == PBX_EINVAL ? "its metric \"%s\" has a name, kind, labels or buckets that are none"
							 : "its metric \"%s\" finds no memory",
				     metric.name ? metric.name : "");
			declared_free(set);
			return err;
		}
		set->count++;
	}
	set->next = declared;
	declared = set;
	return PBX_OK;
}

void core_metrics_undeclare(struct pbx_host *owner)
{
	for (struct declared **at = &declared; *at;) {
		struct declared *set = *at;

		if (set->owner != owner) {
			at = &set->next;
			continue;
		}
		*at = set->next;
		declared_free(set);
	}
	for (struct scraper **at = &scrapers; *at;) {
		struct scraper *scraper = *at;

		if (scraper->owner != owner) {
			at = &scraper->next;
			continue;
		}
		*at = scraper->next;
		free(scraper);
	}
}

int core_metrics_on_scrape(struct pbx_host *owner, void (*fn)(void *self), void *self)
{
	struct scraper *scraper = malloc(sizeof *scraper);

	if (!scraper)
		return PBX_ENOMEM;
	*scraper = (struct scraper){ scrapers, owner, fn, self };
	scrapers = scraper;
	return PBX_OK;
}

/* ---- moving ---- */

/* The series a call means; kinds: the bits of those it may be of. */
static int find_series(struct pbx_host *owner, uint32_t row, const char *labels, uint32_t kinds, struct family **ret_family,
		       struct series **ret_series)
{
	const struct declared *set = declared;

	while (set && set->owner != owner)
		set = set->next;
	if (!set || row >= set->count)
		return PBX_EINVAL;
	struct family *family = set->families[row];
	uint32_t count = family->label_count || (labels && labels[0]) ? count_items(labels) : 0;
	labels = labels ? labels : "";
	if (!(kinds & 1u << family->kind) || strlen(labels) >= MOST_VALUES || count != family->label_count)
		return PBX_EINVAL;
	*ret_family = family;
	return get_series(family, labels, ret_series);
}

static int metric_add(struct pbx_host *host, uint32_t row, const char *labels, double amount)
{
	struct family *family;
	struct series *series;
	int err = find_series(host, row, labels, 1u << PBX_METRIC_COUNTER | 1u << PBX_METRIC_GAUGE, &family, &series);

	if (err != PBX_OK)
		return err;
	if (family->kind == PBX_METRIC_COUNTER && !(amount >= 0))
		return PBX_EINVAL;
	series->value += amount;
	return PBX_OK;
}

static int metric_set(struct pbx_host *host, uint32_t row, const char *labels, double value)
{
	struct family *family;
	struct series *series;
	int err = find_series(host, row, labels, 1u << PBX_METRIC_GAUGE, &family, &series);

	if (err == PBX_OK)
		series->value = value;
	return err;
}

static int metric_observe(struct pbx_host *host, uint32_t row, const char *labels, double value)
{
	struct family *family;
	struct series *series;
	int err = find_series(host, row, labels, 1u << PBX_METRIC_HISTOGRAM, &family, &series);

	if (err != PBX_OK)
		return err;
	series->value += value;
	series->count++;
	for (uint32_t i = 0; i < family->bucket_count; i++) {
		if (value > family->bounds[i])
			continue;
		series->buckets[i]++;
		break;
	}
	return PBX_OK;
}

/* ---- text ---- */

static void put_escaped(FILE *out, const char *text, const char *end, bool quoted)
{
	for (; text < end; text++) {
		if (*text == '\n')
			(void)fputs("\\n", out);
		else if (*text == '\\' || (quoted && *text == '"'))
			(void)fprintf(out, "\\%c", *text);
		else
			(void)fputc(*text, out);
	}
}

static const char *item_end(const char *item)
{
	return item + strcspn(item, ",");
}

/* {name="value",…}; le, when given, comes last. */
static void put_labels(FILE *out, const struct family *family, const struct series *series, const char *le)
{
	const char *name = family->labels, *value = series->labels;

	if (!family->label_count && !le)
		return;
	(void)fputc('{', out);
	for (uint32_t i = 0; i < family->label_count; i++) {
		(void)fprintf(out, "%.*s=\"", (int)(item_end(name) - name), name);
		put_escaped(out, value, item_end(value), true);
		(void)fputs(i + 1 < family->label_count || le ? "\"," : "\"", out);
		name = item_end(name) + 1;
		value = item_end(value) + 1;
	}
	if (le)
		(void)fprintf(out, "le=\"%s\"", le);
	(void)fputc('}', out);
}

static void put_sample(FILE *out, const struct family *family, const char *suffix, const struct series *series, const char *le,
		       double value)
{
	(void)fprintf(out, "%s%s", family->name, suffix);
	put_labels(out, family, series, le);
	(void)fprintf(out, " %.15g\n", value);
}

static void put_histogram(FILE *out, const struct family *family, const struct series *series)
{
	uint64_t below = 0;
	char le[32];

	for (uint32_t i = 0; i < family->bucket_count; i++) {
		below += series->buckets[i];
		(void)snprintf(le, sizeof le, "%.15g", family->bounds[i]);
		put_sample(out, family, "_bucket", series, le, (double)below);
	}
	put_sample(out, family, "_bucket", series, "+Inf", (double)series->count);
	put_sample(out, family, "_count", series, NULL, (double)series->count);
	put_sample(out, family, "_sum", series, NULL, series->value);
}

static void put_family(FILE *out, const struct family *family)
{
	static const char *const kinds[] = { [PBX_METRIC_COUNTER] = "counter", "gauge", "histogram" };

	(void)fprintf(out, "# TYPE %s %s\n# HELP %s ", family->name, kinds[family->kind], family->name);
	put_escaped(out, family->help, family->help + strlen(family->help), true);
	(void)fputc('\n', out);
	for (uint32_t i = 0; i < family->series_count; i++) {
		const struct series *series = family->series[i];

		if (family->kind == PBX_METRIC_HISTOGRAM)
			put_histogram(out, family, series);
		else
			put_sample(out, family, family->kind == PBX_METRIC_COUNTER ? "_total" : "", series, NULL, series->value);
	}
}

char *core_metrics_text(void)
{
	char *text = NULL;
	size_t size;

	for (const struct scraper *scraper = scrapers; scraper; scraper = scraper->next)
		CORE_INTO(scraper->owner, scraper->fn(scraper->self));
	FILE *out = open_memstream(&text, &size);
	if (!out)
		return NULL;
	for (const struct family *family = families; family; family = family->next)
		put_family(out, family);
	(void)fputs("# EOF\n", out);
	if (fclose(out)) {
		free(text);
		return NULL;
	}
	return text;
}

int core_metrics_init(void)
{
	return PBX_OK;
}

void core_metrics_fini(void)
{
	while (declared)
		core_metrics_undeclare(declared->owner);
	while (scrapers)
		core_metrics_undeclare(scrapers->owner);
}

const struct pbx_metrics core_metrics_service = {
	.header = PBX_HEADER(struct pbx_metrics),
	.add = metric_add,
	.set = metric_set,
	.observe = metric_observe,
};
