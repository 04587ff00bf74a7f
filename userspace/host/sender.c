/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * One thread takes batches from the outbox and cuts them into requests. Settings come to it through
 * `next`: the collector thread puts new ones there, the sender's thread takes them between two
 * attempts, so nothing is shared while a request is made.
 */
#include "userspace/host/sender.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "userspace/base/alloc.h"
#include "userspace/base/beat.h"
#include "userspace/base/cleanup.h"
#include "userspace/base/clock.h"
#include "userspace/base/file.h"
#include "userspace/base/log.h"
#include "userspace/base/metrics.h"
#include "userspace/base/rng.h"
#include "userspace/base/util.h"
#include "userspace/host/batch.h"
#include "userspace/host/drops.h"
#include "userspace/host/host_conf.h"
#include "userspace/host/label_text.h"
#include "userspace/host/outbox.h"
#include "userspace/wire/compress.h"
#include "userspace/wire/http_client.h"
#include "userspace/wire/rwproto.h"

#define TOKEN_BYTES_MAX   ((size_t)16 << 10)
#define RETRY_AFTER_MAX_S 300
#define MS_NS             1000000ull
#define STUCK_NS          (600 * 1000 * MS_NS) /* twice the longest remote_write.timeout */

#define REQUEST_HELP "Requests to the region, by result."
static struct metric sent =
	METRIC_COUNTER("periscope_host_samples_sent_total", "", "Samples that the region took.");
static struct metric requests_ok = METRIC_COUNTER("periscope_host_remote_write_requests_total",
                                                  "result=\"taken\"", REQUEST_HELP);
static struct metric requests_again = METRIC_COUNTER("periscope_host_remote_write_requests_total",
                                                     "result=\"retried\"", REQUEST_HELP);
static struct metric requests_refused = METRIC_COUNTER("periscope_host_remote_write_requests_total",
                                                       "result=\"refused\"", REQUEST_HELP);
static struct metric bytes_sent = METRIC_COUNTER("periscope_host_remote_write_bytes_total", "",
                                                 "Bytes of bodies that the region took.");
static struct metric last_success =
	METRIC_GAUGE("periscope_host_remote_write_last_success_timestamp_seconds", "",
                     "When the region took samples last; 0 = not yet.");
METRIC_REGISTER(sent);
METRIC_REGISTER(requests_ok);
METRIC_REGISTER(requests_again);
METRIC_REGISTER(requests_refused);
METRIC_REGISTER(bytes_sent);
METRIC_REGISTER(last_success);

struct settings {
	char *url, *authorization; /* a whole header; NULL without a token */
	int64_t timeout_ms, backoff_min_ms, backoff_max_ms;
	size_t request_samples_max;
};

struct sender {
	struct outbox *outbox;
	pthread_t thread;
	bool off; /* no URL: the collector thread drops what it is given */

	pthread_mutex_t lock;
	pthread_cond_t changed;
	struct settings *next;      /* not taken yet, or NULL */
	bool finished;              /* the thread is about to end */
	_Atomic uint64_t giveup_ns; /* monotonic; 0 = never */
	_Atomic int abort;          /* for the request on its way */
	struct beat beat;           /* of one request */

	/* Of the sender's thread alone. */
	struct settings *now;
	struct http_client *client;
	struct buf raw, packed;
	struct rng rng;
	int64_t wait_ms;    /* before the next attempt; 0 = the last one went well */
	uint64_t failed_ns; /* since when; 0 = all is well */
};

enum outcome {
	TAKEN,
	AGAIN,
	TOO_LARGE,
	REFUSED
};

/* ---- settings ------------------------------------------------------------------------------- */

static void settings_free(struct settings *s)
{
	if (!s)
		return;
	if (s->authorization) {
		explicit_bzero(s->authorization, strlen(s->authorization));
		free(s->authorization);
	}
	free(s->url);
	free(s);
}

DEFINE_CLEANUP(struct settings *, settings_free);

static void forget_text(struct buf *b)
{
	if (b->p)
		explicit_bzero(b->p, b->len);
	buf_done(b);
}

