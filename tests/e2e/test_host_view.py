#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""What the host sees of a VM is right: a real guest works under both programs, and what the store answers
is compared with what the guest itself counted (network, disk) or with the host's scheduler (CPU). The
guest's own view is another matter: test_guest_view.py.

Counters that the guest keeps too are compared exactly, at a quiet moment, over the console: asking costs
neither a packet nor a block. CPU time cannot be exact, since the stored value, the scheduler's and the
guest's are read at different moments; a recorder reads the scheduler every 20 ms and is interpolated to
the stored timestamps, which leaves about 1 %. On a busy machine both readers come late; how late, the
recorder knows of itself.
"""
import bisect
import sys
import threading
import time

import e2e  # first: it finds scripts/lib
import periscope
import rig

INSTANCE = "e2e00000000001"


def vm(name, **labels):
    # Found by its process before its description came, it was another app for a moment.
    return periscope.selector(name, instance=INSTANCE, app="demo", **labels)


class Recorder(threading.Thread):
    """Reads the scheduler's accounts of each vCPU thread all the time."""

    def __init__(self, vm):
        super().__init__(daemon=True)
        self.vm, self.tids = vm, vm.vcpu_tids()
        self.times, self.rows = [], {cpu_id: [] for cpu_id in self.tids}
        self.done = threading.Event()

    def run(self):
        while not self.done.wait(0.02):
            self.times.append(time.time())
            for cpu_id, tid in self.tids.items():
                self.rows[cpu_id].append(self.vm.schedstat(tid))

    def at(self, cpu_id, when):
        """(seconds run, seconds waited) at that time, between two readings."""
        i = bisect.bisect(self.times, when)
        (t0, t1), (a, b) = self.times[i - 1:i + 1], self.rows[cpu_id][i - 1:i + 1]
        share = (when - t0) / (t1 - t0)
        return tuple(x + (y - x) * share for x, y in zip(a, b))

    def late(self):
        """Seconds by which what was read at a moment may be off: the longest time without a reading."""
        return max(b - a for a, b in zip(self.times, self.times[1:]))

    def between(self, cpu_id, start, end):
        return tuple(b - a for a, b in zip(self.at(cpu_id, start), self.at(cpu_id, end)))


