#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""How guests end is told: exit code, want of memory, the monitor's own status, and what tells the code.

One VM for each way to end, all running at the same time.
"""
import signal
import sys

import e2e  # first: it finds scripts/lib
import periscope
import rig

APP_S = 4  # how long an app runs: it is seen once a second
WAYS = {  # what runs, and what its first process is told to do then
    "init_exits": ("", "exit 3"),
    "app_is_killed": (f"workload hog {APP_S}", "wait $!; exit $?"),
    "init_tells": ("", "echo 'periscope: exit_code=42 signal=10' >/dev/kmsg; exec reboot -f"),
    "console_tells": ("", "echo 'Main child exited normally with code: 9' >/dev/console; exec reboot -f"),
    "power_off": ("", "exec poweroff -f"),
    "monitor_is_killed": ("workload burn 10", ""),
    "panics": ("", "echo c >/proc/sysrq-trigger"),
}
QUIET = (f"workload ends {APP_S} 7", "wait $!; exec reboot -f")
QUIET_TRIES = 6


class GuestExit(e2e.TestCase):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        rig.ensure_guest()
        cls.both_programs(profiles=periscope.ensure_profiles())
        cls.vms = {}
        for i, (way, (workload, _)) in enumerate(WAYS.items()):
            cls.vms[way] = vm = cls.launch(f"e2e4{i:010x}", workload=workload, memory_mib=128)
            vm.wait_started()
            vm.write_spec(cls.host.specs, console=str(vm.console_log))
        for way, vm in cls.vms.items():
            vm.wait_ready(90)
            cls.wait_for_sample(cls.of(vm, "fly_instance_load_average", minutes="1"))

    @staticmethod
    def of(vm, name, **labels):
        return periscope.selector(name, instance=vm.instance, app="demo", **labels)

    def ended(self, vm, told=""):
        """(exit code or None, oom, monitor's code, labels of the info series) once it has ended."""
        if told:
            vm.console.tell(told)
        rig.wait_for(f"{vm.instance} to end", 30, lambda: not vm.process.running())
        info = self.of(vm, "fly_instance_exit_info")
        rig.wait_for("its end to be told", 10, lambda: self.region.query(info))
        (labels, value), = self.region.query(info)
        self.assertEqual(value, 1)
        self.wait_for_value("it is up no more", self.of(vm, "fly_instance_up"), None)
        numbers = [self.region.number(self.of(vm, f"fly_instance_exit_{what}")) for what in ("code", "oom", "vm_code")]
        print(f"{vm.instance} {told!r}: code, oom, vm_code {numbers}, {labels}")
        return (*numbers, {key: labels.get(key, "") for key in ("reason", "signal", "code_from")})

    def check(self, way, code, oom, vm_code, reason, signal_name="", code_from=""):
        self.assertEqual(self.ended(self.vms[way], WAYS[way][1]),
                         (code, oom, vm_code, {"reason": reason, "signal": signal_name, "code_from": code_from}))

    def test_init_exits(self):
        self.check("init_exits", 3, 0, 0, "exited", code_from="panic")

    def test_app_is_killed_for_want_of_memory(self):
        self.check("app_is_killed", 137, 1, 0, "guest_oom", code_from="panic")

    def test_init_tells(self):
        self.check("init_tells", 42, 0, 0, "exited", "SIGUSR1", "told")

    def test_console_tells(self):
        self.check("console_tells", 9, 0, 0, "exited", code_from="console")

    def test_power_off(self):
        """Nobody says what became of the app: no code is better than a guess."""
        self.check("power_off", None, 0, 0, "exited")

    def test_panic(self):
        self.check("panics", None, 0, 0, "guest_panic")

    def test_monitor_is_killed(self):
        """The app was running: it has no exit code."""
        self.vms["monitor_is_killed"].kill()
        self.check("monitor_is_killed", None, 0, 128 + signal.SIGKILL, "killed", "SIGKILL")

    def test_nobody_tells_and_the_memory_does(self):
        """The app ends, init buries it, waits a little and restarts the machine, as Fly's does: what is left of
        the process says its code, unless something else has taken its place. Then there is none."""
        codes = []
        while 7 not in codes and len(codes) < QUIET_TRIES:
            vm = self.launch(f"e2e5{len(codes):010x}", workload=QUIET[0], memory_mib=128)
            vm.wait_started()
            vm.write_spec(self.host.specs)
            vm.wait_ready(90)
            code, oom, _, labels = self.ended(vm, QUIET[1])
            self.assertIn((code, oom, labels["code_from"]), ((7, 0, "process"), (None, 0, "")))
            codes.append(code)
        self.assertIn(7, codes)


if __name__ == "__main__":
    sys.exit(e2e.main())
