/* SPDX-License-Identifier: BSD-2-Clause */
/* Readiness: the datagrams as a manager's socket receives them, and the watchdog's environment. */
#include "tests/unit/unit.h"

#include <errno.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "userspace/base/sdnotify.h"

/* A manager at an abstract address of the kernel's choice; NOTIFY_SOCKET names it. */
static int listen_here(void)
{
	struct sockaddr_un a = { .sun_family = AF_UNIX };
	socklen_t len = sizeof(sa_family_t);
	int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	char name[sizeof(a.sun_path) + 1] = "@";

	assert_true(fd >= 0);
	assert_int_equal(0, bind(fd, (struct sockaddr *)&a, len));
	len = sizeof(a);
	assert_int_equal(0, getsockname(fd, (struct sockaddr *)&a, &len));
	memcpy(name + 1, a.sun_path + 1, len - offsetof(struct sockaddr_un, sun_path) - 1);
	assert_int_equal(0, setenv("NOTIFY_SOCKET", name, 1));
	return fd;
}

static const char *received(int fd)
{
	static char text[2000];
	ssize_t n = recv(fd, text, sizeof(text) - 1, MSG_DONTWAIT);

	assert_true(n > 0);
	text[n] = '\0';
	return text;
}

static void test_messages(void **state)
{
	char longer[1000];
	int fd = listen_here();

	(void)state;
	assert_int_equal(0, sdnotify_ready("serving"));
	assert_string_equal("READY=1\nSTATUS=serving", received(fd));
	assert_int_equal(0, sdnotify_status("a\nREADY=1\rb"));
	assert_string_equal("STATUS=a READY=1 b", received(fd)); /* one assignment, not two */
	assert_int_equal(0, sdnotify_stopping());
	assert_string_equal("STOPPING=1", received(fd));
	assert_int_equal(0, sdnotify_watchdog());
	assert_string_equal("WATCHDOG=1", received(fd));
	assert_int_equal(0, sdnotify_extend_timeout(UINT64_MAX));
	assert_string_equal("EXTEND_TIMEOUT_USEC=18446744073709551615", received(fd));
	assert_int_equal(0, sdnotify_reloading());
	const char *text = received(fd);

	assert_int_equal(0, strncmp(text, "RELOADING=1\nMONOTONIC_USEC=", 27));
	assert_true(strtoull(text + 27, NULL, 10) > 0);
	memset(longer, 'x', sizeof(longer));
	longer[sizeof(longer) - 1] = '\0';
	assert_int_equal(0, sdnotify_status(longer));
	assert_int_equal(511, strlen(received(fd))); /* cut, not refused */
	close(fd);
	assert_int_equal(-ECONNREFUSED, sdnotify_watchdog());
}

static void test_without_manager(void **state)
{
	char far[200];

	(void)state;
	unsetenv("NOTIFY_SOCKET");
	assert_int_equal(0, sdnotify_ready("nobody listens"));
	setenv("NOTIFY_SOCKET", "relative", 1);
	assert_int_equal(-EINVAL, sdnotify_watchdog());
	setenv("NOTIFY_SOCKET", "", 1);
	assert_int_equal(-EINVAL, sdnotify_watchdog());
	setenv("NOTIFY_SOCKET", "/nonexistent/notify", 1);
	assert_int_equal(-ENOENT, sdnotify_watchdog());
	memset(far, '/', sizeof(far));
	far[sizeof(far) - 1] = '\0';
	setenv("NOTIFY_SOCKET", far, 1);
	assert_int_equal(-EINVAL, sdnotify_watchdog());
	unsetenv("NOTIFY_SOCKET");
}

/* A manager that does not read: its queue is full after a few messages. */
static void test_deaf_manager(void **state)
{
	int fd = listen_here(), r = 0;

	(void)state;
	(void)alarm(60); /* waiting for it for ever would hang the test */
	for (int i = 0; i < 100000 && r == 0; i++)
		r = sdnotify_watchdog();
	assert_int_equal(-EAGAIN, r);
	assert_int_equal(-EAGAIN, sdnotify_stopping());
	(void)received(fd);
	assert_int_equal(0, sdnotify_stopping()); /* there is room again */
	(void)alarm(0);
	close(fd);
}

static void test_watchdog_us(void **state)
{
	char pid[20];

	(void)state;
	unsetenv("WATCHDOG_PID");
	unsetenv("WATCHDOG_USEC");
	assert_int_equal(0, sdnotify_watchdog_us());
	setenv("WATCHDOG_USEC", "30000000", 1);
	assert_int_equal(30000000, sdnotify_watchdog_us());
	setenv("WATCHDOG_PID", "1", 1); /* meant for another process */
	assert_int_equal(0, sdnotify_watchdog_us());
	(void)snprintf(pid, sizeof(pid), "%d", getpid());
	setenv("WATCHDOG_PID", pid, 1);
	assert_int_equal(30000000, sdnotify_watchdog_us());
	setenv("WATCHDOG_USEC", "30s", 1);
	assert_int_equal(0, sdnotify_watchdog_us());
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_messages),
		cmocka_unit_test(test_without_manager),
		cmocka_unit_test(test_deaf_manager),
		cmocka_unit_test(test_watchdog_us),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
