/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * periscope-host's end of the talk with its helper, against a scripted other end: answers in
 * pieces, late, never, wrong, or not at all. And what the source volumes makes of good ones.
 */
#include "tests/unit/unit.h"

#include <errno.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "tests/unit/tempdir.h"
#include "userspace/base/cleanup.h"
#include "userspace/base/clock.h"
#include "userspace/host/batch.h"
#include "userspace/host/host_conf.h"
#include "userspace/host/source.h"
#include "userspace/host/vm.h"
#include "userspace/host/volumes_client.h"
#include "userspace/wire/promtext.h"

DEFINE_CLEANUP(struct batch *, batch_free);

/* ---- the other end -------------------------------------------------------------------------- */

struct peer {
	struct tempdir dir;
	char path[108];
	int listener, fd;
};

static struct volumes_answer packet;

static struct peer peer_make(void)
{
	struct sockaddr_un addr = { .sun_family = AF_UNIX };
	struct peer p = { .dir = tempdir_make(), .fd = -1 };

	(void)snprintf(p.path, sizeof(p.path), "%s/socket", p.dir.path);
	memcpy(addr.sun_path, p.path, sizeof(addr.sun_path));
	p.listener = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
	assert_true(p.listener >= 0);
	assert_int_equal(0, bind(p.listener, (const struct sockaddr *)&addr, sizeof(addr)));
	assert_int_equal(0, listen(p.listener, 4));
	return p;
}

static void peer_done(struct peer *p)
{
	if (p->fd >= 0)
		(void)close(p->fd);
	(void)close(p->listener);
	tempdir_done(&p->dir);
}

/* Takes a question; returns its number. */
static uint32_t peer_hear(struct peer *p)
{
	struct volumes_request req;

	if (p->fd < 0)
		p->fd = accept(p->listener, NULL, NULL);
	assert_true(p->fd >= 0);
	assert_int_equal(sizeof(req), recv(p->fd, &req, sizeof(req), 0));
	assert_int_equal(VOLUMES_MAGIC, req.magic);
	return req.seq;
}

static bool peer_is_asked(const struct peer *p)
{
	struct pollfd fd = { p->fd, POLLIN, 0 };

	return poll(&fd, 1, 0) > 0;
}

static size_t packet_bytes(void)
{
	return offsetof(struct volumes_answer, records) +
	       packet.n_records * sizeof(packet.records[0]);
}

static void peer_say(const struct peer *p, size_t bytes)
{
	assert_int_equal(bytes, send(p->fd, &packet, bytes, 0));
}

static void prepare(uint32_t seq, uint32_t n, bool is_last)
{
	memset(&packet, 0, sizeof(packet));
	packet.magic = VOLUMES_MAGIC;
	packet.seq = seq;
	packet.n_records = n;
	packet.is_last = is_last;
	for (uint32_t i = 0; i < n; i++) {
		packet.records[i].kind = VOLUMES_THIN;
		packet.records[i].dev = 1000 + i;
		packet.records[i].size_bytes = 4096;
	}
}

/* ---- the client ----------------------------------------------------------------------------- */

static uint64_t now_ns = 1000000000;

static uint64_t mono(void)
{
	return now_ns;
}

static int64_t wall(void)
{
	return 0;
}

static struct volumes_client *client_of(const struct peer *p)
{
	static const struct clock_ops clock = { wall, mono };
	struct volumes_client *c;

	clock_set(&clock);
	assert_int_equal(0, volumes_client_new(&c, p->path));
	return c;
}

static int take(struct volumes_client *c, size_t *ret_n, struct err *e)
{
	const struct volumes_record *records;

	*e = ERR_INIT;
	return volumes_client_take(c, 5, &records, ret_n, e);
}

