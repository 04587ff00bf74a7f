#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""`make demo`'s program does what the README promises, and takes everything down however it ends."""
import os
import pathlib
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import unittest

import e2e  # first: it finds scripts/lib
import rig

DEMO = rig.TOP / "scripts/demo"


def descendants(pid):
    children = pathlib.Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return [int(pid) for child in children for pid in (child, *descendants(child))]


class Demo(unittest.TestCase):
    def setUp(self):
        self.tmp = pathlib.Path(tempfile.mkdtemp(prefix="periscope-e2e."))
        self.addCleanup(shutil.rmtree, self.tmp)

    def leftovers(self, pids):
        """What a demo may leave behind: its processes, its files, its loop device. Its namespace and
        taps live only as long as its processes."""
        devices = rig.run("losetup", "--list", "--noheadings").splitlines()
        return ([f"process {pid}" for pid in pids if pathlib.Path(f"/proc/{pid}").exists()]
                + [line for line in devices if str(self.tmp) in line] + list(self.tmp.iterdir()))

    def start(self, *arguments):
        demo = subprocess.Popen([DEMO, *arguments], stdin=subprocess.DEVNULL, text=True,
                                stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                                env=os.environ | {"TMPDIR": str(self.tmp)})
        self.addCleanup(demo.stdout.close)
        self.addCleanup(demo.wait)
        self.addCleanup(demo.kill)
        return demo

    def until_first_table(self, demo):
        """Reads on to the first table; returns the demo's processes."""
        for line in demo.stdout:
            print(line, end="")
            if "net eth0, KiB/s received" in line:
                return descendants(demo.pid)
        self.fail("the demo ended before its first table")

    def test_timed_run_judges_what_arrived(self):
        demo = self.start("--seconds", "12")
        out, _ = demo.communicate(timeout=60)
        print(out)
        self.assertEqual(demo.returncode, 0)
        self.assertRegex(out, r"checks of what arrived: \d{2,} passed, 0 failed")
        self.assertEqual(self.leftovers([]), [])

    def test_interrupt_takes_everything_down(self):
        for number, code in ((signal.SIGINT, 0), (signal.SIGTERM, 0)):
            with self.subTest(number.name):
                demo = self.start()
                pids = self.until_first_table(demo)
                self.assertGreaterEqual(len(pids), 4, "region, host, peer, QEMU")
                demo.send_signal(number)
                self.assertEqual(demo.wait(15), code)
                self.assertEqual(self.leftovers(pids), [])

    def test_kill_leaves_no_process_and_no_device(self):
        demo = self.start()
        pids = self.until_first_table(demo)
        demo.kill()
        demo.wait()
        for folder in self.tmp.iterdir():
            shutil.rmtree(folder)  # files are all that kill -9 leaves
        rig.wait_for("everything to end by itself", 10, lambda: not self.leftovers(pids))

    def test_interrupt_while_it_sets_up(self):
        demo = self.start()
        time.sleep(2)
        pids = descendants(demo.pid)
        demo.send_signal(signal.SIGINT)
        demo.wait(15)
        self.assertEqual(self.leftovers(pids), [])


if __name__ == "__main__":
    sys.exit(e2e.main())
