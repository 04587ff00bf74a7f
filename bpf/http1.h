/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#pragma once

/*
 * HTTP/1 on one direction of a connection, found out from segments as they pass: where a message
 * begins, what its head says about its length, and where it ends.
 *
 * Shape    h1_step() works off at most one message and says what it met (enum h1_met); the caller
 *          calls it until nothing of the segment is left. Positions are those of the stream (TCP's
 *          sequence numbers), so a body is skipped without being looked at, whatever segments it
 *          comes in.
 * Lines    A head is looked at line by line, eight bytes at a time. What is not a whole line yet
 *          waits in the window for the next segment; of a line longer than that only its beginning
 *          is looked at.
 * Repeats  Most messages of a connection are like the one before. A request of the same bytes means
 *          the same; an answer whose length stands in the same place of a head of the same form,
 *          and which then ends exactly where the segment does, is what it was before. Neither is
 *          read line by line again.
 * Trust    The bytes are foreign. Every index is checked against the window, every loop is bounded,
 *          and what is no HTTP ends in H1_LOST, from where h1_resync() leads back.
 *
 * For the kernel side and for user space. Whoever includes this defines before:
 *	struct seg                      with the members seq (of its first byte) and len
 *	seg_load(seg, at, dst, n, max)  n of its bytes, 1 to the constant max; 0 on success
 *	h1_on_host(ctx, d)              the value of Host is window[host_at .. + host_len)
 *	H1_RULES                        a pointer to struct h1_rules
 *	H1_SUBPROGRAM                   static; nothing for the kernel, which then checks it apart
 */

#include <linux/types.h>

#include "bpf/h1_rules.h"

#define H1_KEEP      56u  /* of an incomplete line */
#define H1_LOAD      176u /* at once */
#define H1_WINDOW    (H1_KEEP + H1_LOAD)
#define H1_SLACK     32u /* what may be read behind the end */
#define H1_LOOKS     96u /* words and lines of one step */
#define H1_NO_LENGTH (~0ull)
#define H1_STRETCH   (1u << 30) /* of a body, skipped at once: positions are compared modulo 2^32 */

enum h1_phase {
	H1_START,       /* before a message, or in its first line */
	H1_HEAD,        /* in the lines behind it */
	H1_BODY,        /* of a known length */
	H1_CHUNK,       /* in the line that says how long a chunk is */
	H1_CHUNK_BODY,  /* in a chunk and the line end behind it */
	H1_TRAILER,     /* in the lines behind the last chunk */
	H1_UNTIL_CLOSE, /* of a body that ends with the connection */
	H1_TUNNEL,      /* no HTTP any more */
	H1_LOST,        /* not known where in a message we are */
};

enum h1_met {
	H1_MET_BEGIN = 1 << 0,   /* the first byte of a message */
	H1_MET_HEAD = 1 << 1,    /* the end of its head */
	H1_MET_END = 1 << 2,     /* the end of it */
	H1_MET_INTERIM = 1 << 3, /* the end of a 1xx head, behind which the real one comes */
	H1_MET_TUNNEL = 1 << 4,  /* a head behind which there is no HTTP */
	H1_MET_BAD = 1 << 5,     /* no HTTP */
	H1_MORE = 1 << 6,        /* nothing of this segment is left for us */
};

enum h1_flags {
	H1_IN_LINE = 1 << 0, /* the line has been looked at; wait for its end */
	H1_CHUNKED = 1 << 1,
	H1_BEGUN = 1 << 2,
	H1_IS_HEAD = 1 << 3,    /* the request's method is HEAD: its answer has no body */
	H1_IS_CONNECT = 1 << 4, /* CONNECT: behind a good answer there is a tunnel */
	H1_IS_CHECK = 1 << 5,   /* by path or user agent */
	H1_CLOSES = 1 << 6,     /* nothing that comes behind it is looked at by its sender */
};

/* What the last message was like. */
union h1_before {
	struct {
		__u64 hash; /* of its bytes; 0: not known */
		__u32 len, host;
		__u8 flags;
	} request;
	struct {
		__u64 first[2];  /* its first sixteen bytes */
		__u16 number_at; /* where its length stands; 0: nowhere */
		__u16 rest;      /* of the head, behind the number */
		__u16 status;
	} response;
};

