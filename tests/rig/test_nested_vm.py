#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""Real QEMU processes on the rig's kernel, found by a real daemon: cgroups of the second generation with a
limit on a parent, disks and taps, and every way in which a monitor ends.

Runs inside the rig (scripts/rig), where time is real. What the daemon collected is read from its --tap file,
and compared with the kernel's own files while the monitor stands still.
"""
import pathlib
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import unittest

TOP = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(TOP / "scripts/lib"))
# pylint: disable=wrong-import-position
import periscope  # noqa: E402
import rig  # noqa: E402

CGROUPS = pathlib.Path("/sys/fs/cgroup")
LINE = re.compile(r'^(\w+)\{(.*)\} (\S+) (\d+)$')
PATIENCE_S = 120  # an emulated machine in an emulated machine


class NestedVm(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.stack = cls.enterClassContext(rig.Stack())
        cls.scratch = pathlib.Path(tempfile.mkdtemp(dir="/run"))
        cls.logs = cls.scratch / "logs"
        cls.logs.mkdir()
        cls.network = rig.Network(cls.stack, cls.logs)
        cls.tap_file = cls.scratch / "tap"
        cls.host = periscope.Host(cls.scratch, cls.logs, "http://127.0.0.1:9")  # nobody is there
        cls.daemon = rig.Process("host", cls.host.argv("--tap", cls.tap_file), cls.logs / "host.log")
        cls.stack.callback(cls.daemon.stop)
        rig.wait_for("the daemon", PATIENCE_S, lambda: "collecting" in cls.daemon.log())

    def launch(self, instance):
        vm = rig.Vm(self.stack, instance, self.network, self.scratch, self.logs, accel="tcg", vcpus=1,
                    memory_mib=128)
        self.addCleanup(vm.close)
        rig.wait_for("QEMU", PATIENCE_S, lambda: vm.pid_file.exists() and vm.alive())
        vm.write_spec(self.host.specs)
        self.wait_for_sample("fly_instance_up", instance, app="demo")
        return vm

    def samples(self, series, instance, **labels):
        """[(labels, value, time)] in the order of collection."""
        found = []
        for line in self.tap_file.read_text(errors="replace").splitlines():
            if (match := LINE.match(line)) and match[1] == series:
                has = dict(re.findall(r'(\w+)="([^"]*)"', match[2]))
                if has.get("instance") == instance and labels.items() <= has.items():
                    found.append((has, float(match[3]), int(match[4]) / 1000))
        return found

    def wait_for_sample(self, series, instance, after=0.0, **labels):
        """The newest sample that was taken after that time and is no stale mark."""
        def newest():
            return [s for s in self.samples(series, instance, **labels) if s[2] > after and s[1] == s[1]][-1:]
        return rig.wait_for(f"{series} of {instance}", PATIENCE_S, newest, every=0.2)[0]

    def check_end(self, instance, ended, code, reason, signal_name, oom):
        _, value, when = self.wait_for_sample("fly_instance_exit_vm_code", instance, after=ended - 0.05)
        print(f"{instance}: told {when - ended:+.3f} s after the end")
        self.assertLess(when - ended, 1, "within a second")
        self.assertEqual(value, code)
        self.assertEqual({value for _, value, when in self.samples("fly_instance_exit_vm_code", instance)
                          if when < ended - 0.05}, {0}, "0 until then")
        info, _, _ = self.wait_for_sample("fly_instance_exit_info", instance)
        self.assertEqual((info["reason"], info.get("signal", "")), (reason, signal_name))
        self.assertEqual(self.wait_for_sample("fly_instance_exit_oom", instance, after=ended - 0.05)[1], oom)
        up = [value for _, value, _ in self.samples("fly_instance_up", instance)]
        self.assertNotEqual(up[-1], up[-1], "a stale mark is the last of it")

    def test_1_limit_on_a_parent(self):
        """Throttled time is the parent's, disk and tap are the kernel's own numbers."""
        vm = self.launch("nested00000001")
        parent = CGROUPS / "jail"
        leaf = parent / "vm"
        leaf.mkdir(parents=True)
        (parent / "cgroup.subtree_control").write_text("+cpu")
        (leaf / "cgroup.procs").write_text(str(vm.process.pid))
        (parent / "cpu.max").write_text("30000 100000")
        time.sleep(6)  # the guest boots, as far as it gets
        vm.process.signal(signal.SIGSTOP)
        time.sleep(1)
        stat = dict(line.split() for line in (parent / "cpu.stat").read_text().splitlines())
        leaf_stat = dict(line.split() for line in (leaf / "cpu.stat").read_text().splitlines())
        now = time.time()
        _, throttled, _ = self.wait_for_sample("fly_instance_cpu_throttle", vm.instance, after=now)
        print(f"throttled: {throttled:.4f} cs; cpu.stat {int(stat['throttled_usec']) / 1e4:.4f}")
        self.assertGreater(throttled, 0)
        self.assertAlmostEqual(throttled, int(stat["throttled_usec"]) / 1e4, delta=0.001)
        self.assertEqual(leaf_stat["throttled_usec"], "0", "it is the parent's")

        disk = pathlib.Path(f"/sys/block/{pathlib.Path(vm.disk.path).name}/stat").read_text().split()
        for series, field in ("reads_completed", 0), ("sectors_read", 2), ("sectors_written", 6):
            found = self.wait_for_sample(f"fly_instance_disk_{series}", vm.instance, after=now, device="vda")
            self.assertEqual(found[1], int(disk[field]), series)
        dev = self.network.inside("cat", "/proc/net/dev")
        fields = dict(line.split(":") for line in dev.splitlines() if ":" in line)
        tap = next(value.split() for name, value in fields.items() if name.strip() == vm.tap)
        for series, field in ("sent_bytes", 0), ("sent_packets", 1), ("recv_bytes", 8), ("recv_packets", 9):
            found = self.wait_for_sample(f"fly_instance_net_{series}", vm.instance, after=now, device="eth0")
            self.assertEqual(found[1], int(tap[field]), series)
        vm.process.signal(signal.SIGCONT)

    def test_2_killed(self):
        vm = self.launch("nested00000002")
        ended = time.time()
        vm.kill()
        self.check_end(vm.instance, ended, 128 + signal.SIGKILL, "killed", "SIGKILL", 0)

    def test_3_exits(self):
        """QEMU ends by itself when it is asked to, or by the signal when it has just begun."""
        vm = self.launch("nested00000003")
        ended = time.time()
        vm.process.popen.terminate()
        status = vm.process.popen.wait(PATIENCE_S)
        if status < 0:
            self.check_end(vm.instance, ended, 128 - status, "killed", signal.Signals(-status).name, 0)
        else:
            self.check_end(vm.instance, ended, status, "exited", "", 0)

    def test_4_host_runs_out_of_memory(self):
        vm = self.launch("nested00000004")
        group = CGROUPS / "small"
        group.mkdir()
        (group / "cgroup.procs").write_text(str(vm.process.pid))
        (group / "memory.max").write_text("1M")
        vm.process.popen.wait(PATIENCE_S)
        ended = time.time()
        events = dict(line.split() for line in (group / "memory.events").read_text().splitlines())
        self.assertGreater(int(events["oom_kill"]), 0, "the kernel's own count")
        self.check_end(vm.instance, ended - 1, 128 + signal.SIGKILL, "host_oom", "SIGKILL", 1)

    @classmethod
    def tearDownClass(cls):
        cls.daemon.stop()
        shutil.rmtree(cls.scratch, ignore_errors=True)


def main():
    if lacks := rig.missing() + periscope.programs_missing():
        print("skip: missing " + "; ".join(lacks))
        return 77
    subprocess.run(["modprobe", "-a", "loop", "tun"], check=False)
    return 0 if unittest.main(exit=False, verbosity=2).result.wasSuccessful() else 1


if __name__ == "__main__":
    sys.exit(main())
