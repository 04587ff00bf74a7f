/* SPDX-License-Identifier: BSD-2-Clause */
#include "userspace/host/scrape/reading.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "userspace/base/cleanup.h"
#include "userspace/base/utf8.h"
#include "userspace/base/util.h"
#include "userspace/host/catalog.h"
#include "userspace/host/foreign.h"

#define ABOUT_SAMPLES 16u /* room for the samples about the scrape */

static const char *const refusals[SCRAPE_REFUSALS] = {
	[SCRAPE_TAKEN] = "",
	[SCRAPE_NO_ANSWER] = "no_answer",
	[SCRAPE_STATUS] = "status",
	[SCRAPE_FORMAT] = "format",
	[SCRAPE_TOO_LARGE] = "too_large",
	[SCRAPE_TOO_MANY_SAMPLES] = "too_many_samples",
	[SCRAPE_MEMORY] = "memory",
	[SCRAPE_ADDRESS] = "address",
};

const char *scrape_refusal_name(enum scrape_refusal r)
{
	return refusals[r];
}

/* ---- metadata ------------------------------------------------------------------------------- */

static int on_metadata(void *ctx, struct str name, struct str type, struct str help)
{
	struct reading *r = ctx;

	if (r->of->with_metadata)
		family_say(&r->family, name, type, help);
	return 0;
}

static int on_unit(void *ctx, struct str name, struct str unit)
{
	struct reading *r = ctx;

	if (r->of->with_metadata)
		family_say_unit(&r->family, name, unit);
	return 0;
}

static const struct rw2_meta *meta_of(struct reading *r, struct str name)
{
	return r->of->with_metadata ? family_meta(&r->family, r->batch, name) : NULL;
}

/* ---- lines ---------------------------------------------------------------------------------- */

static int refuse_line(struct reading *r, uint64_t line, const char *why)
{
	if (r->n_bad++ == 0) {
		r->first_bad_line = line;
		(void)snprintf(r->first_bad, sizeof(r->first_bad), "%.150s", why);
	}
	return 0;
}

static int on_bad(void *ctx, uint64_t line, const struct err *e)
{
	struct reading *r = ctx;

	r->n_native += e->code == -ENOTSUP;
	return refuse_line(r, line, e->msg);
}

/* Names of the samples about the scrape: an app's own would be the same series. */
static bool is_about_scrapes(struct str name)
{
	for (enum series_id id = SCRAPE_UP; id <= SCRAPE_REFUSED; id++) {
		if (str_eq(name, catalog_layout(id)->name))
			return true;
	}
	return false;
}

/* What is wrong with the labels, or NULL. */
static const char *label_fault(const struct scrape_conf *c, const struct promtext_sample *s)
{
	if (s->n_labels - 1 > (uint64_t)c->labels_max)
		return "more labels than scrape.labels";
	if (is_about_scrapes(s->labels[0].value))
		return "the name belongs to the samples about the scrape";
	for (uint32_t i = 0; i < s->n_labels; i++) {
		struct str name = s->labels[i].name, value = s->labels[i].value;

		if (name.len > (uint64_t)c->label_name_max ||
		    (i == 0 && value.len > (uint64_t)c->label_name_max))
			return "a name longer than scrape.label_name";
		if (i > 0 && value.len > (uint64_t)c->label_value_max)
			return "a value longer than scrape.label_value";
		if (!utf8_is_valid(name) || !utf8_is_valid(value))
			return "not UTF-8";
	}
	return NULL;
}

static const char *time_fault(const struct reading *r, const struct promtext_sample *s)
{
	if (!s->has_ts)
		return NULL;
	if (s->ts_ms < r->now_ms - r->conf->past_ms)
		return "the timestamp is older than scrape.past";
	return s->ts_ms > r->now_ms + r->conf->future_ms
	               ? "the timestamp is further ahead than scrape.future"
	               : NULL;
}

static void standard_of(const struct batch_owner *o, struct str ret[SERIES_STANDARD_N])
{
	ret[0] = str_from(o->app);
	ret[1] = str_from(o->host);
	ret[2] = str_from(o->instance);
	ret[3] = str_from(o->region);
}

