/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The tables that the programs are built from, as Markdown: docs_tables NAME prints one of them,
 * scripts/gen-docs makes pages of it. Whatever has a row cannot be missing in a manual.
 */
#include <stdio.h>
#include <string.h>

#include "api/mql/fn.h"
#include "api/region_conf.h"
#include "api/route.h"
#include "userspace/base/buf.h"
#include "userspace/base/opt.h"
#include "userspace/base/util.h"
#include "userspace/host/catalog.h"
#include "userspace/host/host_conf.h"

static void host_settings(struct buf *out)
{
	conf_document(&host_conf_schema, out);
}

static void region_settings(struct buf *out)
{
	conf_document(&region_conf_schema, out);
}

static void series(struct buf *out)
{
	buf_puts(out, "| series | type | labels | source | meaning |\n|---|---|---|---|---|\n");
	for (size_t i = 0; i < SERIES_N; i++) {
		const struct series_row *row = &catalog[i];
		struct str rest = str_from(row->labels), label;

		if (row->part > SERIES_BUCKET)
			continue; /* the three parts of a histogram are one row */
		buf_printf(out, "| `%.*s` | %s | ", STR_FMT(catalog_family((enum series_id)i)),
		           series_type_name(row->type));
		for (const char *comma = ""; rest.len > 0; comma = ", ") {
			(void)str_cut(rest, ',', &label, &rest);
			buf_printf(out, "%s`%.*s`", comma, STR_FMT(label));
		}
		buf_printf(out, " | %s | ", row->source);
		buf_put_cell(out, row->help);
		buf_puts(out, " |\n");
	}
}

static void put_arguments(struct buf *out, const struct fn *f)
{
	if (f->args_max == FN_VARIADIC)
		buf_printf(out, "%u or more", f->args_min);
	else if (f->args_min == f->args_max)
		buf_printf(out, "%u", f->args_min);
	else
		buf_printf(out, "%u to %u", f->args_min, f->args_max);
}

static void put_functions(struct buf *out, unsigned kinds)
{
	size_t n;
	const struct fn *const *all = fn_all(&n);

	buf_puts(out, "| function | arguments | keeps names | meaning |\n|---|---|---|---|\n");
	for (size_t i = 0; i < n; i++) {
		const struct fn *f = all[i];

		if (!(kinds & 1u << f->kind))
			continue;
		buf_printf(out, "| `%s` | ", f->name);
		put_arguments(out, f);
		buf_printf(out, " | %s | ", f->flags & FN_KEEP_NAME ? "yes" : "");
		buf_put_cell(out, f->sentence);
		buf_puts(out, " |\n");
	}
}

static void rollups(struct buf *out)
{
	put_functions(out, 1u << FN_ROLLUP);
}

static void transforms(struct buf *out)
{
	put_functions(out, 1u << FN_MATH | 1u << FN_TRANSFORM);
}

static void aggregates(struct buf *out)
{
	put_functions(out, 1u << FN_AGGR);
}

static const char *scope_of(enum need need)
{
	static const char *const words[] = { [NEED_NOTHING] = "none needed",
		                             [NEED_READ] = "`read`",
		                             [NEED_WRITE] = "`write` or `host`",
		                             [NEED_ADMIN] = "`admin`",
		                             [NEED_OPERATOR] = "`admin` over all" };

	return words[need];
}

static void routes_table(struct buf *out)
{
	static const char *const chosen_by[] = {
		[TAKES_NONE] = "", [TAKES_QUERY] = "`query`", [TAKES_MATCH] = "`match[]`"
	};

	buf_puts(out, "| path | methods | scope | series by | what it answers |\n"
	              "|---|---|---|---|---|\n");
	for (size_t i = 0; i < routes_n; i++) {
		const struct route *r = &routes[i];

		buf_puts(out, "| `");
		for (const char *p = r->path; *p != '\0'; p++) {
			if (*p == '*')
				buf_puts(out, "NAME");
			else
				buf_putc(out, *p);
		}
		buf_printf(out, "` | %s | %s | %s | ", route_allow(r->methods), scope_of(r->need),
		           chosen_by[r->takes]);
		buf_put_cell(out, r->summary);
		buf_puts(out, " |\n");
	}
}

static const struct {
	const char *name;
	void (*put)(struct buf *out);
} tables[] = {
	{ "host-settings", host_settings },
	{ "region-settings", region_settings },
	{ "routes", routes_table },
	{ "series", series },
	{ "rollups", rollups },
	{ "transforms", transforms },
	{ "aggregates", aggregates },
};

int main(int argc, char **argv)
{
	struct buf out = BUF_INIT;

	for (size_t i = 0; argc == 2 && i < ARRAY_SIZE(tables); i++) {
		if (strcmp(tables[i].name, argv[1]) != 0)
			continue;
		tables[i].put(&out);
		bool whole = out.err == 0 && fwrite(out.p, 1, out.len, stdout) == out.len;

		buf_done(&out);
		return whole ? EXIT_DONE : EXIT_RUNTIME;
	}
	(void)fprintf(stderr, "docs_tables: expected one of:");
	for (size_t i = 0; i < ARRAY_SIZE(tables); i++)
		(void)fprintf(stderr, " %s", tables[i].name);
	(void)fputc('\n', stderr);
	return EXIT_USAGE;
}