static int read_token(const char *path, char **ret_header, struct err *e)
{
	static const char head[] = "Authorization: Bearer ";
	_cleanup_(forget_text) struct buf text = BUF_INIT;
	int r = file_read(path, &text, TOKEN_BYTES_MAX);

	if (r < 0)
		return err_set(e, -EINVAL, "remote_write.token_file: %.160s: %s", path,
		               strerror(-r));
	struct str token = str_trim(buf_str(&text));

	if (token.len == 0 || memchr(token.p, '\n', token.len) || memchr(token.p, '\0', token.len))
		return err_set(e, -EINVAL,
		               "remote_write.token_file: %.160s: expected one line, the token",
		               path);
	char *header = mem_alloc(sizeof(head) + token.len);

	if (!header)
		return -ENOMEM;
	memcpy(header, head, sizeof(head) - 1);
	memcpy(header + sizeof(head) - 1, token.p, token.len);
	header[sizeof(head) - 1 + token.len] = '\0';
	*ret_header = header;
	return 0;
}

static int settings_new(const struct host_conf *conf, struct settings **ret, struct err *e)
{
	_cleanup_(settings_freep) struct settings *s = mem_zalloc(1, sizeof(*s));
	int r = 0;

	if (!s)
		return -ENOMEM;
	s->timeout_ms = conf->timeout_ms;
	s->backoff_min_ms = conf->backoff_min_ms;
	s->backoff_max_ms = MAX(conf->backoff_min_ms, conf->backoff_max_ms);
	s->request_samples_max = (size_t)conf->request_samples_max;
	s->url = mem_strndup(conf->url, strlen(conf->url));
	if (!s->url)
		return -ENOMEM;
	if (conf->token_file[0] != '\0')
		r = read_token(conf->token_file, &s->authorization, e);
	if (r == 0)
		*ret = TAKE_PTR(s);
	return r;
}

static void take_settings(struct sender *s)
{
	(void)pthread_mutex_lock(&s->lock);
	struct settings *next = TAKE_PTR(s->next);

	(void)pthread_mutex_unlock(&s->lock);
	if (!next)
		return;
	settings_free(s->now);
	s->now = next;
}

int sender_set_conf(struct sender *s, const struct host_conf *conf, struct err *e)
{
	_cleanup_(settings_freep) struct settings *fresh = NULL;
	int r = settings_new(conf, &fresh, e);

	if (r < 0)
		return r;
	s->off = conf->url[0] == '\0';
	outbox_set_max(s->outbox, (size_t)conf->queue_samples_max);
	(void)pthread_mutex_lock(&s->lock);
	settings_free(s->next);
	s->next = TAKE_PTR(fresh);
	(void)pthread_cond_broadcast(&s->changed); /* ends a wait: the new address may work */
	(void)pthread_mutex_unlock(&s->lock);
	return 0;
}

/* ---- one attempt ---------------------------------------------------------------------------- */

static enum outcome outcome_of(int status)
{
	static const int again[] = { 401, 403, 404, 408, 429 };

	if (status >= 200 && status < 300)
		return TAKEN;
	if (status == 413)
		return TOO_LARGE;
	for (size_t i = 0; i < ARRAY_SIZE(again); i++) {
		if (status == again[i])
			return AGAIN;
	}
	/* 1xx and 3xx: something that is no region answers; an operator will find out. */
	return status >= 400 && status < 500 ? REFUSED : AGAIN;
}

static void describe(const struct http_reply *reply, char *why, size_t cap)
{
	char text[160];
	struct str line, rest;

	(void)str_cut(buf_str(&reply->body), '\n', &line, &rest);
	label_text_copy(text, sizeof(text), line);
	(void)snprintf(why, cap, "HTTP status %d: %s", reply->status, text);
}

static enum outcome attempt(struct sender *s, int64_t *ret_retry_after_s, char *why, size_t cap)
{
	const char *headers[] = { "Content-Type: application/x-protobuf",
		                  "Content-Encoding: snappy",
		                  "X-Prometheus-Remote-Write-Version: 0.1.0",
		                  "User-Agent: periscope-host/" PERISCOPE_VERSION,
		                  s->now->authorization,
		                  NULL };
	const struct http_request req = { .url = s->now->url,
		                          .headers = headers,
		                          .body = buf_str(&s->packed),
		                          .timeout_ms = s->now->timeout_ms };
	_cleanup_(http_reply_done) struct http_reply reply = { .retry_after_s = -1 };
	struct err e = ERR_INIT;

	if (s->now->url[0] == '\0') {
		(void)snprintf(why, cap, "remote_write.url is now empty");
		return REFUSED;
	}
	beat_begin(&s->beat);
	int r = http_post(s->client, &req, &s->abort, &reply, &e);

