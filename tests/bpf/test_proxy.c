/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The proxies' programs on this kernel: they load, and tell what a tiny proxy of the test's own
 * does, in clear, in TLS and in HTTP/2, at its edge and before a VM. Then noise goes through them.
 */
#include "tests/bpf/bpf_test.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include "userspace/base/err.h"
#include "userspace/host/proxy/cgroups.h"
#include "userspace/host/proxy/programs.h"

#define VM_ADDRESS "127.0.9.9"
#define VM_OWNER   7
#define HELLO      "\x16\3\1\0\5\1\0\0\1x"
#define ALERT_70   "\x15\3\3\0\2\2\x46"
#define H2_PREFACE "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
/* SETTINGS; HEADERS of stream 1: end of headers and of the stream */
#define H2_ASK                          \
	H2_PREFACE "\0\0\0\4\0\0\0\0\0" \
		   "\0\0\3\1\5\0\0\0\1" \
		   "\x82\x84\x86"
#define H2_ANSWER            \
	"\0\0\0\4\0\0\0\0\0" \
	"\0\0\1\1\5\0\0\0\1" \
	"\x88"

static char cgroup_path[PATH_MAX];
static in_port_t edge_port, vm_port;

/* ---- what was told ---- */

static struct {
	unsigned n[3][PROXY_WHATS];
	struct proxy_rec last[PROXY_WHATS];
	unsigned status; /* of the last answer that a close brought */
	char host[64], fields[64];
	size_t fields_len;
} told;

static void on_rec(void *ctx, const struct proxy_rec *rec, size_t bytes)
{
	const struct proxy_bytes_rec *b = (const void *)rec;

	(void)ctx;
	assert_true(bytes >= sizeof(*rec) && rec->what < PROXY_WHATS && rec->role < 3);
	told.n[rec->role][rec->what]++;
	told.last[rec->what] = *rec;
	if (rec->what == PROXY_CLOSE && rec->close.n == 1)
		told.status = rec->close.status;
	if (rec->what == PROXY_HOST)
		(void)snprintf(told.host, sizeof(told.host), "%.*s", (int)b->len,
		               (const char *)b->bytes);
	if (rec->what == PROXY_FIELDS && b->by_server && b->len <= sizeof(told.fields)) {
		memcpy(told.fields, b->bytes, b->len);
		told.fields_len = b->len;
	}
}

/* ---- the proxy: a child in a cgroup of its own ---- */

static struct sockaddr_in at(const char *ip, in_port_t port)
{
	struct sockaddr_in a = { .sin_family = AF_INET, .sin_port = port };

	assert_int_equal(1, inet_pton(AF_INET, ip, &a.sin_addr));
	return a;
}

static int listen_at(const char *ip, in_port_t *ret_port)
{
	struct sockaddr_in a = at(ip, 0);
	socklen_t len = sizeof(a);
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	assert_int_equal(0, bind(fd, (struct sockaddr *)&a, len));
	assert_int_equal(0, listen(fd, 64));
	assert_int_equal(0, getsockname(fd, (struct sockaddr *)&a, &len));
	*ret_port = a.sin_port;
	return fd;
}

static int connect_to(const char *ip, in_port_t port)
{
	struct sockaddr_in a = at(ip, port);
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), on = 1;

	(void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
	assert_int_equal(0, connect(fd, (struct sockaddr *)&a, sizeof(a)));
	return fd;
}

static void say(int fd, const char *bytes, size_t n)
{
	assert_int_equal(n, send(fd, bytes, n, MSG_NOSIGNAL));
}

#define SAY(fd, text) say(fd, text, sizeof(text) - 1)

