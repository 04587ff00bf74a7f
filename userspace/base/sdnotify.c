/* SPDX-License-Identifier: BSD-2-Clause */
#include "userspace/base/sdnotify.h"

#include <errno.h>
#include <inttypes.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "userspace/base/cleanup.h"
#include "userspace/base/err.h"
#include "userspace/base/num.h"

#define MESSAGE_MAX 512
#define PATIENCE_S  2

static int address_of(const char *path, struct sockaddr_un *ret, socklen_t *ret_len)
{
	size_t len = strlen(path);

	if ((path[0] != '/' && path[0] != '@') || len >= sizeof(ret->sun_path))
		return -EINVAL;
	*ret = (struct sockaddr_un){ .sun_family = AF_UNIX };
	memcpy(ret->sun_path, path, len);
	if (path[0] == '@')
		ret->sun_path[0] = '\0'; /* the abstract name space */
	*ret_len = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + len);
	return 0;
}

/*
 * A manager that does not read must not hold us up: what it has to know waits for a little, a beat
 * not at all, since there will be another.
 */
static int notify_flags(const char *message, int flags)
{
	const struct timeval patience = { .tv_sec = PATIENCE_S };
	const char *path = getenv("NOTIFY_SOCKET");
	struct sockaddr_un address;
	socklen_t len;

	if (!path)
		return 0;
	int r = address_of(path, &address, &len);

	if (r < 0)
		return r;
	_cleanup_close_ int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	if (fd < 0)
		return neg_errno();
	if (setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof(patience)) < 0 ||
	    sendto(fd, message, strlen(message), MSG_NOSIGNAL | flags, (struct sockaddr *)&address,
	           len) < 0)
		return neg_errno();
	return 0;
}

static int notify(const char *message)
{
	return notify_flags(message, 0);
}

/* A line feed in @status would begin an assignment of its own. */
static int notify_status(const char *before, const char *status)
{
	char text[MESSAGE_MAX];
	size_t from = strlen(before);

	(void)snprintf(text, sizeof(text), "%sSTATUS=%s", before, status);
	for (char *p = text + from; *p; p++) {
		if (*p == '\n' || *p == '\r')
			*p = ' ';
	}
	return notify(text);
}

int sdnotify_ready(const char *status)
{
	return notify_status("READY=1\n", status);
}

int sdnotify_status(const char *status)
{
	return notify_status("", status);
}

int sdnotify_reloading(void)
{
	char text[MESSAGE_MAX];
	struct timespec ts;

	(void)clock_gettime(CLOCK_MONOTONIC, &ts);
	(void)snprintf(text, sizeof(text), "RELOADING=1\nMONOTONIC_USEC=%" PRIu64,
	               (uint64_t)ts.tv_sec * 1000000u + (uint64_t)ts.tv_nsec / 1000u);
	return notify(text);
}

int sdnotify_stopping(void)
{
	return notify("STOPPING=1");
}

int sdnotify_watchdog(void)
{
	return notify_flags("WATCHDOG=1", MSG_DONTWAIT);
}

int sdnotify_extend_timeout(uint64_t us)
{
	char text[MESSAGE_MAX];

	(void)snprintf(text, sizeof(text), "EXTEND_TIMEOUT_USEC=%" PRIu64, us);
	return notify(text);
}

uint64_t sdnotify_watchdog_us(void)
{
	const char *usec = getenv("WATCHDOG_USEC"), *pid = getenv("WATCHDOG_PID");
	uint64_t us, want_pid;

	if (!usec || num_parse_u64(str_from(usec), &us) < 0)
		return 0;
	if (pid && (num_parse_u64(str_from(pid), &want_pid) < 0 || want_pid != (uint64_t)getpid()))
		return 0;
	return us;
}