class HostView(e2e.TestCase):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.region, cls.host, cls.network = cls.both_programs()
        cls.vm = cls.boot(INSTANCE)
        cls.vm.write_spec(cls.host.specs)
        cls.wait_for_sample(vm("fly_instance_up"))

    def both(self, names, device, ask):
        """(what the guest says, what is stored under those names) at one moment: the guest says the same
        before the samples were taken and afterwards, so nothing moved meanwhile."""
        for _ in range(20):
            told, now = ask(), time.time()
            seen = [int(self.wait_for_sample(vm(name, device=device), after=now)[1]) for name in names]
            if ask() == told:
                return told, seen
        return self.fail(f"{device} never came to rest")

    def burn(self, percent, seconds):
        """Burns on vCPU 1 with quiet around it. (recorder, first and last whole second)."""
        recorder = Recorder(self.vm)
        recorder.start()
        start = time.time() + 0.2
        time.sleep(1.5)
        self.vm.sh(f"taskset 2 workload burn {percent} {seconds}", seconds + 120)
        end = self.wait_for_sample(vm("fly_instance_up"), after=time.time())[0]
        rig.wait_for("a reading behind the last sample", 60, lambda: recorder.times[-1] > end)
        recorder.done.set()
        recorder.join()
        return recorder, start, end

    def stored(self, selector, start, end):
        """(first time, last time, increase) of one series among its samples in [start, end]."""
        (_, samples), = self.region.raw(selector, time.time() - start + 2)
        samples = [(t, v) for t, v in samples if start <= t <= end]
        self.assertGreater(len(samples), 5, f"{selector}: too few samples")
        return samples[0][0], samples[-1][0], samples[-1][1] - samples[0][1]

    def modes(self, cpu_id, start, end):
        """(first time, last time, {mode: seconds}) of one vCPU."""
        found = {}
        for mode in periscope.CPU_MODES:
            first, last, centiseconds = self.stored(
                vm("fly_instance_cpu", cpu_id=cpu_id, mode=mode), start, end)
            found[mode] = centiseconds / 100
        return first, last, found

    def guest_busy(self):
        """{cpu_id: busy seconds} as the guest's own kernel counts, in ticks."""
        rows = (line.split() for line in self.vm.sh("grep ^cpu[0-9] /proc/stat").splitlines())
        return {name[3:]: (sum(map(int, columns[:3])) + sum(map(int, columns[5:7]))) / 100
                for name, *columns in rows}

    def test_cpu(self):
        before = self.guest_busy()
        recorder, start, end = self.burn(50, 5)
        guest = {cpu_id: busy - before[cpu_id] for cpu_id, busy in self.guest_busy().items()}
        late = recorder.late()
        for cpu_id in ("0", "1"):
            first, last, modes = self.modes(cpu_id, start, end)
            ran, waited = recorder.between(cpu_id, first, last)
            steal = modes["steal"]
            busy = sum(modes.values()) - modes["idle"] - steal
            print(f"vCPU {cpu_id}: stored busy {busy:.3f} s, steal {steal:.3f} s of {last - first:.3f} s; "
                  f"scheduler {ran:.3f} + {waited:.3f} s; guest {guest[cpu_id]:.2f} s; "
                  f"readings up to {late:.3f} s apart")
            self.assertAlmostEqual(busy, ran, delta=late + 0.03 * ran, msg="against the scheduler")
            self.assertAlmostEqual(steal, waited, delta=late + 0.02 + 0.10 * waited, msg="run-queue wait")
            self.assertAlmostEqual(sum(modes.values()), last - first, delta=late + 0.03 * (last - first),
                                   msg="the modes add up to the time that passed")
            # The guest's clock goes on while its vCPU waits for a host CPU: when it was at work, that
            # counts as work to it. What emulating a CPU costs while that is idle it cannot see at all.
            slack = late + 0.15 + 0.05 * guest[cpu_id]
            idle_costs = 0.05 * (last - first)
            self.assertLess(guest[cpu_id], busy + steal + slack, "the guest's own account")
            self.assertGreater(guest[cpu_id], busy - idle_costs - slack, "the guest's own account")
        # Half of five seconds, less what a busy host made it wait for.
        self.assertGreater(guest["1"], 0.3, "the load really ran")
        self.assertLess(guest["0"], guest["1"] / 2, "the work was on vCPU 1 alone")

    def test_network_exact(self):
        self.vm.sh(f"workload net {self.vm.peer_ip} 300 2")
        rows = [(f"fly_instance_net_{ours}_{unit}", f"/sys/class/net/eth0/statistics/{guests}_{unit}")
                for ours, guests in (("recv", "rx"), ("sent", "tx")) for unit in ("bytes", "packets")]
        files = " ".join(file for _, file in rows)
        told, seen = self.both([name for name, _ in rows], "eth0",
                               lambda: [int(word) for word in self.vm.sh(f"cat {files}").split()])
        print(f"bytes and packets received, sent: stored {seen}, guest {told}")
        self.assertEqual(seen, told)
        self.assertGreater(seen[-1], 100, "something was sent at all")

    def disk(self):
        """Sectors read and written: (by the guest's account, as stored)."""
        def ask():
            columns = self.vm.sh("cat /sys/block/vda/stat").split()
            return [int(columns[2]), int(columns[6])]
        return self.both([f"fly_instance_disk_sectors_{done}" for done in ("read", "written")], "vda", ask)

    def test_disk_exact(self):
        """Differences, not totals: a loop device keeps the counts of its earlier lives, and QEMU probes."""
        before = self.disk()
        self.vm.sh("workload disk 1024 2")
        self.vm.sh("dd if=/dev/vda of=/dev/null bs=4k count=100 iflag=direct")
        guest_moved, store_moved = ([b - a for a, b in zip(*ends)] for ends in zip(before, self.disk()))
        print(f"sectors read, written: stored {store_moved}, guest {guest_moved}")
        self.assertEqual(guest_moved, [800, 4096], "what was asked for")
        self.assertEqual(store_moved, guest_moved)


if __name__ == "__main__":
    sys.exit(e2e.main())
