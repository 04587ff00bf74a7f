#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""The short form of the golden test (golden.py), for every `make check`: one kernel, one machine.

The last image and what the guest said stay in build/guest-tests/fixture.*: memory of a real guest, trimmed to
the pages that a sample touches, for the tests that change it.
"""
import os
import pathlib
import re
import subprocess
import sys
import tempfile
import unittest

import golden  # first: it finds scripts/lib
import machine
import rig

FIXTURE = machine.LOGS / "fixture"
CHURN_SAMPLES = int(os.environ.get("CHURN_SAMPLES", "4000"))
LIES = int(os.environ.get("LIES", "3000"))


class View(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.stack = cls.enterClassContext(rig.Stack())
        scratch = pathlib.Path(cls.enterClassContext(tempfile.TemporaryDirectory(prefix="periscope-view.")))
        cls.kernel = machine.Kernel("debian12-cloud")
        cls.guest = machine.Machine(cls.stack, cls.kernel, disks=golden.disks_for(scratch), name="view").wait_ready()
        cls.guest.sh(golden.SET_UP)

    def test_paused_guest_is_read_right(self):
        for _ in range(3):
            self.guest.sh(golden.STIR)
            equal, moved, lines = self.guest.compare(FIXTURE.with_suffix(".image"), FIXTURE.with_suffix(".said"))
            print(f"{equal} equal, {moved} moved meanwhile", *lines, sep="\n  ")
            self.assertFalse([line for line in lines if line.startswith("DIFFERS")])
            self.assertGreater(equal, 130)

    def test_running_guest_is_read_again_and_again(self):
        """What only grows grows, and nothing fails while the guest goes on."""
        before = None
        for _ in range(20):
            text = machine.run_periscope("guest", "dump", "--profiles", self.kernel.profiles, self.guest.pid).stdout
            parts = [line for line in text.splitlines() if line.startswith("== ")]
            self.assertEqual(len(parts), 11, text)
            idle = sum(int(line.split()[4]) for line in text.splitlines() if line.startswith("cpu"))
            self.assertGreaterEqual(idle + 1, before or 0)
            before = idle

    def profile(self):
        path, = self.kernel.profiles.glob("*.profile")
        return path

    def test_main_process(self):
        """The oldest process that the first one has started."""
        self.guest.sh("sleep 600 >/dev/null 2>&1 &")  # its parent ends, so it is the first process's
        said = self.guest.sh("for p in $(cat /proc/1/task/1/children); do grep -q sleep /proc/$p/comm && echo $p; done; true")
        rig.wait_for("the orphan to be the oldest", 10, lambda: self.main_process()[1] == "(sleep)")
        self.assertEqual(self.main_process()[0], said.strip())
        self.guest.sh(f"kill {said}")

    def main_process(self):
        text = machine.run_periscope("guest", "dump", "--profiles", self.kernel.profiles, self.guest.pid).stdout
        return (text.split("== main\n")[1].splitlines() or [". ."])[0].split()

    def test_churn(self):
        """Mounts, links, files and processes come and go: hardly a sample fails, and no value is nonsense."""
        self.guest.sh("mkdir -p /m; (while :; do mount -t tmpfs t /m; mount -t ext4 /dev/vda /m; umount /m; umount /m; "
                      "done) >/dev/null 2>&1 & (while :; do ip link add churn type dummy; ip link del churn; done) "
                      ">/dev/null 2>&1 & (i=0; while :; do i=$((i+1)); echo x >/tmp/f$((i % 50)); rm -f /tmp/f*; done) "
                      ">/dev/null 2>&1 & echo $! >/tmp/last")
        done = subprocess.run([machine.WATCH, self.profile(), str(self.guest.pid), str(CHURN_SAMPLES), "500"],
                              stdout=subprocess.PIPE, text=True, check=True)
        self.guest.sh("for p in $(cat /proc/1/task/1/children); do [ $p = $$ ] || kill $p; done; sleep 1; umount /m; true")
        print(done.stdout)
        words = re.search(r"^(\d+) samples: (\d+) failed, (\d+) values that cannot be", done.stdout, re.MULTILINE)
        samples, failed, wrong = map(int, words.groups())
        self.assertEqual((samples, wrong), (CHURN_SAMPLES, 0))
        self.assertLess(failed, max(2, CHURN_SAMPLES / 1000))

    def test_lies(self):
        """The same memory with wrong pointers and numbers in it: no harm, whatever is in there."""
        if not FIXTURE.with_suffix(".image").exists():
            self.test_paused_guest_is_read_right()
        done = subprocess.run([machine.LIAR, self.profile(), FIXTURE.with_suffix(".image"), str(LIES), "1"],
                              capture_output=True, text=True, check=False)
        print(done.stdout, done.stderr)
        self.assertEqual(done.returncode, 0)

    def test_what_is_not_a_guest(self):
        """Errors that say what is wrong: of a process without a guest, of none, of the wrong profile."""
        profiles = ("--profiles", self.kernel.profiles)
        for arguments, code, words in (
                ([*profiles, rig.os.getpid()], 1, "no mapping is large enough|none of the 1 known kernels"),
                ([*profiles, 2 ** 22 + 1], 1, "No such file"),
                ([*profiles, "--profile", "none", self.guest.pid], 1, "no such profile"),
                (["--profiles", "/nonexistent", self.guest.pid], 1, "/nonexistent: no such profile"),
                ([*profiles, "x"], 2, "expected one process number"),
                ([*profiles, "--image", "/dev/null"], 1, "not an image of a guest")):
            done = machine.run_periscope("guest", "dump", *arguments, check=False)
            self.assertEqual(done.returncode, code, done)
            self.assertRegex(done.stderr, words)


if __name__ == "__main__":
    machine.skip_unless_possible()
    sys.exit(0 if unittest.main(exit=False, verbosity=2).result.wasSuccessful() else 1)