	beat_end(&s->beat);
	if (r < 0) {
		(void)snprintf(why, cap, "%s", e.msg[0] ? e.msg : strerror(-r));
		return AGAIN;
	}
	*ret_retry_after_s = reply.retry_after_s;
	describe(&reply, why, cap);
	return outcome_of(reply.status);
}

static bool giving_up(struct sender *s)
{
	uint64_t giveup_ns = atomic_load(&s->giveup_ns);

	return giveup_ns != 0 && clock_mono_ns() >= giveup_ns;
}

/* The next wait in the row; it starts over when a request went well. */
static int64_t next_wait_ms(struct sender *s, int64_t retry_after_s)
{
	int64_t asked_ms = MIN(retry_after_s, RETRY_AFTER_MAX_S) * 1000;

	s->wait_ms = s->wait_ms == 0 ? s->now->backoff_min_ms
	                             : MIN(s->wait_ms * 2, s->now->backoff_max_ms);
	int64_t ms = s->wait_ms - (int64_t)rng_below(&s->rng, (uint32_t)(s->wait_ms / 4 + 1));

	return MAX(ms, asked_ms);
}

static struct timespec timespec_of(uint64_t ns)
{
	return (struct timespec){ .tv_sec = (time_t)(ns / 1000000000),
		                  .tv_nsec = (long)(ns % 1000000000) };
}

/* Ends early for new settings, and when the time to give up comes first. */
static void wait_ms(struct sender *s, int64_t ms)
{
	uint64_t until_ns = clock_mono_ns() + (uint64_t)ms * MS_NS;

	(void)pthread_mutex_lock(&s->lock);
	while (!s->next && clock_mono_ns() < until_ns && !giving_up(s)) {
		uint64_t giveup_ns = atomic_load(&s->giveup_ns);
		const struct timespec until =
			timespec_of(giveup_ns != 0 ? MIN(until_ns, giveup_ns) : until_ns);

		(void)pthread_cond_timedwait(&s->changed, &s->lock, &until);
	}
	(void)pthread_mutex_unlock(&s->lock);
}

static void note_failure(struct sender *s, const char *why)
{
	metric_add(&requests_again, 1);
	if (s->failed_ns != 0)
		return;
	s->failed_ns = clock_mono_ns();
	log_warn("sender: the region does not take samples; they wait and are sent again",
	         STRV("why", why));
}

static void note_success(struct sender *s)
{
	metric_add(&requests_ok, 1);
	metric_add(&bytes_sent, (int64_t)s->packed.len);
	metric_set(&last_success, clock_unix_ms() / 1000);
	s->wait_ms = 0;
	if (s->failed_ns == 0)
		return;
	log_info("sender: the region takes samples again",
	         U64("after_ms", (clock_mono_ns() - s->failed_ns) / MS_NS));
	s->failed_ns = 0;
}

/* ---- batches into requests ------------------------------------------------------------------ */

static int encode_sample(void *ctx, enum series_id id, const struct label *labels,
                         uint32_t n_labels, const struct sample *sample)
{
	struct buf *out = ctx;

	(void)id;
	rw_encode_series(out, labels, n_labels, sample, 1);
	return out->err;
}

static int encode(struct sender *s, const struct batch *b, size_t from, size_t to)
{
	buf_clear(&s->raw);
	int r = batch_each_range(b, from, to, true, encode_sample, &s->raw);

	return r < 0 ? r : coding_pack(CODING_SNAPPY, buf_str(&s->raw), &s->packed);
}

/* Tries until the region has decided. False: the daemon ends and there is no more time. */
static bool deliver(struct sender *s, enum outcome *ret, char *why, size_t cap)
{
	for (;;) {
		int64_t retry_after_s = -1;

		take_settings(s);
		*ret = attempt(s, &retry_after_s, why, cap);
		if (*ret != AGAIN)
			return true;
		note_failure(s, why);
		if (giving_up(s))
			return false;
		wait_ms(s, next_wait_ms(s, retry_after_s));
		if (giving_up(s))
			return false;
	}
}

