/* SPDX-License-Identifier: BSD-2-Clause */
#pragma once

/*
 * A series as exposition text, and what becomes of names that the first version of that text does
 * not know (a.b, "with space"): left as they are, quoted, or with underscores instead.
 */

#include "userspace/base/buf.h"
#include "userspace/base/sample.h"

enum name_scheme {
	NAMES_RAW,         /* a.b{c d="x"}: what VictoriaMetrics writes and reads */
	NAMES_QUOTED,      /* {"a.b","c d"="x"}, every name so: text of version 1.0.0 */
	NAMES_UNDERSCORES, /* a_b{c_d="x"} */
};

/* Value of __name__; empty when there is none. */
struct str series_name(const struct label *labels, uint32_t n);

/* Labels in VictoriaMetrics' order: what names the job, then the instance, then the others. */
void series_text_put(struct buf *out, enum name_scheme scheme, const struct label *labels,
                     uint32_t n);
void series_text_put_value(struct buf *out, double v);
/* A name of a # TYPE or # HELP line. */
void series_text_put_name(struct buf *out, enum name_scheme scheme, struct str name);