struct h1_dir {
	__u64 left;    /* of the body, behind the stretch that ends at @next */
	__u64 length;  /* as the head says; H1_NO_LENGTH */
	__u32 next;    /* position of the next byte to load, or of the end of what is skipped */
	__u32 have;    /* bytes of an incomplete line, in the window */
	__u32 scanned; /* of the window hold no further line feed */
	__u32 line;    /* where the line begins in the window that is being looked at */
	__u32 host;    /* hash of Host; 0: none */
	__u16 host_at, host_len;
	__u16 number_at; /* where the length stands in the window */
	__u16 status;    /* of a response */
	__u8 phase;      /* enum h1_phase */
	__u8 flags;      /* enum h1_flags */
	union h1_before before;
	__u8 window[H1_WINDOW + H1_SLACK];
};

/* ---- words --------------------------------------------------------------------------------- */

#define H1_WORD(a, b, c, d, e, f, g, h)                                                          \
	((__u64)(a) | (__u64)(b) << 8 | (__u64)(c) << 16 | (__u64)(d) << 24 | (__u64)(e) << 32 | \
	 (__u64)(f) << 40 | (__u64)(g) << 48 | (__u64)(h) << 56)
#define H1_BYTES(x) (0x0101010101010101ull * (x))
#define H1_LOWER    H1_BYTES(0x20) /* or-ed: letters become lower case, signs stay */

#ifdef __bpf__
typedef __u64
	h1_word_t; /* the kernel's machine reads words at any address; the compiler doubts it */
#else
typedef __u64 h1_word_t __attribute__((aligned(1), may_alias));
#endif

/* What is compared and what is used as an index must be one register for the kernel's verifier. */
#define h1_opaque(x) asm volatile("" : "+r"(x))

static __always_inline __u64 h1_word(const __u8 *p)
{
	return *(const h1_word_t *)p;
}

/* 0x80 in each byte of @word that equals @c; bytes above the first such one may be wrong. */
static __always_inline __u64 h1_find(__u64 word, __u8 c)
{
	__u64 x = word ^ H1_BYTES(c);

	return (x - H1_BYTES(0x01)) & ~x & H1_BYTES(0x80);
}

/* The index of the first byte that @found marks; @found is not 0. */
static __always_inline __u32 h1_first(__u64 found)
{
	__u64 below = ((found & -found) >> 7) - 1; /* all bits of the bytes before it */

	return (__u32)(((below & H1_BYTES(0x01)) * H1_BYTES(0x01)) >> 56);
}

/* ---- numbers ------------------------------------------------------------------------------- */

/* How many of the first eight bytes are decimal digits. */
static __always_inline __u32 h1_n_digits(__u64 word)
{
	__u64 x = word ^ H1_BYTES(0x30); /* digits are now 0 to 9 */
	__u64 other = ((x & H1_BYTES(0x7f)) + H1_BYTES(0x76)) | x;

	other &= H1_BYTES(0x80);
	return other ? h1_first(other) : 8;
}

/* The value of the first @n (1 to 8) bytes, which are digits. */
static __always_inline __u64 h1_digits(__u64 word, __u32 n)
{
	__u64 v = (word ^ H1_BYTES(0x30)) << (64 - 8 * n);

	v = (v * 10 + (v >> 8)) & 0x00ff00ff00ff00ffull;
	v = (v * 100 + (v >> 16)) & 0x0000ffff0000ffffull;
	return (v * 10000 + (v >> 32)) & 0xffffffffull;
}

/* Up to sixteen digits; more, or none, is no length that anybody has. */
static __always_inline __u64 h1_number(const __u8 *p)
{
	__u64 word = h1_word(p), high;
	__u32 n = h1_n_digits(word);

	if (n == 0)
		return H1_NO_LENGTH;
	high = h1_digits(word, n);
	if (n < 8)
		return high;
	word = h1_word(p + 8);
	n = h1_n_digits(word);
	if (n == 0)
		return high;
	if (n == 8)
		return H1_NO_LENGTH;
	for (__u32 i = 0; i < 8; i++)
		high *= i < n ? 10 : 1;
	return high + h1_digits(word, n);
}