/* Sends samples @from to @to; returns how many of them are settled, one way or the other. */
static size_t send_range(struct sender *s, const struct batch *b, size_t from, size_t to)
{
	enum outcome what = AGAIN;
	char why[256] = "";

	if (encode(s, b, from, to) < 0) {
		drops_add(DROP_NO_MEMORY, to - from);
		log_warn("sender: no memory for a request", U64("samples", to - from));
		return to - from;
	}
	if (!deliver(s, &what, why, sizeof(why))) {
		drops_add(DROP_STOPPED, to - from);
		return to - from;
	}
	if (what == TOO_LARGE && to - from > 1)
		return send_range(s, b, from, from + (to - from) / 2);
	if (what == TAKEN) {
		metric_add(&sent, (int64_t)(to - from));
		note_success(s);
		return to - from;
	}
	metric_add(&requests_refused, 1);
	drops_add(DROP_REFUSED, to - from);
	log_error("sender: the region refused samples, they are dropped", STRV("why", why),
	          U64("samples", to - from));
	return to - from;
}

static void send_batch(struct sender *s, const struct batch *b)
{
	size_t n = batch_n_samples(b), from = 0;

	while (from < n && !giving_up(s)) {
		take_settings(s);
		from += send_range(s, b, from, MIN(n, from + s->now->request_samples_max));
	}
	drops_add(DROP_STOPPED, n - from);
}

static void *run(void *arg)
{
	struct sender *s = arg;
	struct batch *b;

	while (outbox_take(s->outbox, UINT64_MAX, &b) == 0) {
		send_batch(s, b);
		outbox_release(s->outbox, b);
	}
	(void)pthread_mutex_lock(&s->lock);
	s->finished = true;
	(void)pthread_cond_broadcast(&s->changed);
	(void)pthread_mutex_unlock(&s->lock);
	return NULL;
}

/* ---- life ----------------------------------------------------------------------------------- */

static void sender_free(struct sender *s)
{
	if (!s)
		return;
	outbox_free(s->outbox);
	settings_free(s->next);
	settings_free(s->now);
	http_client_free(s->client);
	buf_done(&s->raw);
	buf_done(&s->packed);
	(void)pthread_cond_destroy(&s->changed);
	(void)pthread_mutex_destroy(&s->lock);
	free(s);
}

DEFINE_CLEANUP(struct sender *, sender_free);

static void init_lock(struct sender *s)
{
	pthread_condattr_t attr;

	(void)pthread_condattr_init(&attr);
	(void)pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	(void)pthread_cond_init(&s->changed, &attr);
	(void)pthread_condattr_destroy(&attr);
	(void)pthread_mutex_init(&s->lock, NULL);
}

int sender_new(struct sender **ret, const struct host_conf *conf, struct err *e)
{
	_cleanup_(sender_freep) struct sender *s = mem_zalloc(1, sizeof(*s));

	if (!s)
		return -ENOMEM;
	init_lock(s);
	s->raw = s->packed = BUF_INIT;
	s->rng.s = clock_mono_ns();
	int r = outbox_new(&s->outbox, (size_t)conf->queue_samples_max);

	if (r == 0)
		r = http_client_new(&s->client);
	if (r == 0)
		r = sender_set_conf(s, conf, e);
	if (r == 0)
		r = -pthread_create(&s->thread, NULL, run, s);
	if (r < 0)
		return r;
	(void)pthread_setname_np(s->thread, "sender");
	*ret = TAKE_PTR(s);
	return 0;
}

void sender_push(struct sender *s, struct batch *b)
{
	if (s->off || batch_n_samples(b) == 0)
		batch_free(b);
	else
		outbox_push(s->outbox, b);
}

bool sender_is_stuck(const struct sender *s, uint64_t now_ns)
{
	return beat_is_stuck(&s->beat, now_ns, STUCK_NS);
}

void sender_stop(struct sender *s, int64_t flush_ms)
{
	if (!s)
		return;
	uint64_t giveup_ns = clock_mono_ns() + (uint64_t)flush_ms * MS_NS;
	const struct timespec until = timespec_of(giveup_ns);
	int r = 0;

	atomic_store(&s->giveup_ns, giveup_ns);
	outbox_close(s->outbox);
	(void)pthread_mutex_lock(&s->lock);
	(void)pthread_cond_broadcast(&s->changed);
	while (!s->finished && r == 0)
		r = pthread_cond_timedwait(&s->changed, &s->lock, &until);
	(void)pthread_mutex_unlock(&s->lock);
	atomic_store(&s->abort, 1);
	(void)pthread_join(s->thread, NULL);
	sender_free(s);
}
