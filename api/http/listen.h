/* SPDX-License-Identifier: BSD-2-Clause */
#pragma once

/* The listening socket, from "host:port", "[::1]:port" or ":port". Only numeric hosts, and
 * localhost: a server must not wait for a name service to start. */

#include <stdbool.h>
#include <sys/socket.h>

#include "userspace/base/err.h"
#include "userspace/base/str.h"

struct listen_address {
	struct sockaddr_storage sa;
	socklen_t len;
};

#define LISTEN_TEXT_MAX 64 /* "[IPv6]:port" and the NUL */

/* -EINVAL with @e. */
int listen_parse(struct str text, struct listen_address *ret, struct err *e);

/* Can nobody outside this machine reach it? */
bool listen_is_loopback(const struct listen_address *a);

/* A bound, listening, non-blocking socket. -EADDRINUSE and the like, with @e. */
int listen_open(const struct listen_address *a, int *ret_fd, struct err *e);

/* An address as text. -EINVAL, -ENOSPC. */
int listen_print(const struct sockaddr *sa, char *dst, size_t cap);

/* Where @fd listens really, as text: with port 0 the kernel chose. */
int listen_format(int fd, char *dst, size_t cap);