/* ---- first lines --------------------------------------------------------------------------- */

static __always_inline int h1_is_response(__u64 word)
{
	return (word & 0x00ffffffffffffffull) == H1_WORD('H', 'T', 'T', 'P', '/', '1', '.', 0);
}

/*
 * Length of the method at the beginning of a line, 0: none. Longer ones than eight are not in use.
 */
static __always_inline __u32 h1_method(const __u8 *p)
{
	__u64 word = h1_word(p), space = h1_find(word, ' '), other;
	__u32 n = space ? h1_first(space) : 8;

	if (n == 0 || (n == 8 && p[8] != ' '))
		return 0;
	/*
	 * 'A' to 'Z' become 0 to 25: nothing above 0x1f, nor with 6 more. Others stay or become it.
	 */
	other = (word ^ H1_BYTES(0x40)) - H1_BYTES(0x01);
	other = (other | (other + H1_BYTES(0x06))) & H1_BYTES(0xe0);
	if (n < 8)
		other &= (1ull << (8 * n)) - 1;
	return other ? 0 : n;
}

/* The same of a beginning that may be cut short: whether it can become one. */
static __always_inline int h1_may_be_request(const __u8 *p)
{
	return p[0] >= 'A' && p[0] <= 'Z';
}

static __always_inline int h1_rule_holds(const struct h1_rule *r, const __u8 *p)
{
	__u64 differ = 0;

	for (int i = 0; i < H1_RULE_CAP / 8; i++)
		differ |= (h1_word(p + 8 * i) & r->mask[i]) ^ r->text[i];
	return differ == 0;
}

/* At the end of the window there is no room for a rule; what stands there is none of a check. */
#define H1_RULE_AT_MAX (H1_WINDOW + H1_SLACK - 8 - H1_RULE_CAP)

/* @at: of the path. */
static __always_inline int h1_is_check_path(const struct h1_dir *d, __u32 at)
{
	h1_opaque(at);
	if (at > H1_RULE_AT_MAX)
		return 0;
	for (__u32 i = 0; i < H1_RULES_MAX; i++) {
		const struct h1_rule *r = &H1_RULES->paths[i];
		const __u8 *p = d->window + at;

		if (i >= H1_RULES->n_paths)
			break;
		if (r->len < H1_RULE_CAP && h1_rule_holds(r, p) &&
		    (p[r->len] == ' ' || p[r->len] == '?'))
			return 1;
	}
	return 0;
}

/* @at: of what follows the colon. */
static __always_inline int h1_is_check_agent(const struct h1_dir *d, __u32 at)
{
	h1_opaque(at);
	if (at > H1_RULE_AT_MAX)
		return 0;
	if (d->window[at] == ' ' || d->window[at] == '\t')
		at++;
	for (__u32 i = 0; i < H1_RULES_MAX; i++) {
		if (i >= H1_RULES->n_agents)
			break;
		if (h1_rule_holds(&H1_RULES->agents[i], d->window + at))
			return 1;
	}
	return 0;
}

static __always_inline __u32 h1_request_line(struct h1_dir *d, __u32 at)
{
	const __u8 *p = d->window + at;
	__u32 n = h1_method(p);
	__u64 word = h1_word(p);

	h1_opaque(at);
	if (n == 0)
		return H1_MET_BAD;
	if ((word & 0xffffffffffull) == H1_WORD('H', 'E', 'A', 'D', ' ', 0, 0, 0))
		d->flags |= H1_IS_HEAD;
	if (word == H1_WORD('C', 'O', 'N', 'N', 'E', 'C', 'T', ' '))
		d->flags |= H1_IS_CONNECT;
	if (H1_RULES->n_paths > 0 && h1_is_check_path(d, at + n + 1))
		d->flags |= H1_IS_CHECK;
	return 0;
}

static __always_inline __u32 h1_status_line(struct h1_dir *d, const __u8 *p)
{
	__u32 a = p[9] - '0', b = p[10] - '0', c = p[11] - '0';

	if (!h1_is_response(h1_word(p)) || p[8] != ' ' || a > 9 || b > 9 || c > 9)
		return H1_MET_BAD;
	d->status = (__u16)(a * 100 + b * 10 + c);
	return 0;
}

