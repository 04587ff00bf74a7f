#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""VMs come and go, descriptions are good and bad, the region is away for a while, the daemon is told to
reload and to end: what an operator would see in the store each time.

The VMs here need not boot: a QEMU process with a tap and a disk is a VM to the host.
"""
import json
import signal
import subprocess
import sys
import time
import unittest

import e2e  # first: it finds scripts/lib
import periscope
import rig


def up(instance):
    return periscope.selector("fly_instance_up", instance=instance)


class Lifecycle(e2e.TestCase):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.both_programs()
        cls.count = 0

    def instance(self):
        """A name that no other test uses: the store remembers."""
        type(self).count += 1
        return f"e2e1{self.count:010x}"

    def missed_ticks(self):
        return periscope.own_metric(self.host.metrics_port, "periscope_host_collections_missed_total")

    def described(self):
        """A running VM with a description, known to the daemon."""
        vm = self.launch(self.instance())
        vm.wait_started()
        vm.write_spec(self.host.specs)
        self.addCleanup(vm.close)
        self.wait_for_value("the VM is seen", up(vm.instance), 1)
        return vm

    def start_and_kill(self):
        """(VM, seconds from the description to the first sample, from the kill to no answer, and to the last
        sample)."""
        vm = self.launch(self.instance())
        self.addCleanup(vm.close)
        vm.wait_started()
        start = time.time()
        vm.write_spec(self.host.specs)
        self.wait_for_value("start", up(vm.instance), 1)
        (_, samples), = self.region.raw(up(vm.instance), 60)
        noticed = samples[0][0] - start
        end = time.time()
        vm.kill()
        gone = self.wait_for_value("exit", up(vm.instance), None)
        (_, samples), = self.region.raw(up(vm.instance), 60)
        last = samples[-1][0] - end
        print(f"first sample {noticed:.2f} s after the description; no answer {gone:.2f} s after the kill; "
              f"last sample {last:+.2f} s")
        return vm, noticed, gone, last

    def test_start_and_kill_are_noticed(self):
        """Within a second, and the next tick. A busy machine may hold up one of three tries, or two."""
        for _ in range(3):
            vm, noticed, gone, last = self.start_and_kill()
            if max(noticed, gone) < 1 + periscope.INTERVAL_S and last < 1:
                break
        self.assertLess(noticed, 1 + periscope.INTERVAL_S, "noticed within a second")
        self.assertLess(gone, 1 + periscope.INTERVAL_S, "its end, too")
        self.assertLess(last, 1, "no sample of a VM that ended a second ago")

        # How it ended is still to be had, and no series that said 0 was without it before.
        code = periscope.selector("fly_instance_exit_vm_code", instance=vm.instance)
        self.assertEqual(self.region.number(code), 128 + signal.SIGKILL)
        (_, samples), = self.region.raw(code, 60)
        self.assertEqual(samples[0][1], 0, "0 from the first tick")
        (labels, _), = self.region.query(
            periscope.selector("fly_instance_exit_info", instance=vm.instance))
        self.assertEqual((labels["reason"], labels["signal"]), ("killed", "SIGKILL"))
        oom = periscope.selector("fly_instance_exit_oom", instance=vm.instance)
        self.assertEqual(self.region.number(oom), 0)

    def test_found_without_description(self):
        vm = self.launch(self.instance())
        self.addCleanup(vm.close)
        self.wait_for_value("discovery", up(vm.instance), 1)
        found = {labels.get("device") for labels, _ in self.region.query(
            f'{{__name__=~"fly_instance_(disk_sectors_written|net_recv_bytes)",'
            f'instance="{vm.instance}"}}')}
        self.assertEqual(len(found), 2, f"one disk and one tap, found as {found}")

    def test_bad_description_hurts_nobody_else(self):
        good = self.described()
        bad = self.host.specs / "broken.json"
        bad.write_text('{"org": "dev", "app": ')
        self.addCleanup(bad.unlink)
        rig.wait_for("a word about broken.json in the log", 60,
                     lambda: "broken.json" in self.host.process.log())
        self.wait_for_sample(up(good.instance), after=time.time())
        other = self.described()
        self.wait_for_sample(up(other.instance), after=time.time())

    def test_changed_description_changes_labels(self):
        vm = self.described()
        vm.write_spec(self.host.specs, app="renamed")
        wanted = periscope.selector("fly_instance_up", instance=vm.instance, app="renamed")
        self.wait_for_value("the new label", wanted, 1)
        old = periscope.selector("fly_instance_up", instance=vm.instance, app="demo")
        self.wait_for_value("the old label's end", old, None)

    def test_reload_keeps_counting(self):
        vm = self.described()
        self.host.reload()
        self.wait_for_sample(up(vm.instance), after=time.time())
        self.assertTrue(self.host.process.running())

    def test_region_away_loses_nothing(self):
        vm = self.described()
        start, missed = time.time(), self.missed_ticks()
        self.region.kill()
        time.sleep(4 * periscope.INTERVAL_S)
        self.region.start()
        self.wait_for_sample(up(vm.instance), after=time.time() + periscope.INTERVAL_S, seconds=60)
        (_, samples), = self.region.raw(up(vm.instance), time.time() - start + 5)
        steps = [round(b[0] - a[0], 3) for a, b in zip(samples, samples[1:])]
        # A machine that is too busy may miss a tick; then nothing was collected that could be lost.
        missed = self.missed_ticks() - missed
        print(f"steps between samples: {steps}; {missed:.0f} ticks were missed")
        self.assertGreaterEqual(len(steps), 5)
        self.assertLessEqual(sum(round(step / periscope.INTERVAL_S) - 1 for step in steps), missed,
                             "a tick is missing")

    def test_end_of_the_daemon(self):
        """Last, by name or not: it starts a daemon of its own."""
        folder = self.scratch / "own"
        folder.mkdir()
        host = periscope.Host(folder, self.logs, self.region.url)
        host.log_path = self.logs / "own.log"
        for number in (signal.SIGTERM, signal.SIGINT):
            host.start()
            time.sleep(1)
            host.process.signal(number)
            self.assertEqual(host.process.wait(60), 0, host.process.log())


class Once(e2e.TestCase):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.network = rig.Network(cls.stack, cls.logs)
        cls.host = periscope.Host(cls.scratch, cls.logs, "http://127.0.0.1:9",
                                  profiles=periscope.ensure_profiles())

    def run_host(self, *arguments):
        argv = [periscope.BUILD / "periscope-host", *arguments]
        return subprocess.run(argv, stdin=subprocess.DEVNULL, capture_output=True, text=True,
                              timeout=120, check=False)

    def test_once_prints_exposition(self):
        vm = self.boot("e2e2000000000a", volume_mib=32)
        vm.write_spec(self.host.specs)
        done = self.run_host("--config", self.host.config, "--once")
        self.assertEqual(done.returncode, 0, done.stderr)
        types, helps, samples = {}, set(), {}
        for line in done.stdout.splitlines():
            if line.startswith("# TYPE "):
                _, _, name, kind = line.split()
                types[name] = kind
            elif line.startswith("# HELP "):
                helps.add(line.split()[2])
            else:
                self.assertRegex(line, r'^\w+\{(\w+="[^"]*",?)+\} ([-+.e\d]+|[+]Inf)( \d+)?$')
                samples.setdefault(line.split("{")[0], []).append(line)
        wanted = {name for name in periscope.rows_of_running() if name.startswith("fly_instance_")}
        self.assertEqual(set(samples), wanted - periscope.PEAKS,
                         "every series of the catalogue that a VM alone has")
        families = {base if types.get(base) == "histogram" else name for name in samples
                    for base in [name.rpartition("_")[0]]}
        self.assertEqual(families, set(types), "TYPE for each")
        self.assertEqual(families, helps, "HELP for each")
        self.assertEqual(types["fly_instance_up"], "gauge")
        self.assertEqual(types["fly_instance_cpu"], "counter")


if __name__ == "__main__":
    sys.exit(e2e.main())
