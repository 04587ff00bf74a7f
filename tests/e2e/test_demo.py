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


def comm(pid):
    return pathlib.Path(f"/proc/{pid}/comm").read_text().strip()


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

    def start(self, *arguments, program=(DEMO,), **more):
        # make's own variables would reach the make below this one.
        environment = {k: v for k, v in os.environ.items() if not k.startswith("MAKE") and k != "MFLAGS"}
        demo = subprocess.Popen([*program, *arguments], stdin=subprocess.DEVNULL, text=True,
                                stdout=subprocess.PIPE, stderr=subprocess.STDOUT, cwd=rig.TOP,
                                env=environment | {"TMPDIR": str(self.tmp)} | more, start_new_session=True)
        self.addCleanup(demo.stdout.close)
        self.addCleanup(demo.wait)
        self.addCleanup(demo.kill)
        return demo

    def until_first_table(self, demo):
        """Reads on to the first table; returns the demo's processes."""
        for line in demo.stdout:
            print(line, end="")
            if "connections at the edge/s" in line:
                return descendants(demo.pid)
        self.fail("the demo ended before its first table")

    def test_timed_runs_judge_what_arrived(self):
        """Two at once: neither disturbs the other, and each judges its own samples. One of them on a machine
        without cgroup v2, with little of a locale, and with a proxy that is no way to anywhere."""
        poor = {"http_proxy": "http://127.0.0.1:9", "LC_ALL": "C", "TERM": "dumb"}
        no_cgroup = ["unshare", "--mount", "sh", "-c",
                     "awk '$3 == \"cgroup2\" { print $2 }' /proc/self/mounts | tac | xargs -r umount -l && "
                     'exec "$@"', "sh"]
        demos = [self.start("--seconds", "12"),
                 self.start("--seconds", "12", program=(*no_cgroup, DEMO), **poor)]
        for demo in demos:
            out, _ = demo.communicate(timeout=600)
            print(out)
            self.assertEqual(demo.returncode, 0)
            self.assertRegex(out, r"checks of what arrived: \d{2,} passed, 0 failed")
        self.assertEqual(self.leftovers([]), [])

    def test_signals_take_everything_down(self):
        """Ctrl-C as a terminal does it: to make and all that it started, but for sessions of their own."""
        by_make = self.start(program=["make", "demo"])
        by_term = self.start()
        pids = {demo: self.until_first_table(demo) for demo in (by_make, by_term)}
        self.assertGreaterEqual(len(pids[by_term]), 4, "region, host, peer, QEMU")
        os.killpg(by_make.pid, signal.SIGINT)
        by_term.terminate()
        for demo in pids:
            out, _ = demo.communicate(timeout=300)
            self.assertIn("everything is taken down", out)
        self.assertEqual(by_term.returncode, 0, out)
        self.assertEqual(self.leftovers(sum(pids.values(), [])), [])

    def test_a_reader_that_leaves_takes_everything_down(self):
        demo = self.start()
        pids = self.until_first_table(demo)
        demo.stdout.close()
        self.assertEqual(demo.wait(300), 1)
        self.assertEqual(self.leftovers(pids), [])

    def test_kill_leaves_no_process_and_no_device(self):
        demo = self.start()
        pids = self.until_first_table(demo)
        demo.kill()
        demo.wait()
        for folder in self.tmp.iterdir():
            shutil.rmtree(folder)  # files are all that kill -9 leaves
        rig.wait_for("everything to end by itself", 60, lambda: not self.leftovers(pids))

    def test_interrupt_while_it_sets_up(self):
        for seconds in (0.3, 1, 3):
            with self.subTest(seconds):
                demo = self.start()
                time.sleep(seconds)
                pids = descendants(demo.pid)
                demo.send_signal(signal.SIGINT)
                demo.wait(300)
                self.assertEqual(self.leftovers(pids), [])

    def test_a_program_that_ends_ends_the_demo(self):
        """Whatever dies: the demo says which, and leaves nothing behind."""
        victims = {"periscope-region": "region", "periscope-host": "host", "qemu-system-x86": "d0e5ca1e00beef"}
        demos = {name: self.start() for name in victims}
        pids = {name: self.until_first_table(demo) for name, demo in demos.items()}
        for name in demos:
            victim, = (pid for pid in pids[name] if comm(pid) == name[:15])
            os.kill(victim, signal.SIGKILL)
        for name, demo in demos.items():
            with self.subTest(name):
                out, _ = demo.communicate(timeout=300)
                self.assertEqual(demo.returncode, 1, out)
                self.assertRegex(out, f"demo: failed: {victims[name]} ended by itself")
                self.assertIn("everything is taken down", out)
        self.assertEqual(self.leftovers(sum(pids.values(), [])), [])


if __name__ == "__main__":
    sys.exit(e2e.main())