static void test_answer_in_pieces(void **state)
{
	_cleanup_(peer_done) struct peer p = peer_make();
	struct volumes_client *c = client_of(&p);
	const struct volumes_record *records;
	struct err e = ERR_INIT;
	size_t n = 99;

	(void)state;
	volumes_client_ask(c);
	prepare(peer_hear(&p), VOLUMES_RECORDS_MAX, false);
	peer_say(&p, packet_bytes());
	assert_int_equal(-ETIMEDOUT, take(c, &n, &e)); /* half of it is nothing */
	assert_non_null(strstr(e.msg, "does not answer"));
	prepare(packet.seq, 3, true);
	peer_say(&p, packet_bytes());
	e = ERR_INIT;
	assert_int_equal(0, volumes_client_take(c, 5, &records, &n, &e));
	assert_int_equal(VOLUMES_RECORDS_MAX + 3, n);
	assert_int_equal(1002, records[n - 1].dev);
	/* None at all is an answer, too. */
	volumes_client_ask(c);
	prepare(peer_hear(&p), 0, true);
	peer_say(&p, packet_bytes());
	assert_int_equal(0, take(c, &n, &e));
	assert_int_equal(0, n);
	volumes_client_free(c);
}

/* It hangs: one question stays open, the answer before serves for a while, nobody waits. */
static void test_no_answer(void **state)
{
	_cleanup_(peer_done) struct peer p = peer_make();
	struct volumes_client *c = client_of(&p);
	struct err e;
	uint32_t seq;
	size_t n;

	(void)state;
	volumes_client_ask(c);
	prepare(peer_hear(&p), 1, true);
	peer_say(&p, packet_bytes());
	assert_int_equal(0, take(c, &n, &e));
	volumes_client_ask(c);
	seq = peer_hear(&p);
	for (int i = 0; i < 4; i++) {
		now_ns += 15000000000;
		volumes_client_ask(c);
		assert_false(peer_is_asked(&p));
		assert_int_equal(0, take(c, &n, &e));
		assert_int_equal(1, n);
	}
	now_ns += 1;
	assert_int_equal(-ETIMEDOUT, take(c, &n, &e));
	assert_string_equal("periscope-host-volumes does not answer: device-mapper hangs", e.msg);
	prepare(seq, 2, true); /* it goes on, at last */
	peer_say(&p, packet_bytes());
	assert_int_equal(0, take(c, &n, &e));
	assert_int_equal(2, n);
	volumes_client_free(c);
}

static void test_nobody_there(void **state)
{
	_cleanup_(peer_done) struct peer p = peer_make();
	struct volumes_client *c = client_of(&p);
	struct err e;
	size_t n;

	(void)state;
	(void)close(p.listener);
	volumes_client_ask(c);
	assert_int_equal(-ECONNREFUSED, take(c, &n, &e));
	assert_non_null(strstr(e.msg, p.path));
	assert_int_equal(0, unlink(p.path));
	volumes_client_ask(c);
	assert_int_equal(-ENOENT, take(c, &n, &e));
	assert_non_null(strstr(e.msg, "No such file"));
	volumes_client_free(c);
}

/* It is started again: the next question goes to the new one. */
static void test_killed_in_between(void **state)
{
	_cleanup_(peer_done) struct peer p = peer_make();
	struct volumes_client *c = client_of(&p);
	struct err e;
	size_t n;

	(void)state;
	volumes_client_ask(c);
	prepare(peer_hear(&p), VOLUMES_RECORDS_MAX, false);
	peer_say(&p, packet_bytes());
	(void)close(p.fd);
	p.fd = -1;
	assert_int_equal(-ECONNRESET, take(c, &n, &e));
	volumes_client_ask(c);
	prepare(peer_hear(&p), 1, true);
	peer_say(&p, packet_bytes());
	assert_int_equal(0, take(c, &n, &e));
	assert_int_equal(1, n); /* nothing of the half before */
	volumes_client_free(c);
}

static void test_error_of_the_helper(void **state)
{
	_cleanup_(peer_done) struct peer p = peer_make();
	struct volumes_client *c = client_of(&p);
	struct err e;
	size_t n;

	(void)state;
	volumes_client_ask(c);
	prepare(peer_hear(&p), 0, true);
	packet.error = -ENXIO;
	(void)snprintf(packet.why, sizeof(packet.why), "device-mapper: no such thing");
	peer_say(&p, packet_bytes());
	assert_int_equal(-ENXIO, take(c, &n, &e));
	assert_string_equal("periscope-host-volumes: device-mapper: no such thing", e.msg);
	volumes_client_ask(c);
	prepare(peer_hear(&p), 1, true);
	peer_say(&p, packet_bytes());
	assert_int_equal(0, take(c, &n, &e));
	volumes_client_free(c);
}

