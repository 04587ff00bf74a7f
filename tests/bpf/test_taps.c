/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The taps source against frames that the test counts itself: a child stands for the VMM, with a
 * tap in a network namespace of its own. What it writes to the tap the guest "sent"; what the
 * host's stack sends into the tap the guest "received" when the VMM reads it.
 */
#include "tests/bpf/source_test.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <linux/if_tun.h>
#include <net/if.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#define FRAME_BYTES 100
#define N_SENT      37
#define N_RECV      23

static int tap_fd = -1;

static int make_tap(void)
{
	struct ifreq req = { .ifr_flags = IFF_TAP | IFF_NO_PI };
	int s, r;

	if (unshare(CLONE_NEWNET) < 0)
		return 1;
	tap_fd = open("/dev/net/tun", O_RDWR);
	(void)snprintf(req.ifr_name, sizeof(req.ifr_name), "tap0");
	if (tap_fd < 0 || ioctl(tap_fd, TUNSETIFF, &req) < 0)
		return 2;
	s = socket(AF_INET, SOCK_DGRAM, 0);
	req.ifr_flags = IFF_UP;
	r = ioctl(s, SIOCSIFFLAGS, &req);
	(void)close(s);
	return r < 0 ? 3 : 0;
}

/*
 * An experimental ethertype: the host's stack has no handler for it, and drops it after
 * counting.
 */
static void make_frame(unsigned char *frame)
{
	memset(frame, 0x5a, FRAME_BYTES);
	memset(frame, 0x02, 12);
	frame[12] = 0x88;
	frame[13] = 0xb5;
}

static int guest_sends(void)
{
	unsigned char frame[FRAME_BYTES];

	make_frame(frame);
	for (int i = 0; i < N_SENT; i++) {
		if (write(tap_fd, frame, sizeof(frame)) != (ssize_t)sizeof(frame))
			return 1;
	}
	return 0;
}

static int guest_receives(void)
{
	struct sockaddr_ll to = { .sll_family = AF_PACKET,
		                  .sll_ifindex = (int)if_nametoindex("tap0"),
		                  .sll_halen = 6 };
	int s = socket(AF_PACKET, SOCK_RAW, 0), n = 0;
	unsigned char frame[2048];

	if (s < 0)
		return 1;
	for (int i = 0; i < N_RECV; i++) {
		make_frame(frame);
		if (sendto(s, frame, FRAME_BYTES, 0, (struct sockaddr *)&to, sizeof(to)) < 0)
			return 2;
	}
	(void)close(s);
	while (n < N_RECV) { /* the kernel's own (router solicitations) come between */
		ssize_t bytes = read(tap_fd, frame, sizeof(frame));

		if (bytes < 0)
			return 3;
		n += bytes == FRAME_BYTES && frame[12] == 0x88 && frame[13] == 0xb5;
	}
	return 0;
}

static int vmm(char what)
{
	return what == 'm' ? make_tap() : what == 's' ? guest_sends() : guest_receives();
}

static struct source *open_source(void)
{
	struct source *src;
	struct err e = ERR_INIT;

	if (taps_source.open(&src, NULL, &e) < 0)
		fail_msg("%s", e.msg);
	return src;
}

static double value(struct source *src, const char *series)
{
	return collect_one(&taps_source, src, series, "device", "eth0");
}

static struct vm tap_vm(pid_t pid)
{
	struct vm vm = test_vm(pid);

	(void)snprintf(vm.taps[0].ifname, sizeof(vm.taps[0].ifname), "tap0");
	(void)snprintf(vm.taps[0].guest_name, sizeof(vm.taps[0].guest_name), "eth0");
	vm.n_taps = 1;
	return vm;
}

