/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * /api/v1/search/…: names and values that resemble what somebody types, best first, in lines of
 * JSON: {"results":[{"name":"up"},…]} as often as needed, at last
 * {"status":"success","has_more":false}.
 *
 * All answers are gathered, scored and sorted before the first line: the best ones are known only
 * when all have been seen.
 * Source: github.com/prometheus/proposals, 0074
 */
#include <errno.h>
#include <stdlib.h>

#include "api/fuzzy.h"
#include "api/handlers/families.h"
#include "api/handlers/handlers.h"
#include "api/handlers/lookup.h"
#include "api/json_out.h"
#include "api/params.h"
#include "userspace/base/util.h"

#define LIMIT_DEFAULT 100
#define LIMIT_MAX     10000
#define BATCH_DEFAULT 100
#define TERMS_MAX     32u

enum order {
	BY_NAME,
	BY_NAME_DOWN,
	BY_SCORE,
};

struct hit {
	struct str text;
	double score;
};

struct search {
	struct lookup lookup; /* which series and when; its output is not used */
	struct arena *arena;
	const char *key; /* of a result: "name", "value" */
	struct str label;
	struct fuzzy fuzzy;
	struct str terms[TERMS_MAX];
	size_t n_terms;
	enum order order;
	int64_t limit, batch;
	bool with_score, with_metadata;
	struct families families;
	struct hit *hits;
	size_t n_hits;
};

/* --- the arguments ---------------------------------------------------------------------------- */

/* The index of the word in @names, which NULL ends; of none of them -EINVAL. */
static int read_word(const struct params *p, const char *name, const char *const *names,
                     struct err *e)
{
	struct str value = params_get(p, name);

	for (int i = 0; names[i]; i++) {
		if (str_eqc(value, names[i]))
			return i;
	}
	return err_set(e, -EINVAL, "argument %s: \"%.*s\" is not one of its values", name,
	               (int)MIN(value.len, (size_t)60), value.p);
}

static int read_fuzzy(struct search *s, const struct params *p, struct err *e)
{
	static const char *const algorithms[] = { "", "subsequence", "jarowinkler", NULL };
	static const enum fuzzy_kind kinds[] = { FUZZY_SUBSEQUENCE, FUZZY_SUBSEQUENCE,
		                                 FUZZY_JARO_WINKLER };
	int algorithm = read_word(p, "fuzz_alg", algorithms, e);
	int64_t percent;
	bool exact = true;

	if (algorithm < 0)
		return algorithm;
	int r = params_int(p, "fuzz_threshold", 0, &percent, e);

	if (r == 0 && (percent < 0 || percent > 100))
		r = err_set(e, -EINVAL, "argument fuzz_threshold is a number from 0 to 100");
	if (r == 0 && params_get(p, "case_sensitive").len > 0)
		r = params_bool(p, "case_sensitive", &exact, e);
	s->fuzzy.threshold = (double)percent / 100;
	s->fuzzy.fold_case = !exact;
	s->fuzzy.kind = algorithm > 0 || percent > 0 ? kinds[algorithm] : FUZZY_NOT;
	return r;
}

static int read_order(struct search *s, const struct params *p, struct err *e)
{
	static const char *const by[] = { "", "alpha", "score", NULL };
	static const char *const directions[] = { "", "asc", "dsc", NULL };
	int what = read_word(p, "sort_by", by, e);
	int direction = what < 0 ? what : read_word(p, "sort_dir", directions, e);

	if (direction < 0)
		return direction;
	if (what == 2 && direction > 0)
		return err_set(e, -EINVAL, "argument sort_dir goes with sort_by=alpha only");
	s->order = what == 2 ? BY_SCORE : direction == 2 ? BY_NAME_DOWN : BY_NAME;
	return 0;
}

static int read_terms(struct search *s, const struct params *p, struct err *e)
{
	struct str term;

	for (size_t i = 0; params_next(p, "search[]", &i, &term);) {
		if (s->n_terms == TERMS_MAX)
			return err_set(e, -EINVAL, "more than %u arguments search[]", TERMS_MAX);
		s->terms[s->n_terms++] = term;
	}
	return 0;
}

static int read_args(struct search *s, const struct params *p, struct err *e)
{
	int r = read_terms(s, p, e);

	if (r == 0)
		r = read_fuzzy(s, p, e);
	if (r == 0)
		r = read_order(s, p, e);
	if (r == 0)
		r = params_int(p, "limit", LIMIT_DEFAULT, &s->limit, e);
	if (r == 0)
		r = params_int(p, "batch_size", BATCH_DEFAULT, &s->batch, e);
	if (r == 0)
		r = params_bool(p, "include_score", &s->with_score, e);
	if (r == 0)
		r = params_bool(p, "include_metadata", &s->with_metadata, e);
	/* Types and helps are of metrics; a label may have the name of one. */
	s->with_metadata = s->with_metadata && str_eqc(s->label, LABEL_NAME);
	if (r == 0 && (s->limit < 1 || s->limit > LIMIT_MAX || s->batch < 1))
		r = err_set(e, -EINVAL, "limit is a number from 1 to %d, batch_size from 1 on",
		            LIMIT_MAX);
	return r;
}

