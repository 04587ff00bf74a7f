/* SPDX-License-Identifier: BSD-2-Clause */
#include "userspace/volumes/privilege.h"

#include <errno.h>
#include <linux/capability.h>
#include <stdint.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#define KEPT      CAP_SYS_ADMIN
#define KEPT_BITS (1u << KEPT)

_Static_assert(KEPT < 32, "it is in the first word");

/* There is no wrapper in glibc, and libcap is a library for two calls. */
static int get_caps(struct __user_cap_data_struct data[2])
{
	struct __user_cap_header_struct head = { _LINUX_CAPABILITY_VERSION_3, 0 };

	return syscall(SYS_capget, &head, data) < 0 ? neg_errno() : 0;
}

static int set_caps(const struct __user_cap_data_struct data[2])
{
	struct __user_cap_header_struct head = { _LINUX_CAPABILITY_VERSION_3, 0 };

	return syscall(SYS_capset, &head, data) < 0 ? neg_errno() : 0;
}

/* Needs CAP_SETPCAP; a service manager that gave us less has done it already. */
static void limit_children(void)
{
	for (int cap = 0; cap <= CAP_LAST_CAP; cap++) {
		if (cap != KEPT)
			(void)prctl(PR_CAPBSET_DROP, cap, 0, 0, 0);
	}
}

int privilege_reduce(struct err *e)
{
	const struct __user_cap_data_struct kept[2] = { { KEPT_BITS, KEPT_BITS, KEPT_BITS } };
	struct __user_cap_data_struct had[2];
	int r = get_caps(had);

	if (r == 0 && !(had[0].permitted & KEPT_BITS))
		return err_set(e, -EPERM,
		               "CAP_SYS_ADMIN is missing: device-mapper answers nobody else");
	if (r == 0) {
		limit_children();
		r = set_caps(kept);
	}
	if (r == 0 && (prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, KEPT, 0, 0) < 0 ||
	               prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0))
		r = neg_errno();
	return r < 0 ? err_set(e, r, "cannot give up privileges: %s", strerror(-r)) : 0;
}