/* Answers in the protocol of what comes first, then waits for the client to end. */
static void serve(int fd)
{
	char in[4096];
	ssize_t n = recv(fd, in, sizeof(in), 0);

	if (n > 3 && memcmp(in, "GET", 3) == 0)
		SAY(fd, "HTTP/1.1 418 X\r\nContent-Length: 5\r\n\r\nhello");
	else if (n > 0 && in[0] == '\x16')
		SAY(fd, ALERT_70);
	else if (n > 3 && memcmp(in, "PRI", 3) == 0)
		SAY(fd, H2_ANSWER);
	else if (n > 0)
		(void)send(fd, in, (size_t)n, MSG_NOSIGNAL);
	while (n > 0)
		n = recv(fd, in, sizeof(in), 0);
	(void)close(fd);
}

static int edge_listener = -1;

/* 'm': into the cgroup, and listen; 's': serve one client; 'v': ask the VM. */
static int proxy(char what)
{
	char path[PATH_MAX + 32], in[256];
	int fd;

	switch (what) {
	case 'm':
		(void)snprintf(path, sizeof(path), "%s/cgroup.procs", cgroup_path);
		fd = open(path, O_WRONLY | O_CLOEXEC);
		if (fd < 0 || write(fd, "0", 1) != 1)
			return 1;
		(void)close(fd);
		edge_listener = listen_at("127.0.0.1", &edge_port);
		return 0;
	case 'p':
		return ntohs(edge_port) & 0xff;
	case 'P':
		return ntohs(edge_port) >> 8;
	case 's':
		serve(accept(edge_listener, NULL, NULL));
		return 0;
	default:
		fd = connect_to(VM_ADDRESS, vm_port);
		SAY(fd, "GET / HTTP/1.1\r\nHost: vm\r\n\r\n");
		(void)!recv(fd, in, sizeof(in), 0);
		(void)close(fd);
		return 0;
	}
}

/* ---- the test ---- */

static struct child child;
static struct programs *all;
static struct program *program;

static void remove_cgroup(void)
{
	for (int i = 0; rmdir(cgroup_path) < 0 && errno == EBUSY && i < 50; i++)
		sleep_ms(20);
}