/* Whatever is not an answer ends the connection and is never half-taken. */
static void test_garbage(void **state)
{
	(void)state;
	for (int bad = 0; bad < 10; bad++) {
		_cleanup_(peer_done) struct peer p = peer_make();
		struct volumes_client *c = client_of(&p);
		size_t n, bytes;
		struct err e;

		unit_note("%d", bad);
		volumes_client_ask(c);
		prepare(peer_hear(&p), 2, true);
		bytes = packet_bytes();
		if (bad == 0)
			packet.magic++;
		else if (bad == 1)
			packet.n_records = VOLUMES_RECORDS_MAX + 1;
		else if (bad == 2)
			packet.error = 5;
		else if (bad == 3)
			memset(packet.why, 'x', sizeof(packet.why));
		else if (bad == 4)
			packet.records[1].kind = 7;
		else if (bad == 5)
			memset(packet.records[1].name, 'x', sizeof(packet.records[1].name));
		else if (bad == 6)
			memset(packet.records[0].org, 'x', sizeof(packet.records[0].org));
		else if (bad == 7)
			bytes--;
		else if (bad == 8)
			bytes++;
		else
			bytes = 3;
		peer_say(&p, bytes);
		assert_int_equal(-EBADMSG, take(c, &n, &e));
		volumes_client_free(c);
	}
}

static void test_too_much(void **state)
{
	_cleanup_(peer_done) struct peer p = peer_make();
	struct volumes_client *c = client_of(&p);
	int r = -ETIMEDOUT;
	struct err e;
	size_t n;

	(void)state;
	volumes_client_ask(c);
	prepare(peer_hear(&p), VOLUMES_RECORDS_MAX, false);
	for (size_t sent = 0; sent <= VOLUMES_ALL_MAX && r == -ETIMEDOUT;
	     sent += VOLUMES_RECORDS_MAX) {
		peer_say(&p, packet_bytes());
		r = take(c, &n, &e);
	}
	assert_int_equal(-EBADMSG, r);
	volumes_client_free(c);
}

/* An answer to a question that was asked before the last one is dropped. */
static void test_other_question(void **state)
{
	_cleanup_(peer_done) struct peer p = peer_make();
	struct volumes_client *c = client_of(&p);
	struct err e;
	size_t n;

	(void)state;
	volumes_client_ask(c);
	prepare(peer_hear(&p) - 1, 1, true);
	peer_say(&p, packet_bytes());
	assert_int_equal(-ETIMEDOUT, take(c, &n, &e));
	volumes_client_free(c);
}

/* ---- the source ----------------------------------------------------------------------------- */

static struct host_conf conf;

static struct source *source_of(const struct peer *p)
{
	_cleanup_(buf_done) struct buf text = BUF_INIT;
	static const char *const known[] = { NULL };
	struct err e = ERR_INIT;
	struct source *src;

	buf_printf(&text, "host_id: 00ff\nregion: ams\nvolumes: {socket: %s}\n", p->path);
	assert_int_equal(0, host_conf_parse("t", buf_str(&text), known, &conf, &e));
	assert_int_equal(0, volumes_source.open(&src, &conf, &e));
	return src;
}

static int write_sample(void *ctx, enum series_id id, const struct label *labels, uint32_t n,
                        const struct sample *s)
{
	(void)id;
	promtext_write_sample(ctx, labels, n, s->value, NULL);
	return 0;
}

static void assert_collects(struct source *src, int want, const char *expected)
{
	_cleanup_(buf_done) struct buf out = BUF_INIT;
	_cleanup_(batch_freep) struct batch *b;

	assert_int_equal(0, batch_new(&b, 1000));
	assert_int_equal(want, volumes_source.collect(src, 1, b, NULL));
	assert_int_equal(0, batch_each(b, true, write_sample, &out));
	assert_string_equal(expected, buf_cstr(&out));
}

static struct vm vm_with_volumes(void)
{
	struct vm vm = { .id = 1, .org = "acme", .app = "web", .region = "lhr", .host = "00ff" };

