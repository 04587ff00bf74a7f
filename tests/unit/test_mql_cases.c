/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Runs tests/mql/ *.test through a real store. The notation is that of Prometheus' promqltest:
 *
 *	clear                                   forgets all data
 *	load 15s
 *	  name{a="b"} 0+10x10 _ 5 stale -1x3    samples from time 0 on, one each interval
 *	eval instant at 10m rate(name[5m])
 *	  {a="b"} 0.5                           series in answer order
 *	eval range from 0 to 10m step 1m name
 *	  name{a="b"} 1 2 _ 4                   one value for each point, _ where there is none
 *	eval instant at 1m foo(
 *	  expect fail msg: unknown function     a part of the message
 *
 * Time 0 is BASE_MS. Expected values were recorded from VictoriaMetrics 1.145.
 */
#include "api/mql/mql.h"
#include "store/store.h"
#include "tests/unit/unit.h"
#include "userspace/base/file.h"
#include "userspace/base/num.h"

#include <dirent.h>
#include <errno.h>
#include <ftw.h>
#include <math.h>

#define BASE_MS                1704067200000ll /* 2024-01-01 */
#define TOLERANCE              1e-9
#define SAMPLES_MAX            4096
#define LABELS_OF_A_SERIES_MAX 16

struct world {
	struct store *store;
	char dir[64];
	const char *file;
	int line, evals;
};

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
	(void)st;
	(void)type;
	(void)ftw;
	return remove(path);
}