static int add(struct reading *r, const struct promtext_sample *s, const struct label *own,
               uint32_t n_own)
{
	int result = s->has_ts ? SERIES_KNOWN : series_set_add(r->series, own, n_own);

	if (result == SERIES_TWICE)
		return refuse_line(r, r->text.line, "the series came before in this scrape");
	r->n_new += result == SERIES_NEW;
	int added = batch_add_foreign(r->batch, own, n_own, s->value, s->has_ts ? &s->ts_ms : NULL,
	                              meta_of(r, own[0].value));

	return added == -EINVAL ? refuse_line(r, r->text.line, "a label stands twice") : added;
}

static int on_sample(void *ctx, const struct promtext_sample *s)
{
	struct reading *r = ctx;
	const char *fault = label_fault(r->conf, s);
	struct str standard[SERIES_STANDARD_N];
	struct label own[LABELS_MAX];

	if (++r->n_samples > r->of->samples_max)
		return reading_refuse(r, SCRAPE_TOO_MANY_SAMPLES,
		                      "more samples than scrape.samples");
	if (!fault)
		fault = time_fault(r, s);
	if (fault)
		return refuse_line(r, r->text.line, fault);
	standard_of(&r->of->owner, standard);
	int n = foreign_own(s->labels, s->n_labels, standard, own);

	if (n < 0)
		return refuse_line(r, r->text.line, "a label stands twice");
	return add(r, s, own, (uint32_t)n);
}

static const struct promtext_ops ops = { on_sample, on_metadata, on_unit, on_bad };

/* ---- the answer ----------------------------------------------------------------------------- */

int reading_begin(struct reading *r, const struct reading_of *of, const struct scrape_conf *conf,
                  struct series_set *series, int64_t ts_ms, int64_t now_ms)
{
	*r = (struct reading){ .conf = conf,
		               .of = of,
		               .series = series,
		               .text = PROMTEXT_READER_INIT(PROMTEXT_PROMETHEUS),
		               .ts_ms = ts_ms,
		               .now_ms = now_ms };
	int res = batch_new(&r->batch, of->samples_max + series_set_n(series) + ABOUT_SAMPLES);

	if (res == 0)
		res = batch_begin(r->batch, &of->owner, ts_ms);
	if (res < 0) {
		reading_done(r);
		return res;
	}
	series_set_begin(series);
	return 0;
}

void reading_done(struct reading *r)
{
	batch_free(r->batch);
	r->batch = NULL;
	promtext_reader_done(&r->text);
	family_done(&r->family);
}

size_t reading_memory_bytes(const struct reading *r)
{
	return batch_memory_bytes(r->batch) + r->text.partial.cap + r->text.scratch.cap;
}

int reading_refuse(struct reading *r, enum scrape_refusal why, const char *text)
{
	if (r->refusal == SCRAPE_TAKEN) {
		r->refusal = why;
		(void)snprintf(r->why, sizeof(r->why), "%.150s", text);
	}
	return -ECANCELED;
}

static bool is_media_type(struct str type, const char *wanted)
{
	return type.len == strlen(wanted) && strncasecmp(type.p, wanted, type.len) == 0;
}

int reading_head(struct reading *r, int status, const char *content_type)
{
	struct str type, parameters;
	char text[64];

	(void)str_cut(str_from(content_type), ';', &type, &parameters);
	type = str_trim(type);
	if (status != 200) {
		(void)snprintf(text, sizeof(text), "HTTP status %d", status);
		return reading_refuse(r, SCRAPE_STATUS, text);
	}
	if (is_media_type(type, "application/openmetrics-text"))
		r->text.format = PROMTEXT_OPENMETRICS;
	else if (type.len > 0 && (type.len < 5 || strncasecmp(type.p, "text/", 5) != 0))
		return reading_refuse(r, SCRAPE_FORMAT, "neither text nor OpenMetrics");
	return 0;
}

