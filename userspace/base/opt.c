/* SPDX-License-Identifier: BSD-2-Clause */
#include "userspace/base/opt.h"

#include <errno.h>
#include <string.h>

#include "userspace/base/str.h"

#define HELP_COLUMNS   80
#define HELP_WORDS_MIN 20

static const struct opt_row *find(const struct opt_row *rows, size_t n, struct str name)
{
	for (size_t i = 0; i < n; i++) {
		if (str_eqc(name, rows[i].name))
			return &rows[i];
	}
	return NULL;
}

static int store_value(const struct opt_row *row, const char *value, void *into, struct err *e)
{
	void *field = (char *)into + row->offset;

	switch (row->type) {
	case OPT_FLAG:
		*(bool *)field = true;
		return 0;
	case OPT_STRING:
		*(const char **)field = value;
		return 0;
	case OPT_STRINGS: {
		struct opt_strings *list = field;

		if (list->n == OPT_STRINGS_MAX)
			return err_set(e, -EINVAL, "--%s is given more than %d times", row->name,
			               OPT_STRINGS_MAX);
		list->v[list->n++] = value;
		return 0;
	}
	}
	return -EINVAL;
}

/* One argument, and the one behind it when the option takes its value from there. */
static int parse_one(const struct opt_row *rows, size_t n, char **argv, int *i, void *into,
                     struct err *e)
{
	const char *arg = argv[*i];
	struct str name, value;

	if (strncmp(arg, "--", 2) != 0 || arg[2] == '\0')
		return err_set(e, -EINVAL, "unexpected argument '%s' (see --help)", arg);
	bool has_value = str_cut(str_from(arg + 2), '=', &name, &value);
	const struct opt_row *row = find(rows, n, name);

	if (!row)
		return err_set(e, -EINVAL, "unknown option --%.*s (see --help)", STR_FMT(name));
	if (row->type == OPT_FLAG) {
		if (has_value)
			return err_set(e, -EINVAL, "option --%s takes no value", row->name);
		return store_value(row, NULL, into, e);
	}
	/* A value that looks like an option is a forgotten value; --name=--x says it is meant. */
	if (!has_value && (!argv[*i + 1] || strncmp(argv[*i + 1], "--", 2) == 0))
		return err_set(e, -EINVAL, "option --%s needs a value: --%s %s", row->name,
		               row->name, row->arg);
	return store_value(row, has_value ? value.p : argv[++*i], into, e);
}

int opt_parse(const struct opt_row *rows, size_t n, int argc, char **argv, void *into,
              struct err *e)
{
	for (int i = 1; i < argc; i++) {
		int r = parse_one(rows, n, argv, &i, into, e);

		if (r < 0)
			return r;
	}
	return 0;
}

static size_t left_width(const struct opt_row *row)
{
	return strlen("  --") + strlen(row->name) + (row->arg ? 1 + strlen(row->arg) : 0);
}

/* @text from column @from on, broken at blanks before column HELP_COLUMNS. */
static void put_wrapped(struct buf *out, const char *text, size_t from)
{
	size_t room = from + HELP_WORDS_MIN < HELP_COLUMNS ? HELP_COLUMNS - from : HELP_WORDS_MIN;

	while (strlen(text) > room) {
		size_t n = room;

		while (n > 0 && text[n] != ' ')
			n--;
		if (n == 0)
			break; /* one long word stays whole */
		buf_put(out, text, n);
		buf_printf(out, "\n%*s", (int)from, "");
		text += n + 1;
	}
	buf_puts(out, text);
	buf_putc(out, '\n');
}

void opt_help(const char *program, const char *about, const struct opt_row *rows, size_t n,
              struct buf *out)
{
	size_t width = 0;

	for (size_t i = 0; i < n; i++)
		width = left_width(&rows[i]) > width ? left_width(&rows[i]) : width;
	buf_printf(out, "Usage: %s [options]\n", program);
	put_wrapped(out, about, 0);
	buf_putc(out, '\n');
	for (size_t i = 0; i < n; i++) {
		buf_printf(out, "  --%s%s%s", rows[i].name, rows[i].arg ? " " : "",
		           rows[i].arg ? rows[i].arg : "");
		buf_printf(out, "%*s", (int)(width - left_width(&rows[i]) + 2), "");
		put_wrapped(out, rows[i].help, width + 2);
	}
}