static void test_counts_are_mirrored_and_exact(void **state)
{
	struct child c = child_start(vmm);
	struct source *src = open_source();
	int made = child_do(&c, 'm');

	(void)state;
	if (made != 0) {
		(void)child_end(&c);
		skip_test(made == 1 ? "no network namespaces" : "no tap devices");
	}
	struct vm vm = tap_vm(c.pid);

	assert_int_equal(0, taps_source.vm_added(src, &vm));
	double sent = value(src, "fly_instance_net_sent_packets");
	double sent_bytes = value(src, "fly_instance_net_sent_bytes");
	double drop = value(src, "fly_instance_net_sent_drop");

	assert_int_equal(0, child_do(&c, 's'));
	assert_double_near(N_SENT, value(src, "fly_instance_net_sent_packets") - sent, 0);
	assert_double_near(N_SENT * FRAME_BYTES,
	                   value(src, "fly_instance_net_sent_bytes") - sent_bytes, 0);
	assert_double_near(N_SENT, value(src, "fly_instance_net_sent_drop") - drop, 0);

	double recv = value(src, "fly_instance_net_recv_packets");
	double recv_bytes = value(src, "fly_instance_net_recv_bytes");

	assert_int_equal(0, child_do(&c, 'r'));
	double more = value(src, "fly_instance_net_recv_packets") - recv;

	/* At least ours; the kernel's own frames may have been read with them. */
	assert_true(more >= N_RECV);
	assert_true(value(src, "fly_instance_net_recv_bytes") - recv_bytes >= N_RECV * FRAME_BYTES);
	if (more == N_RECV)
		assert_double_near(N_RECV * FRAME_BYTES,
		                   value(src, "fly_instance_net_recv_bytes") - recv_bytes, 0);
	assert_double_near(0, value(src, "fly_instance_net_recv_errs"), 0);
	assert_int_equal(16, collect_count(&taps_source, src));
	taps_source.vm_gone(src, &vm);
	assert_int_equal(0, collect_count(&taps_source, src));
	taps_source.free(src);
	(void)child_end(&c);
}

/* A tap that does not exist gives no series, and the VM's end is not in the way of others. */
static void test_missing_tap(void **state)
{
	struct source *src = open_source();
	struct vm vm = tap_vm(getpid());

	(void)state;
	(void)snprintf(vm.taps[0].ifname, sizeof(vm.taps[0].ifname), "no-such-tap");
	assert_int_equal(0, taps_source.vm_added(src, &vm));
	assert_int_equal(0, collect_count(&taps_source, src));
	vm.pid = 0x7ffffff; /* no such process */
	vm.id = 2;
	assert_true(taps_source.vm_added(src, &vm) < 0);
	taps_source.vm_gone(src, &vm); /* also after a failure */
	taps_source.free(src);
}

/* A kept socket would keep the namespace: it must be gone with its last VM. */
static void test_namespace_is_let_go(void **state)
{
	struct child c = child_start(vmm);
	struct source *src = open_source();
	char path[64], link_before[64] = { 0 };

	(void)state;
	if (child_do(&c, 'm') != 0) {
		(void)child_end(&c);
		skip_test("no tap devices");
	}
	struct vm vm = tap_vm(c.pid);
	struct vm second = vm;

	second.id = 2;
	(void)snprintf(path, sizeof(path), "/proc/self/ns/net");
	assert_true(readlink(path, link_before, sizeof(link_before) - 1) > 0);
	int fds_before = dup(0);

	assert_int_equal(0, taps_source.vm_added(src, &vm));
	assert_int_equal(0, taps_source.vm_added(src, &second));
	assert_int_equal(32, collect_count(&taps_source, src));
	taps_source.vm_gone(src, &vm);
	assert_int_equal(16, collect_count(&taps_source, src));
	taps_source.vm_gone(src, &second);
	(void)close(fds_before);
	int fds_after = dup(0);
	char link_after[64] = { 0 };

	assert_int_equal(fds_before, fds_after); /* every descriptor was given back */
	assert_true(readlink(path, link_after, sizeof(link_after) - 1) > 0);
	assert_string_equal(link_before, link_after); /* and we are at home */
	(void)close(fds_after);
	taps_source.free(src);
	(void)child_end(&c);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_counts_are_mirrored_and_exact),
		cmocka_unit_test(test_missing_tap),
		cmocka_unit_test(test_namespace_is_let_go),
	};

	skip_unless_root();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