/* ---- header fields ------------------------------------------------------------------------- */

/* Equal for equal names in any case, and known to nobody else. 0 is no hash. */
static __always_inline __u32 h1_hash_host(const struct h1_dir *d, __u32 at, __u32 end)
{
	__u64 hash = 0x9e3779b97f4a7c15ull ^ (end - at);

	for (__u32 i = 0; i < H1_KEEP / 8; i++, at += 8) {
		__u64 word;

		h1_opaque(at);
		if (at >= end || at >= H1_WINDOW)
			break;
		word = h1_word(d->window + at) | H1_LOWER;
		if (end - at < 8)
			word &= (1ull << (8 * (end - at))) - 1;
		hash = (hash ^ word) * 0xff51afd7ed558ccdull;
		hash ^= hash >> 32;
	}
	return (__u32)hash | 1;
}

static __always_inline void h1_note_host(struct h1_dir *d, __u32 at, __u32 end)
{
	at += 5; /* "Host:" */
	if (d->window[at] == ' ' || d->window[at] == '\t')
		at++;
	if (at >= end)
		return;
	d->host = h1_hash_host(d, at, end);
	d->host_at = (__u16)at;
	d->host_len = (__u16)(end - at);
}

static __always_inline void h1_note_length(struct h1_dir *d, __u32 at)
{
	at += 15; /* "Content-Length:" */
	if (d->window[at] == ' ' || d->window[at] == '\t')
		at++;
	d->length = h1_number(d->window + at);
	d->number_at = (__u16)at;
}

static __always_inline void h1_response_field(struct h1_dir *d, __u32 at, __u32 end)
{
	const __u8 *p = d->window + at;
	__u64 a = h1_word(p) | H1_LOWER, b = h1_word(p + 8) | H1_LOWER;

	h1_opaque(at);
	if (at > H1_WINDOW - 16)
		return; /* such a line does not fit behind that */
	if (a == H1_WORD('c', 'o', 'n', 't', 'e', 'n', 't', '-') &&
	    (b & 0x00ffffffffffffffull) == H1_WORD('l', 'e', 'n', 'g', 't', 'h', ':', 0))
		h1_note_length(d, at);
	/* It counts when "chunked" is the last of the codings. */
	if (a == H1_WORD('t', 'r', 'a', 'n', 's', 'f', 'e', 'r') &&
	    b == H1_WORD('-', 'e', 'n', 'c', 'o', 'd', 'i', 'n') && end >= 8 &&
	    (h1_word(d->window + end - 7) << 8 | H1_LOWER) ==
	            H1_WORD(' ', 'c', 'h', 'u', 'n', 'k', 'e', 'd'))
		d->flags |= H1_CHUNKED;
}

static __always_inline void h1_request_field(struct h1_dir *d, __u32 at, __u32 end)
{
	const __u8 *p = d->window + at;
	__u64 a = h1_word(p) | H1_LOWER;

	h1_opaque(at);
	if ((a & 0xffffffffffull) == H1_WORD('h', 'o', 's', 't', ':', 0, 0, 0))
		h1_note_host(d, at, end);
	else if (H1_RULES->n_agents > 0 && a == H1_WORD('u', 's', 'e', 'r', '-', 'a', 'g', 'e') &&
	         ((h1_word(p + 8) | H1_LOWER) & 0xffffffull) ==
	                 H1_WORD('n', 't', ':', 0, 0, 0, 0, 0) &&
	         h1_is_check_agent(d, at + 11))
		d->flags |= H1_IS_CHECK;
	else
		h1_response_field(d, at, end);
}

/* Whether a line may be one of the above: told without a call, for nearly none is. */
static __always_inline int h1_is_field(const struct h1_dir *d, __u32 at)
{
	__u64 a = h1_word(d->window + at) | H1_LOWER;

	return a == H1_WORD('c', 'o', 'n', 't', 'e', 'n', 't', '-') ||
	       a == H1_WORD('t', 'r', 'a', 'n', 's', 'f', 'e', 'r') ||
	       a == H1_WORD('u', 's', 'e', 'r', '-', 'a', 'g', 'e') ||
	       (a & 0xffffffffffull) == H1_WORD('h', 'o', 's', 't', ':', 0, 0, 0);
}

