/* SPDX-License-Identifier: BSD-2-Clause */
#pragma once

/*
 * systemd's readiness protocol: one datagram to $NOTIFY_SOCKET (sd_notify(3) documents it). Written
 * by hand because a privileged program should not link libsystemd and what that pulls in. Without
 * NOTIFY_SOCKET every call does nothing and succeeds. A manager that does not read costs two
 * seconds and -EAGAIN, a beat costs no time.
 */

#include <stdint.h>

int sdnotify_ready(const char *status);  /* READY=1 and STATUS= */
int sdnotify_status(const char *status); /* one line */
int sdnotify_reloading(void);
int sdnotify_stopping(void);
int sdnotify_watchdog(void);
int sdnotify_extend_timeout(uint64_t us);

/* Microseconds between watchdog beats that systemd wants from this process; 0 = none. */
uint64_t sdnotify_watchdog_us(void);
