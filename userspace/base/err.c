/* SPDX-License-Identifier: BSD-2-Clause */
#include "userspace/base/err.h"

#include <stdarg.h>
#include <stdio.h>

static void err_vset(struct err *e, int code, int pos, const char *fmt, va_list ap)
	__attribute__((format(printf, 4, 0)));

static void err_vset(struct err *e, int code, int pos, const char *fmt, va_list ap)
{
	if (!e || e->code != 0)
		return;
	e->code = code;
	e->pos = pos;
	(void)vsnprintf(e->msg, sizeof(e->msg), fmt, ap);
}

int err_set(struct err *e, int code, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	err_vset(e, code, -1, fmt, ap);
	va_end(ap);
	return code;
}

int err_set_at(struct err *e, int code, int pos, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	err_vset(e, code, pos, fmt, ap);
	va_end(ap);
	return code;
}