	(void)snprintf(vm.instance, sizeof(vm.instance), "i1");
	vm.n_volumes = 1;
	(void)snprintf(vm.volumes[0].id, sizeof(vm.volumes[0].id), "vol_a");
	vm.volumes[0].dev = 1000;
	vm.n_disks = 2;
	vm.disks[0].dev = 1000; /* the same device is described */
	vm.disks[1].dev = 1001;
	return vm;
}

static void fill(struct volumes_record *rec, uint64_t dev, uint64_t used, const char *volume,
                 const char *org, const char *app)
{
	*rec = (struct volumes_record){ .kind = VOLUMES_THIN, .dev = dev, .size_bytes = 1000 };
	rec->used_bytes = used;
	(void)snprintf(rec->volume, sizeof(rec->volume), "%s", volume);
	(void)snprintf(rec->org, sizeof(rec->org), "%s", org);
	(void)snprintf(rec->app, sizeof(rec->app), "%s", app);
}

#define OF_VM(id)   "{__org__=\"acme\",app=\"web\",host=\"00ff\",id=\"" id "\",region=\"lhr\"} "
#define OF_NONE(id) "{__org__=\"ops\",app=\"db\",host=\"00ff\",id=\"" id "\",region=\"ams\"} "

/* clang-format off */
static const char both[] =
	"fly_volume_size_bytes" OF_VM("vol_a") "1000\n"
	"fly_volume_used_pct" OF_VM("vol_a") "12.5\n"
	"fly_volume_size_bytes" OF_VM("vol_b") "1000\n"
	"fly_volume_used_pct" OF_VM("vol_b") "25\n"
	"fly_volume_size_bytes" OF_NONE("vol_n") "1000\n"
	"fly_volume_used_pct" OF_NONE("vol_n") "50\n";
/* clang-format on */

static void test_source(void **state)
{
	_cleanup_(peer_done) struct peer p = peer_make();
	struct source *src = source_of(&p);
	struct vm vm = vm_with_volumes();

	(void)state;
	assert_int_equal(0, volumes_source.vm_added(src, &vm));
	volumes_source.begin(src);
	prepare(peer_hear(&p), 6, true);
	/* Whose, nobody knows; an organisation that is none; nobody's; no volume. */
	fill(&packet.records[0], 1005, 100, "vol_x", "", "db");
	fill(&packet.records[1], 1004, 100, "vol_x", "Bad Org", "db");
	fill(&packet.records[2], 1003, 500, "vol_n", "ops", "db");
	fill(&packet.records[5], 1002, 100, "", "ops", "db");
	/* A VM has these: its labels and its description go before what tags say. */
	fill(&packet.records[3], 1001, 250, "vol_b", "ops", "db");
	fill(&packet.records[4], 1000, 125, "vol_z", "ops", "db");
	peer_say(&p, packet_bytes());
	assert_collects(src, 0, both);
	/* Not active any more: the size stays. Given up by the kernel: its use is unknown. */
	volumes_source.begin(src);
	prepare(peer_hear(&p), 1, true);
	fill(&packet.records[0], 1001, 0, "vol_b", "", "");
	packet.records[0].failed = 1;
	peer_say(&p, packet_bytes());
	assert_collects(src, 0,
	                "fly_volume_size_bytes" OF_VM("vol_a") "1000\n"
	                                                       "fly_volume_size_bytes" OF_VM(
								       "vol_b") "1000\n");
	/* The helper is away: told, because somebody has a volume. */
	(void)close(p.fd);
	p.fd = -1;
	(void)close(p.listener);
	(void)unlink(p.path);
	volumes_source.begin(src);
	volumes_source.begin(src);
	assert_collects(src, -ENOENT, "fly_volume_size_bytes" OF_VM("vol_a") "1000\n");
	volumes_source.vm_gone(src, &vm);
	assert_collects(src, 0, ""); /* nobody misses it */
	volumes_source.free(src);
	host_conf_done(&conf);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_answer_in_pieces),
		cmocka_unit_test(test_no_answer),
		cmocka_unit_test(test_nobody_there),
		cmocka_unit_test(test_killed_in_between),
		cmocka_unit_test(test_error_of_the_helper),
		cmocka_unit_test(test_garbage),
		cmocka_unit_test(test_too_much),
		cmocka_unit_test(test_other_question),
		cmocka_unit_test(test_source),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