/* --- the hits --------------------------------------------------------------------------------- */

static double score_of(const struct search *s, struct str text)
{
	double best = s->n_terms == 0;

	for (size_t i = 0; i < s->n_terms; i++) {
		double score = fuzzy_score(&s->fuzzy, s->terms[i], text);

		best = MAX(best, score);
	}
	return best;
}

static int add(void *ctx, struct str text)
{
	struct search *s = ctx;
	double score = score_of(s, text);

	if (atomic_load_explicit(s->lookup.gone, memory_order_relaxed))
		return err_set(&s->lookup.e, -ECANCELED, "the client has hung up");
	if (score <= 0)
		return 0;
	if ((s->n_hits & (s->n_hits - 1)) == 0) { /* room doubles */
		size_t cap = s->n_hits ? 2 * s->n_hits : 64;
		struct hit *v = ARENA_ARRAY(s->arena, struct hit, cap);

		if (!v)
			return arena_error(s->arena);
		if (s->n_hits > 0)
			memcpy(v, s->hits, s->n_hits * sizeof(*v));
		s->hits = v;
	}
	s->hits[s->n_hits++] = (struct hit){ arena_str(s->arena, text), score };
	return arena_error(s->arena);
}

static int by_name(const void *a, const void *b)
{
	return str_cmp(((const struct hit *)a)->text, ((const struct hit *)b)->text);
}

static int by_name_down(const void *a, const void *b)
{
	return by_name(b, a);
}

static int by_score(const void *a, const void *b)
{
	const struct hit *x = a, *y = b;

	return x->score != y->score ? (x->score < y->score ? 1 : -1) : by_name(a, b);
}

static void sort(struct search *s)
{
	static int (*const cmp[])(const void *a, const void *b) = {
		[BY_NAME] = by_name, [BY_NAME_DOWN] = by_name_down, [BY_SCORE] = by_score
	};

	if (s->n_hits > 0)
		qsort(s->hits, s->n_hits, sizeof(*s->hits), cmp[s->order]);
}

/* --- the answer ------------------------------------------------------------------------------- */

static void put_metadata(const struct search *s, struct str name, struct buf *out)
{
	const struct family *m = families_find_of(&s->families, name);

	if (!m)
		return;
	buf_printf(out, ",\"type\":\"%s\",\"help\":", metadata_type_name(m->type));
	json_put_str(out, m->help);
	buf_puts(out, ",\"unit\":");
	json_put_str(out, m->unit);
}

static void put_hit(const struct search *s, const struct hit *h, struct buf *out)
{
	buf_printf(out, "{\"%s\":", s->key);
	json_put_str(out, h->text);
	if (s->with_score) {
		buf_puts(out, ",\"score\":");
		buf_put_double(out, h->score);
	}
	if (s->with_metadata)
		put_metadata(s, h->text, out);
	buf_putc(out, '}');
}

static int reply(struct search *s, struct response *resp)
{
	size_t n = MIN(s->n_hits, (size_t)s->limit);
	struct buf *out = &resp->body;

	for (size_t i = 0; i < n; i++) {
		size_t place = i % (size_t)s->batch;

		buf_puts(out, place == 0 ? "{\"results\":[" : ",");
		put_hit(s, &s->hits[i], out);
		if (i + 1 == n || place + 1 == (size_t)s->batch)
			buf_puts(out, "]}\n");
	}
	buf_printf(out, "{\"status\":\"success\",\"has_more\":%s}\n",
	           s->n_hits > n ? "true" : "false");
	if (out->err < 0)
		return reply_error(resp, REPLY_UNAVAILABLE, "out of memory");
	resp->content_type = "application/x-ndjson; charset=utf-8";
	return resp->status = 200;
}

static int search(struct region *region, struct request *req, struct response *resp,
                  struct search *s)
{
	struct err *e = &s->lookup.e;
	int status = lookup_begin(&s->lookup, region, req, resp, false);

	if (status != 0)
		return status;
	buf_clear(&resp->body);
	s->arena = &req->arena;
	int r = read_args(s, &req->params, e);

	if (r < 0)
		return reply_args_error(resp, r, e);
	if (s->with_metadata)
		r = families_load(&s->families, region->metadata, req->org, s->arena);
	if (r == 0 && s->label.len > 0)
		r = store_label_values(region->store, &s->lookup.sel, s->label, add, s, e);
	else if (r == 0)
		r = store_label_names(region->store, &s->lookup.sel, add, s, e);
	if (r < 0)
		return reply_engine_error(resp, r, e);
	sort(s);
	return reply(s, resp);
}

int h_search_metric_names(struct region *region, struct request *req, struct response *resp)
{
	struct search s = { .key = "name", .label = STR(LABEL_NAME) };

	return search(region, req, resp, &s);
}

int h_search_label_names(struct region *region, struct request *req, struct response *resp)
{
	struct search s = { .key = "name" };

	return search(region, req, resp, &s);
}

int h_search_label_values(struct region *region, struct request *req, struct response *resp)
{
	struct search s = { .key = "value", .label = params_get(&req->params, "label") };

	if (s.label.len == 0)
		return reply_error(resp, REPLY_BAD_DATA, "argument label is missing");
	return search(region, req, resp, &s);
}