static void world_close(struct world *w)
{
	if (!w->store)
		return;
	store_close(w->store);
	w->store = NULL;
	(void)nftw(w->dir, remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

static void world_open(struct world *w)
{
	struct store_conf conf = { .dir = w->dir,
		                   .retention_ms = 100ll * 365 * 86400 * 1000,
		                   .wal_sync = STORE_SYNC_INTERVAL,
		                   .wal_sync_interval_ms = 1000 };
	struct err e = ERR_INIT;

	(void)snprintf(w->dir, sizeof(w->dir), "/tmp/test_mql_cases.XXXXXX");
	assert_non_null(mkdtemp(w->dir));
	if (store_open(&w->store, &conf, &e) < 0)
		fail_msg("store: %s", e.msg);
}

static int64_t duration_ms(struct world *w, struct str text)
{
	int64_t ms = 0;

	if (mql_parse_duration_ms(text, &ms) < 0)
		fail_msg("%s:%d: bad duration %.*s", w->file, w->line, STR_FMT(text));
	return ms;
}

static struct str take_word(struct str *s)
{
	struct str head;

	*s = str_trim(*s);
	(void)str_cut(*s, ' ', &head, s);
	return head;
}

/* "name{a="b"}" off the front of *@s, as labels that point into it. */
static uint32_t take_labels(struct world *w, struct str *s, struct label *labels)
{
	size_t n = 0;
	uint32_t count = 0;

	*s = str_trim(*s);
	while (n < s->len && s->p[n] != '{' && s->p[n] != ' ')
		n++;
	if (n > 0)
		labels[count++] = (struct label){ STR(LABEL_NAME), { s->p, n } };
	*s = str_skip(*s, n);
	if (s->len == 0 || s->p[0] != '{')
		return count;
	*s = str_skip(*s, 1);
	while (s->len > 0 && s->p[0] != '}') {
		struct str name, value;

		if (!str_cut(*s, '=', &name, s) || s->len < 2 ||
		    !str_cut(str_skip(*s, 1), '"', &value, s) || count == LABELS_OF_A_SERIES_MAX)
			fail_msg("%s:%d: bad labels", w->file, w->line);
		labels[count++] = (struct label){ name, value };
		if (s->len > 0 && s->p[0] == ',')
			*s = str_skip(*s, 1);
	}
	*s = str_skip(*s, 1);
	return count;
}

static double number(struct world *w, struct str text)
{
	double v = 0;

	if (num_parse_double(text, &v) < 0)
		fail_msg("%s:%d: bad number %.*s", w->file, w->line, STR_FMT(text));
	return v;
}

/*
 * One word of a load line: "5", "stale", "_", "_x3", "1x3" (again three times) or "0+10x3" (three
 * steps more). Sets *@ret_n of @values; a hole is a plain NaN.
 */
static void expand(struct world *w, struct str word, double *values, size_t *ret_n)
{
	struct str head, times, first = word, step = STR_NULL;
	bool repeated = str_cut(word, 'x', &head, &times);
	double v, d = 0, n = repeated ? number(w, times) : 0;

	if (repeated)
		first = head;
	for (size_t i = 1; i < first.len; i++) {
		if ((first.p[i] == '+' || first.p[i] == '-') && first.p[i - 1] != 'e') {
			step = str_skip(first, i);
			first.len = i;
		}
	}
	v = str_eqc(first, "_")       ? (double)NAN
	    : str_eqc(first, "stale") ? stale_mark()
	                              : number(w, first);
	if (step.len > 0)
		d = number(w, step);
	*ret_n = 0;
	for (double i = 0; i <= n && *ret_n < SAMPLES_MAX; i++)
		values[(*ret_n)++] = d == 0 ? v : v + i * d;
	if (repeated && str_eqc(first, "_"))
		(*ret_n)--; /* "_x3" is three holes */
}

static void load_line(struct world *w, struct str line, int64_t interval_ms)
{
	struct label labels[LABELS_OF_A_SERIES_MAX];
	struct sample samples[SAMPLES_MAX];
	static double values[SAMPLES_MAX];
	struct series_in in = { .labels = labels, .samples = samples };
	struct store_append_result res = { 0 };
	int64_t t_ms = BASE_MS;

	in.n_labels = take_labels(w, &line, labels);
	while (str_trim(line).len > 0) {
		size_t n;

		expand(w, take_word(&line), values, &n);
		for (size_t i = 0; i < n; i++, t_ms += interval_ms) {
			if (isnan(values[i]) && !is_stale_mark(values[i]))
				continue;
			assert_true(in.n_samples < SAMPLES_MAX);
			samples[in.n_samples++] = (struct sample){ t_ms, values[i] };
		}
	}
	if (store_append(w->store, STR("test"), &in, 1, &res) < 0)
		fail_msg("%s:%d: append failed", w->file, w->line);
}

/* --- checks ----------------------------------------------------------------------------------- */

static void print_labels(const struct mql_series *s, struct buf *out)
{
	uint32_t i = 0;

	if (s->n_labels > 0 && str_eqc(s->labels[0].name, LABEL_NAME))
		buf_put_str(out, s->labels[i++].value);
	buf_putc(out, '{');
	for (uint32_t first = i; i < s->n_labels; i++)
		buf_printf(out, "%s%.*s=\"%.*s\"", i > first ? "," : "", STR_FMT(s->labels[i].name),
		           STR_FMT(s->labels[i].value));
	buf_putc(out, '}');
}

static bool near(double a, double b)
{
	double m = fabs(a) > fabs(b) ? fabs(a) : fabs(b);

	return a == b || (isnan(a) && isnan(b)) || fabs(a - b) <= TOLERANCE * (m > 1e-3 ? m : 1e-3);
}

static void check_point(struct world *w, struct str want, int64_t t_ms, const struct mql_series *s,
                        uint32_t i)
{
	if (i >= s->n)
		fail_msg("%s:%d: expected %.*s, got only %u points", w->file, w->line,
		         STR_FMT(want), s->n);
	if (s->ts_ms[i] != t_ms || !near(number(w, want), s->values[i]))
		fail_msg("%s:%d: expected %.*s at %lld s, got %.17g at %lld s", w->file, w->line,
		         STR_FMT(want), (long long)(t_ms - BASE_MS) / 1000, s->values[i],
		         (long long)(s->ts_ms[i] - BASE_MS) / 1000);
}

/* The expected line: labels, then one word for each point of the grid. */
static void check_series(struct world *w, struct str line, const struct mql_series *s,
                         const struct mql_query *q)
{
	struct label labels[LABELS_OF_A_SERIES_MAX];
	struct mql_series want = { .labels = labels };
	struct buf x = BUF_INIT, y = BUF_INIT;
	int64_t t_ms = q->start_ms;
	uint32_t i = 0;

	want.n_labels = take_labels(w, &line, labels);
	print_labels(&want, &x);
	print_labels(s, &y);
	if (!str_eq(buf_str(&x), buf_str(&y)))
		fail_msg("%s:%d: expected %s, got %s", w->file, w->line, buf_cstr(&x),
		         buf_cstr(&y));
	while (str_trim(line).len > 0) {
		struct str word = take_word(&line);

		if (!s->gaps && str_eqc(word, "_")) { /* what is not there is not counted */
			t_ms += q->step_ms;
			continue;
		}
		if (!str_eqc(word, "_"))
			check_point(w, word, t_ms, s, i);
		else if (i < s->n && !isnan(s->values[i]))
			fail_msg("%s:%d: expected no value as point %u, got %.17g", w->file,
			         w->line, i, s->values[i]);
		i++;
		t_ms += q->step_ms;
	}
	if (i != s->n)
		fail_msg("%s:%d: %s: expected %u points, got %u", w->file, w->line, buf_cstr(&x), i,
		         s->n);
	buf_done(&x);
	buf_done(&y);
}

static struct mql_query eval_header(struct world *w, struct str line)
{
	struct mql_query q = { .org = STR("test"),
		               .dialect = strstr(w->file, "promql") ? MQL_PROMQL : MQL_METRICSQL,
		               .round_digits = MQL_ROUND_OFF,
		               .now_ms = BASE_MS + 100ll * 86400 * 1000 };
	struct str kind = take_word(&line);

	q.instant = str_eqc(kind, "instant");
	while (true) {
		struct str rest = line, word = take_word(&rest);

		if (str_eqc(word, "at") || str_eqc(word, "from"))
			q.start_ms = BASE_MS + duration_ms(w, take_word(&rest));
		else if (str_eqc(word, "to"))
			q.end_ms = BASE_MS + duration_ms(w, take_word(&rest));
		else if (str_eqc(word, "step"))
			q.step_ms = duration_ms(w, take_word(&rest));
		else if (str_eqc(word, "lookback"))
			q.lookback_ms = duration_ms(w, take_word(&rest));
		else
			break;
		line = rest;
	}
	q.text = str_trim(line);
	return q;
}

/* The lines behind an eval, up to one that is not indented. */
static struct str next_expected(struct world *w, struct str *text)
{
	struct str line, rest;

	(void)str_cut(*text, '\n', &line, &rest);
	if (line.len == 0 || (line.p[0] != ' ' && line.p[0] != '\t'))
		return STR_NULL;
	*text = rest;
	w->line++;
	return str_trim(line);
}

static void check_failure(struct world *w, const struct mql_query *q, struct str want)
{
	struct mql_result res;
	struct err e = ERR_INIT;
	struct str msg;
	int r = mql_eval(w->store, q, &res, &e);

	if (r == 0)
		mql_result_done(&res);
	msg = str_trim(want);
	if (r == 0 || !memmem(e.msg, strlen(e.msg), msg.p, msg.len))
		fail_msg("%s:%d: expected the failure \"%.*s\", got %d \"%s\"", w->file, w->line,
		         STR_FMT(msg), r, e.msg);
}

static void eval_line(struct world *w, struct str line, struct str *text)
{
	static const struct str failure = STR_INIT("expect fail msg:");
	struct mql_query q = eval_header(w, line);
	struct str first = next_expected(w, text);
	struct mql_result res;
	struct err e = ERR_INIT;
	size_t i = 0;

	w->evals++;
	if (str_starts(first, failure)) {
		check_failure(w, &q, str_skip(first, failure.len));
		return;
	}
	if (mql_eval(w->store, &q, &res, &e) < 0)
		fail_msg("%s:%d: %.*s: %s at %d", w->file, w->line, STR_FMT(q.text), e.msg, e.pos);
	for (; first.len > 0; first = next_expected(w, text), i++) {
		if (i >= res.n_series)
			fail_msg("%s:%d: only %zu series", w->file, w->line, res.n_series);
		check_series(w, first, &res.series[i], &q);
	}
	if (i != res.n_series)
		fail_msg("%s:%d: expected %zu series, got %zu", w->file, w->line, i, res.n_series);
	mql_result_done(&res);
}

static void run_text(struct world *w, struct str text)
{
	int64_t interval_ms = 0;

	world_open(w);
	while (text.len > 0) {
		struct str line, words;

		(void)str_cut(text, '\n', &line, &text);
		w->line++;
		words = str_trim(line);
		if (words.len == 0 || words.p[0] == '#')
			continue;
		if (line.p[0] == ' ' || line.p[0] == '\t') {
			load_line(w, words, interval_ms);
			continue;
		}
		struct str verb = take_word(&words);

		if (str_eqc(verb, "clear")) {
			world_close(w);
			world_open(w);
		} else if (str_eqc(verb, "load")) {
			interval_ms = duration_ms(w, str_trim(words));
		} else if (str_eqc(verb, "eval")) {
			eval_line(w, words, &text);
		} else {
			fail_msg("%s:%d: what is \"%.*s\"?", w->file, w->line, STR_FMT(verb));
		}
	}
	world_close(w);
}

static int is_test(const struct dirent *d)
{
	size_t n = strlen(d->d_name);

	return n > 5 && strcmp(d->d_name + n - 5, ".test") == 0;
}

static void test_files(void **state)
{
	struct dirent **files;
	int n = scandir("tests/mql", &files, is_test, alphasort);

	(void)state;
	assert_true(n > 0);
	for (int i = 0; i < n; i++) {
		_cleanup_(buf_done) struct buf text = BUF_INIT;
		struct world w = { .file = files[i]->d_name };
		char path[512];

		(void)snprintf(path, sizeof(path), "tests/mql/%s", files[i]->d_name);
		assert_int_equal(0, file_read(path, &text, 16 << 20));
		run_text(&w, buf_str(&text));
		unit_note("%s: %d evaluations", files[i]->d_name, w.evals);
		assert_true(w.evals > 0);
		free(files[i]);
	}
	free(files);
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(test_files) };

	return cmocka_run_group_tests(tests, NULL, NULL);
}
