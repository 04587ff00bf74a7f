/* SPDX-License-Identifier: BSD-2-Clause */
#include "userspace/host/proxy/sni.h"

#include <errno.h>
#include <stdbool.h>
#include <string.h>

#define RECORD_HEADER    5u
#define RECORD_HANDSHAKE 22
#define CLIENT_HELLO     1
#define MESSAGE_HEADER   4u
#define EXT_SERVER_NAME  0
#define NAME_HOST        0

/* What is left to read; a read behind the end makes it short, and the rest reads as zeroes. */
struct reader {
	const uint8_t *p;
	size_t left;
	bool is_short;
};

static const uint8_t *take(struct reader *r, size_t n)
{
	const uint8_t *p = r->p;

	if (n > r->left) {
		r->is_short = true;
		r->left = 0;
		return NULL;
	}
	r->p += n;
	r->left -= n;
	return p;
}

static size_t number(struct reader *r, size_t n_bytes)
{
	const uint8_t *p = take(r, n_bytes);
	size_t v = 0;

	for (size_t i = 0; p && i < n_bytes; i++)
		v = v << 8 | p[i];
	return v;
}

/* A vector with its length in front, as a reader of its own. */
static struct reader vector(struct reader *r, size_t n_bytes)
{
	size_t len = number(r, n_bytes);
	const uint8_t *p = take(r, len);

	return (struct reader){ p, p ? len : 0, p == NULL };
}

static bool is_whole(const uint8_t *message, size_t n)
{
	struct reader r = { message + 1, 3, false };

	return n >= MESSAGE_HEADER && n - MESSAGE_HEADER >= number(&r, 3);
}

/*
 * Joins the contents of handshake records in @message, until one message is whole: behind it early
 * data may follow. Returns how many bytes, or -EBADMSG when something else comes before.
 */
static long join(const uint8_t *stream, size_t bytes, uint8_t *message, size_t cap)
{
	struct reader r = { stream, bytes, false };
	size_t n = 0;

	while (r.left > 0 && !is_whole(message, n)) {
		size_t type = number(&r, 1), version = number(&r, 2), len = number(&r, 2);

		if (type != RECORD_HANDSHAKE || (!r.is_short && version >> 8 != 3))
			return -EBADMSG;
		if (r.is_short)
			break;
		len = len < r.left ? len : r.left;
		if (len > cap - n)
			return -EBADMSG;
		memcpy(message + n, take(&r, len), len);
		n += len;
	}
	return (long)n;
}

static int copy_name(struct reader name, char ret_name[SNI_NAME_CAP])
{
	if (name.left == 0 || name.left >= SNI_NAME_CAP || memchr(name.p, '\0', name.left))
		return -EBADMSG;
	memcpy(ret_name, name.p, name.left);
	ret_name[name.left] = '\0';
	return 0;
}

static int find_host(struct reader ext, char ret_name[SNI_NAME_CAP])
{
	struct reader list = vector(&ext, 2);

	while (list.left > 0) {
		size_t type = number(&list, 1);
		struct reader name = vector(&list, 2);

		if (list.is_short || name.is_short)
			return -EBADMSG;
		if (type == NAME_HOST)
			return copy_name(name, ret_name);
	}
	return ext.is_short ? -EBADMSG : -ENOENT;
}

static int find_extension(struct reader hello, char ret_name[SNI_NAME_CAP])
{
	struct reader exts;

	(void)take(&hello, 2 + 32); /* version, random */
	(void)vector(&hello, 1);    /* session */
	(void)vector(&hello, 2);    /* cipher suites */
	(void)vector(&hello, 1);    /* compression */
	if (hello.is_short)
		return -EBADMSG;
	if (hello.left == 0)
		return -ENOENT; /* as clients were before extensions */
	exts = vector(&hello, 2);
	while (exts.left > 0) {
		size_t type = number(&exts, 2);
		struct reader ext = vector(&exts, 2);

		if (exts.is_short || ext.is_short)
			return -EBADMSG;
		if (type == EXT_SERVER_NAME)
			return find_host(ext, ret_name);
	}
	return hello.is_short || exts.is_short ? -EBADMSG : -ENOENT;
}

int sni_parse(const uint8_t *stream, size_t bytes, char ret_name[SNI_NAME_CAP])
{
	uint8_t message[SNI_STREAM_BYTES];
	struct reader r = { message, 0, false };
	long n = join(stream, bytes, message, sizeof(message));
	size_t type, len;

	if (n < 0)
		return (int)n;
	if ((size_t)n < MESSAGE_HEADER)
		return n > 0 && message[0] != CLIENT_HELLO ? -EBADMSG : -EAGAIN;
	r.left = (size_t)n;
	type = number(&r, 1);
	len = number(&r, 3);
	if (type != CLIENT_HELLO || len > sizeof(message) - MESSAGE_HEADER)
		return -EBADMSG;
	if (len > r.left)
		return -EAGAIN;
	r.left = len;
	return find_extension(r, ret_name);
}