int reading_data(struct reading *r, struct str piece)
{
	r->body_bytes += piece.len;
	if (r->body_bytes > r->conf->body_bytes_max)
		return reading_refuse(r, SCRAPE_TOO_LARGE, "larger than scrape.body_size");
	int res = promtext_feed(&r->text, piece, &ops, r);

	if (res == -ENOMEM || res == -ENOSPC)
		return reading_refuse(r, SCRAPE_MEMORY, "no memory for its samples");
	return res;
}

/* ---- the end -------------------------------------------------------------------------------- */

static int mark_ended(void *batch, const struct label *labels, uint32_t n)
{
	return batch_add_foreign(batch, labels, n, stale_mark(), NULL, NULL);
}

struct about {
	struct batch *batch;
	const char *extra[3]; /* path, port, reason */
};

static void put(const struct about *a, enum series_id id, double value)
{
	(void)batch_add(a->batch, id, a->extra, value);
}

static void put_about(const struct reading *r, double seconds)
{
	const struct about a = { r->batch,
		                 { r->of->path, r->of->port, scrape_refusal_name(r->refusal) } };

	put(&a, SCRAPE_UP, r->refusal == SCRAPE_TAKEN);
	put(&a, SCRAPE_DURATION_SECONDS, seconds);
	put(&a, SCRAPE_SAMPLES_SCRAPED, (double)r->n_samples);
	put(&a, SCRAPE_SERIES_ADDED, (double)r->n_new);
	put(&a, SCRAPE_SAMPLES_LIMIT, (double)r->of->samples_max);
	put(&a, SCRAPE_BODY_SIZE_BYTES, (double)r->body_bytes);
	put(&a, SCRAPE_LINES_REFUSED, (double)r->n_bad);
	put(&a, SCRAPE_NATIVE_HISTOGRAMS_REFUSED, (double)r->n_native);
	if (r->refusal != SCRAPE_TAKEN)
		put(&a, SCRAPE_REFUSED, 1);
}

static void end_reason(struct batch *b, const struct reading_of *of, enum scrape_refusal was,
                       enum scrape_refusal is)
{
	const struct about a = { b, { of->path, of->port, scrape_refusal_name(was) } };

	if (was != SCRAPE_TAKEN && was != is)
		put(&a, SCRAPE_REFUSED, stale_mark());
}

/* What came so far is worth nothing; its place is taken by an empty scrape. */
static int throw_away(struct reading *r)
{
	batch_free(r->batch);
	r->batch = NULL;
	series_set_abandon(r->series);
	r->n_new = 0;
	int res = batch_new(&r->batch, series_set_n(r->series) + ABOUT_SAMPLES);

	return res < 0 ? res : batch_begin(r->batch, &r->of->owner, r->ts_ms);
}

struct batch *reading_finish(struct reading *r, double seconds)
{
	struct batch *b;
	int res = 0;

	if (r->refusal == SCRAPE_TAKEN && promtext_end(&r->text, &ops, r) == -EBADMSG)
		(void)reading_refuse(r, SCRAPE_FORMAT, "OpenMetrics does not end in # EOF");
	if (r->refusal != SCRAPE_TAKEN)
		res = throw_away(r);
	if (res == 0) {
		(void)series_set_end(r->series, mark_ended, r->batch);
		put_about(r, seconds);
		end_reason(r->batch, r->of, r->of->last, r->refusal);
	}
	b = res == 0 ? TAKE_PTR(r->batch) : NULL;
	reading_done(r);
	return b;
}

struct batch *reading_of_the_end(const struct reading_of *of, struct series_set *series,
                                 int64_t ts_ms)
{
	const char *extra[] = { of->path, of->port, scrape_refusal_name(of->last) };
	struct batch *b = NULL;

	if (batch_new(&b, series_set_n(series) + ABOUT_SAMPLES) < 0)
		return NULL;
	if (batch_begin(b, &of->owner, ts_ms) < 0) {
		batch_free(b);
		return NULL;
	}
	series_set_begin(series);
	(void)series_set_end(series, mark_ended, b);
	for (enum series_id id = SCRAPE_UP; id < SCRAPE_REFUSED; id++)
		(void)batch_add(b, id, extra, stale_mark());
	end_reason(b, of, of->last, SCRAPE_TAKEN);
	return b;
}