static int set_up(void **state)
{
	struct net_addr vm;
	struct err e = ERR_INIT;
	struct stat st;
	char root[PATH_MAX];

	(void)state;
	if (cgroups_root(root) < 0)
		skip_test("needs cgroup v2");
	(void)snprintf(cgroup_path, sizeof(cgroup_path), "%.*s/periscope-test-proxy-%d",
	               PATH_MAX - 64, root, getpid());
	if (mkdir(cgroup_path, 0755) < 0)
		skip_test("needs a writable cgroup v2");
	(void)atexit(remove_cgroup);
	int vm_listener = listen_at(VM_ADDRESS, &vm_port);

	assert_true(vm_listener >= 0);
	*state = (void *)(intptr_t)vm_listener;
	child = child_start(proxy);
	assert_int_equal(0, child_do(&child, 'm'));
	edge_port = htons(
		(uint16_t)((child_do(&child, 'P') & 0xff) << 8 | (child_do(&child, 'p') & 0xff)));
	assert_int_equal(0, net_addr_parse(VM_ADDRESS, &vm));
	if (programs_open(&all, on_rec, NULL, &e) < 0 ||
	    program_open(&program, all, 0, NULL, 0, &e) < 0)
		fail_msg("%s", e.msg);
	assert_int_equal(0, programs_set_vm(all, &vm, VM_OWNER));
	int fd = open(cgroup_path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	assert_int_equal(0, fstat(fd, &st));
	if (program_attach(program, fd, st.st_ino, &e) < 0)
		fail_msg("%s", e.msg);
	(void)close(fd);
	return 0;
}

static int tear_down(void **state)
{
	(void)close((int)(intptr_t)*state);
	program_close(program);
	programs_close(all);
	(void)child_end(&child);
	return 0;
}

/* One client that says @bytes and reads what comes; then everything is told. */
static void visit(const char *bytes, size_t n)
{
	char in[256];

	memset(&told, 0, sizeof(told));
	child_tell(&child, 's');
	int fd = connect_to("127.0.0.1", edge_port);

	say(fd, bytes, n);
	if (n > 0)
		(void)!recv(fd, in, sizeof(in), 0);
	(void)close(fd);
	(void)child_answer(&child);
	sleep_ms(20); /* the last acknowledgements pass */
	assert_true(programs_consume(all) >= 0);
	assert_int_equal(1, told.n[PROXY_EDGE][PROXY_OPEN]);
	assert_int_equal(1, told.n[PROXY_EDGE][PROXY_CLOSE]);
	assert_int_equal(n, told.last[PROXY_CLOSE].close.in_bytes);
}

#define VISIT(text) visit(text, sizeof(text) - 1)

static void test_edge(void **state)
{
	(void)state;
	VISIT("GET /tea HTTP/1.1\r\nHost: www.example.com\r\n\r\n");
	assert_int_equal(418, told.status);
	assert_string_equal("www.example.com", told.host);
	VISIT(HELLO);
	assert_int_equal(1, told.n[PROXY_EDGE][PROXY_HELLO]);
	assert_int_equal(1, told.n[PROXY_EDGE][PROXY_HANDSHAKE]);
	assert_int_equal(70, told.last[PROXY_HANDSHAKE].handshake.alert);
	assert_int_equal(1, told.last[PROXY_HANDSHAKE].handshake.by_server);
	VISIT(H2_ASK);
	assert_int_equal(2, told.n[PROXY_EDGE][PROXY_FIELDS]);
	assert_int_equal(1, told.fields_len);
	assert_memory_equal("\x88", told.fields, 1);
	VISIT("");
}

static void test_vm(void **state)
{
	int listener = (int)(intptr_t)*state;
	char in[256];

	memset(&told, 0, sizeof(told));
	child_tell(&child, 'v');
	int fd = accept(listener, NULL, NULL);

	(void)!recv(fd, in, sizeof(in), 0);
	SAY(fd, "HTTP/1.1 204 X\r\n\r\n");
	(void)child_answer(&child);
	(void)close(fd);
	sleep_ms(20);
	assert_true(programs_consume(all) >= 0);
	assert_int_equal(1, told.n[PROXY_APP][PROXY_OPEN]);
	assert_true(told.last[PROXY_OPEN].open.connect_ns > 0);
	assert_int_equal(1, told.n[PROXY_APP][PROXY_CLOSE]);
	assert_int_equal(204, told.status);
}

/* Whatever clients send and get back, the next one is understood. */
static void test_noise(void **state)
{
	static const char *const pieces[] = { "GET / HTTP/1.1\r\n",
		                              "HTTP/1.1 200 OK\r\n",
		                              "\r\n\r\n",
		                              "Content-Length: 99999999999999999999\r\n",
		                              "Transfer-Encoding: chunked\r\n\r\nffffffff\r\n",
		                              H2_PREFACE,
		                              "\x16\3\1\xff\xff\1",
		                              "Host: x" };
	struct rng rng = unit_rng();
	char bytes[2048];

	(void)state;
	for (int i = 0; i < 300; i++) {
		size_t n = 0;

		while (n < sizeof(bytes) - 256 && (n == 0 || rng_below(&rng, 6))) {
			const char *piece = pieces[rng_below(&rng, ARRAY_SIZE(pieces))];

			if (rng_below(&rng, 3))
				n += (size_t)snprintf(bytes + n, 100, "%s", piece);
			for (uint32_t j = rng_below(&rng, 60); j > 0; j--)
				bytes[n++] = (char)rng_u64(&rng);
		}
		visit(bytes, n);
	}
	VISIT("GET /tea HTTP/1.1\r\nHost: www.example.com\r\n\r\n");
	assert_int_equal(418, told.status);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_edge),
		cmocka_unit_test(test_vm),
		cmocka_unit_test(test_noise),
	};

	skip_unless_root();
	return cmocka_run_group_tests(tests, set_up, tear_down);
}
