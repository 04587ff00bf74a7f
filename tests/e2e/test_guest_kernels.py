#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""Kernels that the daemon does not know, and kernels that come one after the other in one VM."""
import sys

import e2e  # first: it finds scripts/lib
import periscope
import rig


class GuestKernels(e2e.TestCase):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        rig.ensure_guest()
        cls.both_programs(profiles=periscope.ensure_profiles())

    @staticmethod
    def of(vm, name, **labels):
        return periscope.selector(name, instance=vm.instance, app="demo", **labels)

    def view(self, vm):
        """(1 or 0, reason) as the owner sees it."""
        found = self.region.query(self.of(vm, "fly_instance_guest_view"))
        return [(value, labels["reason"]) for labels, value in found]

    def test_no_profile(self):
        """It says so, the log says so once, and what the host sees is there; the rest is left out, not guessed."""
        qmp = self.scratch / "qmp"
        vm = self.boot("e2e60000000001", devices=("-device", "virtio-balloon-device", "-qmp",
                                                  f"unix:{qmp},server=on,wait=off"))
        vm.write_spec(self.host.specs, kernel_profile="another", monitor_socket=str(qmp))
        rig.wait_for("the view's reason", 10, lambda: self.view(vm) == [(0, "no_profile")])
        self.wait_for_sample(self.of(vm, "fly_instance_net_recv_bytes", device="eth0"))
        self.wait_for_sample(self.of(vm, "fly_instance_cpu_steal_host_seconds", cpu_id="0"))
        self.wait_for_sample(self.of(vm, "fly_instance_disk_sectors_written", device="vda"))
        # Of memory, what the balloon driver tells: to the byte what the guest itself says.
        _, total = self.wait_for_sample(self.of(vm, "fly_instance_memory_mem_total"), seconds=20)
        self.assertEqual(total, int(vm.sh("grep MemTotal: /proc/meminfo").split()[1]) << 10)
        _, free = self.wait_for_sample(self.of(vm, "fly_instance_memory_mem_free"))
        self.assertLess(abs(free - (int(vm.sh("grep MemFree: /proc/meminfo").split()[1]) << 10)), 4 << 20)
        for name in ("memory_cached", "memory_slab", "load_average", "filefd_allocated", "filesystem_blocks"):
            self.assertEqual(self.region.query(self.of(vm, f"fly_instance_{name}")), [], name)
        self.assertEqual(self.region.number(self.of(vm, "fly_instance_up")), 1)
        lines = [line for line in self.host.process.log().splitlines()
                 if "not read, only seen from the host" in line and vm.instance in line]
        self.assertEqual(len(lines), 1, lines)

    def test_reboot_in_place(self):
        """The old kernel stays in memory, whole; the new one is read nevertheless."""
        vm = self.boot("e2e60000000002", reboots=True)
        vm.write_spec(self.host.specs)
        rig.wait_for("the guest to be read", 20, lambda: self.view(vm) == [(1, "ok")])
        vm.sh("sleep 8")  # so that uptimes differ
        uptime = self.of(vm, "fly_instance_uptime_seconds")
        before = self.wait_for_sample(uptime)
        vm.console.tell("exec reboot -f")
        rig.wait_for("the second boot", 120, lambda: vm.console_log.read_bytes().count(b"rig: ready") == 2)

        def read_again():
            when, value = self.wait_for_sample(uptime, after=before[0])
            return self.view(vm) == [(1, "ok")] and value < when - before[0] + 1 and (when, value)
        when, value = rig.wait_for("the new kernel to be read", 240, read_again)
        print(f"uptime {before[1]:.1f} s, and {when - before[0]:.1f} s later {value:.1f} s")
        self.assertLess(value, before[1] + when - before[0] - 5, "it is another kernel's uptime")
        self.assertEqual(self.region.number(self.of(vm, "fly_instance_up")), 1)


if __name__ == "__main__":
    sys.exit(e2e.main())