/* ---- chunks -------------------------------------------------------------------------------- */

static __always_inline int h1_hex(__u8 c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	c |= 0x20;
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

static __always_inline __u32 h1_chunk_line(struct h1_dir *d, const __u8 *p)
{
	__u64 size = 0;
	int n = 0;

	for (; n < 8; n++) {
		int digit = h1_hex(p[n]);

		if (digit < 0)
			break;
		size = size << 4 | (__u64)digit;
	}
	if (n == 0 || (n == 8 && h1_hex(p[8]) >= 0))
		return H1_MET_BAD;
	d->phase = size > 0 ? H1_CHUNK_BODY : H1_TRAILER;
	d->left = size > 0 ? size + 2 : 0; /* and the line end behind it */
	return 0;
}

/* ---- lines --------------------------------------------------------------------------------- */

static __always_inline __u32 h1_ends(struct h1_dir *d, __u8 phase, __u32 met)
{
	d->phase = phase;
	if (phase == H1_START)
		d->flags &= (__u8)~H1_BEGUN; /* the others stay for the caller to read */
	return met;
}

static __always_inline __u32 h1_body(struct h1_dir *d)
{
	if (d->flags & H1_CHUNKED)
		return h1_ends(d, H1_CHUNK, H1_MET_HEAD);
	d->left = d->length;
	return h1_ends(d, H1_BODY, H1_MET_HEAD);
}

static __always_inline __u32 h1_request_head_end(struct h1_dir *d)
{
	if (!(d->flags & H1_CHUNKED) && (d->length == 0 || d->length == H1_NO_LENGTH))
		return h1_ends(d, H1_START, H1_MET_HEAD | H1_MET_END);
	return h1_body(d);
}

static __always_inline __u32 h1_response_head_end(struct h1_dir *d, __u32 request)
{
	if (d->status == 101 || ((request & H1_IS_CONNECT) && d->status / 100 == 2))
		return h1_ends(d, H1_TUNNEL, H1_MET_HEAD | H1_MET_TUNNEL);
	if (d->status < 200)
		return h1_ends(d, H1_START, H1_MET_INTERIM);
	if ((request & H1_IS_HEAD) || d->status == 204 || d->status == 304 ||
	    (d->length == 0 && !(d->flags & H1_CHUNKED)))
		return h1_ends(d, H1_START, H1_MET_HEAD | H1_MET_END);
	if (d->length == H1_NO_LENGTH && !(d->flags & H1_CHUNKED))
		return h1_ends(d, H1_UNTIL_CLOSE, H1_MET_HEAD);
	return h1_body(d);
}

/*
 * One line, window[at .. end) without its line feed, or the beginning of a long one. @as says whose
 * it is: H1_RESPONSE, with flags of the request that is answered.
 */
#define H1_RESPONSE (1u << 31)

H1_SUBPROGRAM int h1_line(struct h1_dir *d, __u32 at, __u32 end, __u32 as)
{
	h1_opaque(at);
	if (!d || end > H1_WINDOW || at > H1_WINDOW || at > end)
		return H1_MET_BAD;
	if (end > at && *(d->window + end - 1) == '\r')
		end--;
	h1_opaque(end);
	if (end > H1_WINDOW)
		return H1_MET_BAD; /* it is not; Linux 6.1 thinks that it may have become -1 */
	switch (d->phase) {
	case H1_START:
		if (at == end)
			return 0; /* an empty line before a message means nothing */
		d->phase = H1_HEAD;
		return (int)(as & H1_RESPONSE ? h1_status_line(d, d->window + at)
		                              : h1_request_line(d, at));
	case H1_HEAD:
		if (at == end)
			return (int)(as & H1_RESPONSE ? h1_response_head_end(d, as)
			                              : h1_request_head_end(d));
		if (as & H1_RESPONSE)
			h1_response_field(d, at, end);
		else
			h1_request_field(d, at, end);
		return 0;
	case H1_CHUNK:
		return (int)h1_chunk_line(d, d->window + at);
	case H1_TRAILER:
		return at == end ? (int)h1_ends(d, H1_START, H1_MET_END) : 0;
	default:
		return H1_MET_BAD;
	}
}

/* ---- segments ------------------------------------------------------------------------------ */

static __always_inline void h1_begin(struct h1_dir *d)
{
	d->flags = H1_BEGUN;
	d->length = H1_NO_LENGTH;
	d->number_at = 0;
	d->host = 0;
	d->left = 0;
}

/* Takes the next stretch of the body: positions may be compared over half of their range only. */
static __always_inline void h1_stretch(struct h1_dir *d)
{
	__u64 n = d->left < H1_STRETCH ? d->left : H1_STRETCH;

	d->next += (__u32)n;
	d->left -= n;
}

/* The incomplete line goes to the front of the window, where the next segment continues it. */
static __always_inline void h1_keep(struct h1_dir *d, __u32 at, __u32 n)
{
	for (__u32 i = 0; i < H1_KEEP; i += 8, at += 8) {
		h1_opaque(at);
		if (i >= n || at >= H1_WINDOW)
			break;
		*(h1_word_t *)(d->window + i) = h1_word(d->window + at);
	}
	d->have = n;
	d->scanned = n;
}

/* What becomes of the bytes window[at .. n) that no line feed ends. */
static __always_inline __u32 h1_rest(struct h1_dir *d, __u32 at, __u32 n, __u32 as)
{
	__u32 met = 0, rest = n - at;

	if (rest > H1_KEEP && !(d->flags & H1_IN_LINE)) {
		/* A line of a chunk that is so long says nothing that we could trust. */
		met = d->phase == H1_CHUNK ? H1_MET_BAD : (__u32)h1_line(d, at, n, as);
		d->flags |= H1_IN_LINE;
	}
	if (d->flags & H1_IN_LINE)
		rest = 0;
	h1_keep(d, at, rest);
	return met;
}

#define H1_STOPS (H1_MET_END | H1_MET_INTERIM | H1_MET_TUNNEL | H1_MET_BAD)

/* A message is over, or what follows is no line. */
static __always_inline int h1_has_stopped(const struct h1_dir *d, __u32 met)
{
	return (met & H1_STOPS) || d->left > 0 || d->phase == H1_UNTIL_CLOSE;
}

#define H1_ONCE(x) (*(volatile typeof(x) *)&(x))

/*
 * Looks at the lines in the window's first @n bytes. Where it is, it keeps in @d and not in
 * variables: so the kernel's verifier sees one state at the loop's head instead of thousands.
 */
H1_SUBPROGRAM int h1_lines(struct h1_dir *d, __u32 n, __u32 as)
{
	__u32 met = 0;

	if (!d || n > H1_WINDOW)
		return H1_MET_BAD;
	d->line = 0;
	for (__u32 i = 0; i < H1_LOOKS; i++) {
		__u32 pos = H1_ONCE(d->scanned), at = H1_ONCE(d->line);
		__u64 found;

		if (pos >= n || pos >= H1_WINDOW)
			break;
		found = h1_find(h1_word(d->window + pos), '\n');
		if (!found) {
			H1_ONCE(d->scanned) = pos + 8;
			continue;
		}
		pos += h1_first(found);
		H1_ONCE(d->scanned) = pos;
		if (pos >= n)
			break;
		if (d->phase == H1_START && !(d->flags & H1_BEGUN) && pos > at + 1) {
			h1_begin(d);
			met |= H1_MET_BEGIN;
		}
		h1_opaque(at);
		if (d->flags & H1_IN_LINE)
			d->flags &= (__u8)~H1_IN_LINE;
		else if (d->phase != H1_HEAD || pos <= at + 1 || at > H1_WINDOW ||
		         h1_is_field(d, at))
			met |= (__u32)h1_line(d, at, pos, as);
		H1_ONCE(d->line) = pos + 1;
		H1_ONCE(d->scanned) = pos + 1;
		if (h1_has_stopped(d, met))
			break;
	}
	return (int)met;
}

/* Puts the window's first @n bytes away behind h1_lines(), which has met @met. */
static __always_inline __u32 h1_put_away(struct h1_dir *d, __u32 n, __u32 met, __u32 as)
{
	__u32 at = d->line;

	if (at > n || at > H1_WINDOW)
		return H1_MET_BAD;
	if (h1_has_stopped(d, met) || (d->scanned < n && at > 0)) {
		d->next -= n - at; /* the rest is not ours, or not yet */
		d->have = d->scanned = 0;
		h1_stretch(d);
		return met;
	}
	if (n > at && d->phase == H1_START && !(d->flags & H1_BEGUN) && d->window[at] != '\r') {
		h1_begin(d);
		met |= H1_MET_BEGIN;
	}
	return met | h1_rest(d, at, n, as);
}

/* ---- repeated messages --------------------------------------------------------------------- */

static __always_inline __u64 h1_hash(const struct h1_dir *d, __u32 n)
{
	__u64 hash = n;
	__u32 at = 0;

	for (__u32 i = 0; i < H1_LOAD / 8; i++, at += 8) {
		__u64 word = h1_word(d->window + at);

		if (at + 8 > n) {
			if (at < n)
				hash = (hash ^ (word << (64 - 8 * (n - at)))) *
				       0xff51afd7ed558ccdull;
			break;
		}
		hash = (hash ^ word) * 0x9e3779b97f4a7c15ull;
		hash ^= hash >> 29;
	}
	return hash | 1;
}

/* The whole segment is one request of a length that has been seen; *@ret_hash is kept for later. */
static __always_inline __u32 h1_is_same_request(struct h1_dir *d, __u32 n, __u64 *ret_hash)
{
	*ret_hash = 0;
	if (d->before.request.len != n)
		return 0;
	*ret_hash = h1_hash(d, n);
	if (d->before.request.hash != *ret_hash)
		return 0;
	d->flags = d->before.request.flags;
	d->host = d->before.request.host;
	return H1_MET_BEGIN | H1_MET_HEAD | H1_MET_END | H1_MORE;
}

static __always_inline void h1_note_request(struct h1_dir *d, __u32 n, __u64 hash)
{
	d->before.request.len = n;
	d->before.request.hash = hash;
	d->before.request.flags = d->flags;
	d->before.request.host = d->host;
}

#define H1_HEAD_END H1_WORD('\r', '\n', '\r', '\n', 0, 0, 0, 0)

/* @len: from the answer's first byte to the end of the segment; @n of them are in the window. */
static __always_inline __u32 h1_is_same_response(struct h1_dir *d, __u32 n, __u32 len)
{
	__u32 at = d->before.response.number_at, end, digits;
	const __u8 *p = d->window;
	__u64 word;

	if (h1_word(p) != d->before.response.first[0] ||
	    h1_word(p + 8) != d->before.response.first[1] || at < 16 || at > H1_LOAD)
		return 0;
	if ((h1_word(p + at - 16) | H1_LOWER) != H1_WORD('c', 'o', 'n', 't', 'e', 'n', 't', '-') ||
	    (h1_word(p + at - 8) | H1_LOWER) != H1_WORD('l', 'e', 'n', 'g', 't', 'h', ':', ' '))
		return 0;
	word = h1_word(p + at);
	digits = h1_n_digits(word);
	end = at + digits + d->before.response.rest;
	h1_opaque(end);
	if (digits == 0 || digits == 8 || end < 8 || end > n || end > H1_WINDOW)
		return 0;
	if (h1_word(p + end - 8) >> 32 != H1_HEAD_END || end + h1_digits(word, digits) != len)
		return 0;
	d->status = d->before.response.status;
	return H1_MET_BEGIN | H1_MET_HEAD | H1_MET_END | H1_MORE;
}

/* Behind the head of an answer that was read from the window's first byte on. */
static __always_inline void h1_note_response(struct h1_dir *d, __u32 as)
{
	__u32 at = d->number_at, end = d->line, digits;

	d->before.response.number_at = 0;
	if (at < 16 || at > H1_LOAD || (as & (H1_IS_HEAD | H1_IS_CONNECT)) ||
	    (d->flags & H1_CHUNKED) || d->status < 200 || d->status == 204 || d->status == 304)
		return;
	digits = h1_n_digits(h1_word(d->window + at));
	if (digits == 8 || end < at + digits)
		return;
	d->before.response.first[0] = h1_word(d->window);
	d->before.response.first[1] = h1_word(d->window + 8);
	d->before.response.number_at = (__u16)at;
	d->before.response.rest = (__u16)(end - at - digits);
	d->before.response.status = d->status;
}

/* ---- steps --------------------------------------------------------------------------------- */

/* The window's first @n bytes, line by line. */
static __always_inline __u32 h1_read(struct h1_dir *d, __u32 n, __u32 as, void *ctx)
{
	__u32 met = (__u32)h1_lines(d, n, as);

	if (d->host_len) {
		h1_on_host(ctx, d);
		d->host_len = 0;
	}
	return h1_put_away(d, n, met, as);
}

/* A message that begins with the window, of which the segment has @len bytes and the window @n. */
static __always_inline __u32 h1_begin_message(struct h1_dir *d, __u32 n, __u32 len, __u32 as,
                                              void *ctx)
{
	__u64 hash = 0;
	__u32 met;

	if (as & H1_RESPONSE)
		met = as & (H1_IS_HEAD | H1_IS_CONNECT) ? 0 : h1_is_same_response(d, n, len);
	else
		met = n == len ? h1_is_same_request(d, n, &hash) : 0;
	if (met != 0) {
		d->next += len - n;
		return met;
	}
	met = h1_read(d, n, as, ctx);
	if (as & H1_RESPONSE) {
		if (met & H1_MET_HEAD)
			h1_note_response(d, as);
	} else {
		/* The hash is made when a length comes for the second time. */
		if (n != len || met != (H1_MET_BEGIN | H1_MET_HEAD | H1_MET_END) || d->line != n)
			n = 0;
		h1_note_request(d, n, hash);
	}
	return met;
}

/*
 * h1_step() - goes on with the segment @s, as far as the end of a message.
 *
 * The caller has seen to it that @d->next is not before the segment. @as is H1_RESPONSE with
 * H1_IS_HEAD and H1_IS_CONNECT of the request that is answered next, or 0 for requests. Returns
 * what was met, with H1_MORE when the segment has nothing left.
 */
static __always_inline __u32 h1_step(struct h1_dir *d, struct seg *s, __u32 as, void *ctx)
{
	__u32 at, n, met, have = d->have;

	if (d->phase >= H1_UNTIL_CLOSE)
		return H1_MORE;
	if (d->phase == H1_BODY || d->phase == H1_CHUNK_BODY) {
		if ((__s32)(s->seq + s->len - d->next) < 0)
			return H1_MORE;
		if (d->left > 0) {
			h1_stretch(d);
			return 0;
		}
		if (d->phase == H1_BODY)
			return h1_ends(d, H1_START, H1_MET_END);
		d->phase = H1_CHUNK;
	}
	at = d->next - s->seq;
	if (at >= s->len)
		return H1_MORE;
	n = s->len - at;
	if (n > H1_LOAD)
		n = H1_LOAD;
	if (have > H1_KEEP)
		have = 0; /* it never is */
	if (seg_load(s, at, d->window + have, n, H1_LOAD) != 0)
		return H1_MET_BAD;
	d->next += n;
	if (have == 0 && d->phase == H1_START && !(d->flags & H1_BEGUN))
		met = h1_begin_message(d, n, s->len - at, as, ctx);
	else
		met = h1_read(d, have + n, as, ctx);
	at = s->seq + s->len;
	/* A body that ends in this segment, too: most answers do. */
	if (d->phase == H1_BODY && d->left == 0 && (__s32)(at - d->next) >= 0)
		met |= h1_ends(d, H1_START, H1_MET_END);
	return (__s32)(at - d->next) > 0 ? met : met | H1_MORE;
}

/* Whether a lost direction can go on with the first byte of this segment; if so, it does. */
static __always_inline int h1_resync(struct h1_dir *d, struct seg *s, __u32 as)
{
	if (s->len < 12 || seg_load(s, 0, d->window, 12, 12) != 0)
		return 0;
	if (as & H1_RESPONSE ? !h1_is_response(h1_word(d->window)) : !h1_method(d->window))
		return 0;
	d->next = s->seq;
	d->phase = H1_START;
	d->flags = 0;
	d->have = d->scanned = 0;
	d->left = 0;
	return 1;
}
