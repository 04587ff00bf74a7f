/* SPDX-License-Identifier: BSD-2-Clause */
#include "userspace/base/opt.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "userspace/base/file.h"
#include "userspace/base/str.h"

#define HELP_COLUMNS   80
#define HELP_WORDS_MIN 20

static const struct opt_row *find(const struct opt_row *rows, size_t n, struct str name)
{
	for (size_t i = 0; i < n; i++) {
		if (rows[i].name && str_eqc(name, rows[i].name))
			return &rows[i];
	}
	return NULL;
}

static const struct opt_row *find_letter(const struct opt_row *rows, size_t n, const char *arg)
{
	for (size_t i = 0; i < n; i++) {
		if (rows[i].letter && arg[0] == '-' && arg[1] == rows[i].letter && arg[2] == '\0')
			return &rows[i];
	}
	return NULL;
}

static const struct opt_row *rest_row(const struct opt_row *rows, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		if (rows[i].type == OPT_REST)
			return &rows[i];
	}
	return NULL;
}

static int append(const struct opt_row *row, struct opt_strings *list, const char *value,
                  struct err *e)
{
	if (list->n == OPT_STRINGS_MAX)
		return err_set(e, -EINVAL, "%s%s is given more than %d times",
		               row->name ? "--" : "", row->name ? row->name : row->arg,
		               OPT_STRINGS_MAX);
	list->v[list->n++] = value;
	return 0;
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
	case OPT_STRINGS:
	case OPT_REST:
		return append(row, field, value, e);
	}
	return -EINVAL;
}

/* Stores what @row takes: nothing, @value, or the argument behind *@i. */
static int take(const struct opt_row *row, bool has_value, const char *value, char **argv, int *i,
                void *into, struct err *e)
{
	if (row->type == OPT_FLAG) {
		if (has_value)
			return err_set(e, -EINVAL, "option --%s takes no value", row->name);
		return store_value(row, NULL, into, e);
	}
	/* A value that looks like an option is a forgotten value; --name=--x says it is meant. */
	if (!has_value && (!argv[*i + 1] || strncmp(argv[*i + 1], "--", 2) == 0))
		return err_set(e, -EINVAL, "option --%s needs a value: --%s %s", row->name,
		               row->name, row->arg);
	if (!has_value)
		value = argv[++*i];
	if (value[0] == '\0')
		return err_set(e, -EINVAL, "option --%s: its value is empty", row->name);
	return store_value(row, value, into, e);
}

/* One argument, and the one behind it when the option takes its value from there. */
static int parse_one(const struct opt_row *rows, size_t n, char **argv, int *i, void *into,
                     struct err *e)
{
	const struct opt_row *row = find_letter(rows, n, argv[*i]);
	const char *arg = argv[*i];
	struct str name, value;

	if (row)
		return take(row, false, NULL, argv, i, into, e);
	if (strncmp(arg, "--", 2) != 0 || arg[2] == '\0') {
		row = rest_row(rows, n);
		if (!row || (arg[0] == '-' && arg[1] != '\0'))
			return err_set(e, -EINVAL, "unexpected argument '%s' (see --help)", arg);
		return store_value(row, arg, into, e);
	}
	bool has_value = str_cut(str_from(arg + 2), '=', &name, &value);

	row = find(rows, n, name);
	if (!row)
		return err_set(e, -EINVAL, "unknown option --%.*s (see --help)", STR_FMT(name));
	return take(row, has_value, value.p, argv, i, into, e);
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

/* "  --output, -o FILE" */
static size_t left_width(const struct opt_row *row)
{
	if (!row->name)
		return strlen("  ") + strlen(row->arg);
	return strlen("  --") + strlen(row->name) + (row->letter ? strlen(", -o") : 0) +
	       (row->arg ? 1 + strlen(row->arg) : 0);
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

static void put_row(struct buf *out, const struct opt_row *row, size_t width)
{
	buf_printf(out, "  %s%s", row->name ? "--" : "", row->name ? row->name : "");
	if (row->letter)
		buf_printf(out, ", -%c", row->letter);
	buf_printf(out, "%s%s", row->name && row->arg ? " " : "", row->arg ? row->arg : "");
	buf_printf(out, "%*s", (int)(width - left_width(row) + 2), "");
	put_wrapped(out, row->help, width + 2);
}

void opt_help(const char *program, const char *about, const struct opt_row *rows, size_t n,
              struct buf *out)
{
	const struct opt_row *rest = rest_row(rows, n);
	size_t width = 0;

	for (size_t i = 0; i < n; i++)
		width = left_width(&rows[i]) > width ? left_width(&rows[i]) : width;
	buf_printf(out, "Usage: %s [options]%s%s\n", program, rest ? " " : "",
	           rest ? rest->arg : "");
	put_wrapped(out, about, 0);
	buf_putc(out, '\n');
	for (size_t i = 0; i < n; i++)
		put_row(out, &rows[i], width);
}

enum exit_code opt_print(struct buf *text, struct err *e)
{
	int r = text->err < 0 ? text->err : file_write_fd(STDOUT_FILENO, text->p, text->len);

	buf_done(text);
	if (r == 0)
		return EXIT_DONE;
	(void)err_set(e, r, "standard output: %s", strerror(-r));
	return EXIT_RUNTIME;
}
