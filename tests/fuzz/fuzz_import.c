/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The three formats of imports that are not text of Prometheus: a line of JSON, a row of CSV, a
 * stream of VictoriaMetrics' blocks. What a block says, written again, says the same.
 */
#include <stdlib.h>

#include "api/handlers/csv_rows.h"
#include "userspace/wire/jsonline.h"
#include "userspace/wire/vm_native.h"

#define AGAIN_MAX \
	256u /* samples of a block that is written again: a few bytes may mean thousands */

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes);

static void read_json(struct str text)
{
	static struct jsonline l;
	struct err e = ERR_INIT;

	if (jsonline_parse(&l, text, &e) < 0 && e.msg[0] == '\0')
		abort();
}

/* The first line is the format. */
static void read_csv(struct str text)
{
	static struct csv_row row;
	struct arena arena = ARENA_INIT((size_t)1 << 20);
	struct csv_format format;
	struct str head, line;
	struct err e = ERR_INIT;

	(void)str_cut(text, '\n', &head, &line);
	if (csv_format_parse(head, &arena, &format, &e) == 0)
		(void)csv_row_read(&row, &format, line, 0, &e);
	arena_done(&arena);
}

static void write_again(const struct vm_native *v)
{
	static struct vm_native again;
	static int64_t ts[AGAIN_MAX];
	static double values[AGAIN_MAX];
	_cleanup_(buf_done) struct buf out = BUF_INIT;
	uint32_t at = 0;
	struct err e = ERR_INIT;

	if (v->n_samples > AGAIN_MAX)
		return;
	for (uint32_t i = 0; i < v->n_samples; i++) {
		ts[i] = v->samples[i].ts_ms;
		values[i] = v->samples[i].value;
	}
	vm_native_put_head(&out, INT64_MIN, INT64_MAX);
	while (at < v->n_samples)
		at += vm_native_put_block(&out, v->labels, v->n_labels, ts + at, values + at,
		                          v->n_samples - at);
	if (out.err < 0 || vm_native_begin(&again, buf_str(&out), &e) < 0)
		abort();
	for (at = 0; vm_native_next(&again, &e) == 0; at += again.n_samples) {
		for (uint32_t i = 0; i < again.n_samples; i++) {
			if (again.samples[i].ts_ms != ts[at + i] ||
			    double_bits(again.samples[i].value) != double_bits(values[at + i]))
				abort();
		}
	}
	if (at != v->n_samples)
		abort();
}

static void read_blocks(struct str stream)
{
	static struct vm_native v;
	struct err e = ERR_INIT;
	int r = vm_native_begin(&v, stream, &e);

	while (r == 0 || r == -EBADMSG) {
		r = vm_native_next(&v, &e);
		if (r == 0)
			write_again(&v);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes)
{
	struct str rest = { (const char *)data + 1, bytes - 1 };

	if (bytes == 0)
		return 0;
	if (data[0] == 'j')
		read_json(rest);
	else if (data[0] == 'c')
		read_csv(rest);
	else
		read_blocks(rest);
	return 0;
}
