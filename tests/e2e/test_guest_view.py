#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""The guest's own view is right: what the store answers is what the guest's /proc says, and nothing of
ours is in the guest.

A sample cannot be taken at the very moment at which the guest reads its /proc, so the guest reads it
twice and the stored sample in between must be in between: exactly for what only grows, and with a little
room for what goes up and down. What is compared bit by bit, with the guest paused, is in `make check-guest`.
"""
import sys
import time

import e2e  # first: it finds scripts/lib
import periscope
import rig

INSTANCE = "e2e00000000003"
MEMORY = {  # field of /proc/meminfo: of the series
    "MemTotal": "mem_total", "MemFree": "mem_free", "MemAvailable": "mem_available",
    "Buffers": "buffers", "Cached": "cached", "SwapCached": "swap_cached", "Active": "active",
    "Inactive": "inactive", "SwapTotal": "swap_total", "SwapFree": "swap_free", "Dirty": "dirty",
    "Writeback": "writeback", "Shmem": "shmem", "Slab": "slab", "VmallocTotal": "vmalloc_total",
    "VmallocUsed": "vmalloc_used", "VmallocChunk": "vmalloc_chunk",
}
DISK = ("reads_completed", "reads_merged", "sectors_read", "time_reading", "writes_completed",
        "writes_merged", "sectors_written", "time_writing", "io_in_progress", "time_io", "time_io_weighted")
NET = ("recv_bytes", "recv_packets", "recv_errs", "recv_drop", "recv_fifo", "recv_frame", "recv_compressed",
       "recv_multicast", "sent_bytes", "sent_packets", "sent_errs", "sent_drop", "sent_fifo", "sent_colls",
       "sent_carrier", "sent_compressed")
MODES = ("user", "nice", "system", "idle", "iowait", "irq", "softirq", "steal", "guest", "guest_nice")
ROOM_BYTES = 2 << 20  # the shell that reads /proc comes and goes


def vm(name, **labels):
    return periscope.selector(name, instance=INSTANCE, app="demo", **labels)


class GuestView(e2e.TestCase):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        rig.ensure_guest()
        cls.both_programs(profiles=periscope.ensure_profiles())
        cls.vm = cls.boot(INSTANCE, volume_mib=32)
        cls.vm.write_spec(cls.host.specs)
        cls.wait_for_sample(vm("fly_instance_uptime_seconds"))

    def tick(self):
        """When the next sample is taken: nothing moves any more."""
        return self.wait_for_sample(vm("fly_instance_up"), after=time.time())[0]

    def bracket(self, parse, *files):
        """(before, when, after): the guest's own readings around a tick of the daemon."""
        before = parse(self.vm.sh("cat " + " ".join(files)))
        when = self.tick()
        return before, when, parse(self.vm.sh("cat " + " ".join(files)))

    def at_rest(self, command):
        """(what the guest says, when): it says the same before that tick of the daemon and behind it."""
        for _ in range(20):
            told = self.vm.sh(command)
            when = self.tick()
            if self.vm.sh(command) == told:
                return told, when
        return self.fail(f"never at rest: {command}")

    def stored(self, selector, when):
        (_, samples), = self.region.raw(selector, time.time() - when + 2)
        return dict(samples)[when]

    @staticmethod
    def meminfo(text):
        lines = (line.split() for line in text.splitlines())
        return {words[0][:-1]: int(words[1]) << 10 for words in lines if len(words) == 3}

    def test_memory(self):
        before, when, after = self.bracket(self.meminfo, "/proc/meminfo")
        self.assertGreater(before["MemTotal"], 100 << 20)
        for field, series in MEMORY.items():
            with self.subTest(field):
                ends, seen = (before[field], after[field]), self.stored(
                    vm(f"fly_instance_memory_{series}"), when)
                print(f"{field}: guest {ends[0]} to {ends[1]}, stored {seen:.0f}")
                room = 0 if field in ("MemTotal", "VmallocTotal", "VmallocChunk") else ROOM_BYTES
                self.assertLessEqual(min(ends) - room, seen)
                self.assertLessEqual(seen, max(ends) + room)

    def test_memory_follows(self):
        """32 MiB in a tmpfs are 32 MiB more of Shmem and Cached and less of MemFree."""
        fields = ("shmem", "cached", "mem_free")
        read = lambda: [self.wait_for_sample(vm(f"fly_instance_memory_{field}"), after=time.time())[1]
                        for field in fields]
        before = read()
        self.vm.sh("dd if=/dev/zero of=/blob bs=1M count=32")
        moved = [(b - a) / (1 << 20) for a, b in zip(before, read())]
        self.vm.sh("rm /blob")
        for field, change, wanted in zip(fields, moved, (32, 32, -32)):
            self.assertAlmostEqual(change, wanted, delta=1, msg=field)

    def test_load(self):
        def parse(text):
            return [float(word) for word in text.split()[:3]]
        self.vm.sh("workload burn 100 3")
        for _ in range(20):  # it changes every 5 s: of two changes in between the first is lost
            start = time.monotonic()
            before, when, after = self.bracket(parse, "/proc/loadavg")
            if time.monotonic() - start < 5:
                break
        for minutes, *ends in zip(("1", "5", "15"), before, after):
            seen = self.stored(vm("fly_instance_load_average", minutes=minutes), when)
            print(f"load average, {minutes} min: guest {ends}, stored {seen}")
            self.assertLessEqual(min(ends), seen)
            self.assertLessEqual(seen, max(ends))

    @staticmethod
    def stat(text):
        rows = (line.split() for line in text.splitlines() if line.startswith("cpu"))
        return {name[3:]: [int(column) for column in columns] for name, *columns in rows if name != "cpu"}

    def test_cpu(self):
        self.vm.sh("taskset 2 workload burn 50 2")
        before, when, after = self.bracket(self.stat, "/proc/stat")
        self.assertEqual(set(before), {"0", "1"})
        for cpu_id in before:
            seen = [self.stored(vm("fly_instance_cpu", cpu_id=cpu_id, mode=mode), when) for mode in MODES]
            print(f"cpu {cpu_id}: {before[cpu_id]} <= {[int(v) for v in seen]} <= {after[cpu_id]}")
            for mode, low, value, high in zip(MODES, before[cpu_id], seen, after[cpu_id]):
                self.assertLessEqual(low - (mode == "idle"), value, f"cpu {cpu_id} {mode}")
                self.assertLessEqual(value, high + (mode == "idle"), f"cpu {cpu_id} {mode}")
        self.assertGreater(after["1"][0] + after["1"][2], 80, "a second of work was on vCPU 1")

    def test_disks(self):
        self.vm.sh("workload disk 1024 1 && dd if=/dev/vda of=/dev/null bs=4k count=50 iflag=direct && "
                   "dd if=/dev/zero of=/data/blob bs=64k count=40 && sync")
        for device in ("vda", "vdb"):
            told, when = self.at_rest(f"cat /sys/block/{device}/stat")
            columns = told.split()[:len(DISK)]
            seen = [self.stored(vm(f"fly_instance_disk_{field}", device=device), when) for field in DISK]
            print(f"{device}: guest {columns}, stored {seen}")
            self.assertEqual(seen, [float(column) for column in columns])
            self.assertGreater(seen[6], 2000, "sectors were written at all")

    def test_network(self):
        self.vm.sh(f"workload net {self.vm.peer_ip} 300 2")
        told, when = self.at_rest("grep eth0 /proc/net/dev")
        columns = told.split()[1:]
        seen = [self.stored(vm(f"fly_instance_net_{field}", device="eth0"), when) for field in NET]
        print(f"eth0: guest {columns}, stored {seen}")
        self.assertEqual(seen, [float(column) for column in columns])
        self.assertGreater(seen[0], 300 << 10)

    def test_filesystem(self):
        self.vm.sh("dd if=/dev/zero of=/data/file bs=1M count=7 && sync")
        told, when = self.at_rest("stat -f -c '%S %b %f %a' /data")
        told = told.split()
        seen = [self.stored(vm(f"fly_instance_filesystem_{field}", mount="/data"), when)
                for field in ("block_size", "blocks", "blocks_free", "blocks_avail")]
        print(f"/data: guest {told}, stored {seen}")
        self.assertEqual(seen, [float(number) for number in told])
        self.assertEqual(len(self.region.query(vm("fly_instance_filesystem_blocks"))), 1, "nothing else")

    def test_open_files(self):
        when = self.tick()
        told = [int(number) for number in self.vm.sh("cat /proc/sys/fs/file-nr").split()]
        seen = self.stored(vm("fly_instance_filefd_allocated"), when)
        print(f"open files: guest {told[0]}, stored {seen}")
        self.assertEqual(self.stored(vm("fly_instance_filefd_maximum"), when), told[2])
        self.assertLess(abs(seen - told[0]), 65, "one batch of the guest's own counter, for each CPU")

    def test_pressure(self):
        told, when = self.at_rest("cat /proc/pressure/memory")
        words = told.split()
        for kind, first in (("some", 1), ("full", 6)):
            for duration, value in (word.split("=") for word in words[first:first + 4]):
                seen = self.stored(vm(f"fly_instance_memory_pressure_{kind}",
                                      pressure_duration=duration), when)
                self.assertEqual(seen, float(value), f"{kind} {duration}")

    def test_nobody_was_killed(self):
        self.assertEqual(self.stored(vm("fly_instance_memory_oom_kills"), self.tick()), 0)

    def test_uptime(self):
        def parse(text):
            return float(text.split()[0])
        before, when, after = self.bracket(parse, "/proc/uptime")
        seen = self.stored(vm("fly_instance_uptime_seconds"), when)
        print(f"uptime: {before} <= {seen:.3f} <= {after}")
        self.assertLessEqual(before - 0.01, seen)
        self.assertLessEqual(seen, after + 0.01)


if __name__ == "__main__":
    sys.exit(e2e.main())
