#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""The short form of the golden test (golden.py), for every `make check`: one kernel, one machine.

The last image and what the guest said stay in build/guest-tests/fixture.*: memory of a real guest, trimmed to
the pages that a sample touches, for the tests that change it.
"""
import pathlib
import sys
import tempfile
import unittest

import golden  # first: it finds scripts/lib
import machine
import rig

FIXTURE = machine.LOGS / "fixture"


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
            self.assertEqual(len(parts), 10, text)
            idle = sum(int(line.split()[4]) for line in text.splitlines() if line.startswith("cpu"))
            self.assertGreaterEqual(idle + 1, before or 0)
            before = idle

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
