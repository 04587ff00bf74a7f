/* SPDX-License-Identifier: BSD-2-Clause */
#pragma once

/*
 * Command lines: one row for each long option ("--data DIR" or "--data=DIR"); a letter ("-o FILE")
 * besides is the exception.
 * A usage error is one specific line; the caller prints it on stderr and exits with EXIT_USAGE.
 */

#include <stdbool.h>
#include <stddef.h>

#include "userspace/base/buf.h"
#include "userspace/base/err.h"

/* Exit codes of every program of ours (LSB names, understood by systemd units). */
enum exit_code {
	EXIT_DONE = 0,
	EXIT_RUNTIME = 1,   /* run-time failure */
	EXIT_USAGE = 2,     /* bad arguments */
	EXIT_PRIVILEGE = 4, /* missing privilege or kernel feature */
	EXIT_CONFIG = 6,    /* missing or bad configuration */
};

enum opt_type {
	OPT_FLAG,    /* bool */
	OPT_STRING,  /* const char *, points into argv */
	OPT_STRINGS, /* struct opt_strings, may be given several times */
	OPT_REST,    /* struct opt_strings: what is no option; at most one such row, without name */
};

#define OPT_STRINGS_MAX 32
struct opt_strings {
	const char *v[OPT_STRINGS_MAX];
	size_t n;
};

struct opt_row {
	const char *name; /* without dashes; NULL for OPT_REST */
	const char *arg;  /* placeholder for help: "DIR"; NULL for flags */
	enum opt_type type;
	size_t offset;
	const char *help; /* half a sentence */
	char letter;      /* "-o", where the world knows it by that; 0 = none */
};

/* A row whose value goes into the member @into of @into_type. */
#define OPT_ROW(into_type, row_name, placeholder, kind, into, text)           \
	{                                                                     \
		.name = (row_name), .arg = (placeholder), .type = OPT_##kind, \
		.offset = offsetof(into_type, into), .help = (text)           \
	}

/*
 * Fills @into (zeroed by the caller). Without an OPT_REST row, arguments that are no options are
 * refused, and so is an option's value that is empty: a variable that was not set, as a rule.
 * -EINVAL with @e filled.
 */
int opt_parse(const struct opt_row *rows, size_t n, int argc, char **argv, void *into,
              struct err *e);

/*
 * "Usage: program [options] REST", @about, then one aligned line for each option; fits 80
 * columns.
 */
void opt_help(const char *program, const char *about, const struct opt_row *rows, size_t n,
              struct buf *out);

/*
 * opt_print() - what a program was asked to say, on its standard output.
 *
 * Takes the text over. EXIT_DONE, or EXIT_RUNTIME with @e filled: who asked for a settings file and
 * got half of one, because the disk was full, must be told.
 */
enum exit_code opt_print(struct buf *text, struct err *e);
