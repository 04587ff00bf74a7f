#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""Both programs as a service manager meets them: readiness, watchdog, reload and end by the datagrams of
sd_notify, exit codes, and the units that make install puts in place."""
import os
import pathlib
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import unittest

import e2e  # first: it finds scripts/lib
import periscope
import rig
from rig import wait_for

NOBODY = ["setpriv", "--reuid", "65534", "--regid", "65534", "--clear-groups", "--inh-caps=-all"]
WATCHDOG_S = 0.4
# By systemd-analyze 252; a sandbox that is loosened shows here.
EXPOSURE_MAX = {"periscope-host": 3.3, "periscope-host-volumes": 3.0, "periscope-region": 1.3}


class Manager:
    """The socket that a service manager listens on."""

    def __init__(self, case):
        self.path = case.tmp / "notify"
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.bind(str(self.path))
        case.addCleanup(self.socket.close)
        self.seen = []

    def environment(self):
        return os.environ | {"NOTIFY_SOCKET": str(self.path),
                             "WATCHDOG_USEC": str(int(WATCHDOG_S * 1e6))}

    def wait(self, start, seconds=60):
        """The next datagram that begins so; what came before it stays in seen."""
        self.socket.settimeout(seconds)
        while True:
            text = self.socket.recv(4096).decode()
            self.seen.append(text)
            if text.startswith(start):
                return text


class TestCase(unittest.TestCase):
    def setUp(self):
        self.tmp = pathlib.Path(tempfile.mkdtemp(prefix="periscope-e2e."))
        self.addCleanup(shutil.rmtree, self.tmp)
        self.tmp.chmod(0o755)  # for who is nobody

    def run_program(self, name, *arguments, before=()):
        return subprocess.run([*before, periscope.BUILD / name, *arguments], text=True, timeout=30,
                              stdin=subprocess.DEVNULL, capture_output=True, check=False)

    def write(self, name, text):
        (self.tmp / name).write_text(text)
        return self.tmp / name


class Service(TestCase):
    def start(self, name, *arguments):
        self.manager = Manager(self)
        log = open(self.tmp / "log", "w+", encoding="utf-8")
        self.addCleanup(log.close)
        self.process = subprocess.Popen([periscope.BUILD / name, *arguments], stdin=subprocess.DEVNULL,
                                        stdout=log, stderr=log, env=self.manager.environment())
        self.addCleanup(self.process.wait)
        self.addCleanup(self.process.kill)

    def log(self):
        return (self.tmp / "log").read_text()

    def life(self, status):
        """Beats, a reload, the end; in this order whatever the program is."""
        self.assertEqual(self.manager.seen[-1], f"READY=1\nSTATUS={status}")
        beats = [self.manager.wait("WATCHDOG=1") and time.monotonic() for _ in range(6)]
        # On a busy machine one may come late, but not all.
        self.assertLess(min(b - a for a, b in zip(beats, beats[1:])), WATCHDOG_S)
        self.process.send_signal(signal.SIGHUP)
        self.manager.wait("RELOADING=1\nMONOTONIC_USEC=")
        self.manager.wait(f"READY=1\nSTATUS={status}")
        self.process.send_signal(signal.SIGTERM)
        self.manager.wait("STOPPING=1")
        self.assertEqual(self.process.wait(60), 0, self.log())

    def host_settings(self, more=""):
        self.port = periscope.free_port()
        return self.write("host.yml", f"host_id: d001\ninterval: 1h\nvms_dir: {self.tmp}/vms.d\n"
                                      f"listen: 127.0.0.1:{self.port}\n{more}")

    def host_metric(self, name):
        return periscope.own_metric(self.port, name)

    def test_host_is_ready_after_its_first_collection(self):
        self.start("periscope-host", "--config", self.host_settings())
        self.manager.wait("READY=1")
        self.assertEqual(self.host_metric("periscope_host_collections_total"), 1,
                         "the interval of an hour cannot have passed")
        self.life("collecting")

    def test_host_keeps_its_settings_when_the_new_ones_are_bad(self):
        settings = self.host_settings()
        self.start("periscope-host", "--config", settings)
        self.manager.wait("READY=1")
        good = settings.read_text()
        for n, (text, why) in enumerate((("interval: soon\n", "interval"), ("[", "host.yml:2"),
                                         (good + "prefix: other_\n", "prefix: a change needs a restart"))):
            settings.write_text(text)
            self.process.send_signal(signal.SIGHUP)
            self.manager.wait("READY=1")
            self.assertIn(why, self.log())
            self.assertEqual(self.host_metric("periscope_host_reloads_failed_total"), n + 1)
        settings.write_text(good.replace("interval: 1h", "interval: 1s"))
        self.process.send_signal(signal.SIGHUP)
        self.manager.wait("READY=1")
        self.assertIn("settings read again", self.log())
        wait_for("collections every second", 60,
                 lambda: self.host_metric("periscope_host_collections_total") > 3)
        self.process.send_signal(signal.SIGUSR1)
        wait_for("the state in the log", 60, lambda: "msg=state" in self.log())
        self.process.send_signal(signal.SIGINT)
        self.assertEqual(self.process.wait(60), 0, self.log())

    def test_region_is_ready_when_it_answers(self):
        settings = self.write("region.yml", f"data: {self.tmp}/other\norganisations: [one]\n")
        port = periscope.free_port()
        # What the command line says goes before the file, at a reload too.
        self.start("periscope-region", "--config", settings, "--data", self.tmp / "data",
                   "--listen", f"127.0.0.1:{port}", "--retention", "40d", "--log-level", "debug")
        self.manager.wait("READY=1")
        self.assertIn('"result":', periscope.http_get(f"http://127.0.0.1:{port}/api/v1/query?query=1"))
        self.life("serving")
        self.assertIn("conf: reloaded", self.log())
        self.assertFalse((self.tmp / "other").exists())

    def test_no_manager_is_fine(self):
        for socket_path in ("/nonexistent/socket", "relative", "@" + "x" * 200):
            self.manager = Manager(self)
            self.manager.path.unlink()
            self.manager.path = socket_path
            with open(self.tmp / "log", "w", encoding="utf-8") as log:
                process = subprocess.Popen(
                    [periscope.BUILD / "periscope-host", "--config", self.host_settings()],
                    stdout=log, stderr=log, env=self.manager.environment())
            self.addCleanup(process.wait)
            self.addCleanup(process.kill)
            wait_for("it to collect", 60, lambda: "msg=collecting" in self.log())
            process.terminate()
            self.assertEqual(process.wait(60), 0, self.log())


class ExitCodes(TestCase):
    def expect(self, code, words, name, *arguments, before=()):
        with self.subTest(name=name, arguments=arguments, before=before):
            done = self.run_program(name, *arguments, before=before)
            self.assertEqual(done.returncode, code, done.stdout + done.stderr)
            self.assertIn(words, done.stderr if code else done.stdout)
            if code:
                self.assertEqual(len(done.stderr.splitlines()), 1, "one line that says why")

    def test_asked(self):
        good = {"periscope-host": self.write("host.yml", "region: ams\n"),
                "periscope-region": self.write("region.yml", "organisations: [a]\n")}
        bad = self.write("bad.yml", "a: 1\nno_such_setting: 1\n")
        for name, settings in good.items():
            self.expect(0, f"Usage: {name}", name, "--help")
            self.expect(0, f"{name} {(rig.TOP / 'VERSION').read_text().strip()} (commit ", name, "--version")
            self.expect(0, "valid", name, "--config", settings, "--check-config")
            self.expect(2, "--no-such-option", name, "--no-such-option")
            self.expect(2, "--config", name, "--config")
            self.expect(2, "stray", name, "stray")
            self.expect(6, "absent.yml", name, "--config", self.tmp / "absent.yml")
            self.expect(6, "bad.yml:1: unknown key \"a\"", name, "--config", bad, "--check-config")
            self.expect(6, "bad.yml:1: unknown key \"a\"", name, "--config", bad)
        self.expect(2, "--log-level", "periscope-host", "--log-level", "loud")
        for option, value, why in (("log-level", "loud", "expected one of error, warn, info, debug"),
                                   ("retention", "0", "expected a duration like 15s between 1h and 100y"),
                                   ("latency-offset", "x", "--latency-offset: found \"x\""),
                                   ("listen", "127.0.0.1", "not an address"), ("data", "", "empty")):
            self.expect(2, why, "periscope-region", "--dev", "--data", self.tmp / "data",
                        f"--{option}", value)

    def test_output_that_is_lost(self):
        """Who asked for a file and got none, because the disk was full, is told."""
        region = ("periscope-region", "--dev", "--data", self.tmp / "data")
        for name, *arguments in (("periscope-host", "--help"), ("periscope-host", "--version"),
                                 ("periscope-host", "--config", "/dev/null", "--print-config"),
                                 (*region, "--print-config"), (*region, "--check-config"),
                                 ("periscope-host-volumes", "--help"), ("periscope", "--version")):
            self.expect(1, "standard output: No space left on device", name, *arguments,
                        before=["sh", "-c", 'exec "$@" >/dev/full', "sh"])

    def test_printed_settings_are_settings(self):
        for name, text in (("periscope-host", "interval: 7s\n"),
                           ("periscope-region", "organisations: [a]\nretention: 12d\n")):
            printed = self.run_program(name, "--config", self.write("in.yml", text), "--print-config").stdout
            self.assertIn(text.splitlines()[-1], printed)
            again = self.run_program(name, "--config", self.write("out.yml", printed), "--print-config")
            self.assertEqual(again.stdout, printed)

    def test_missing_privileges(self):
        closed = self.tmp / "closed"
        closed.mkdir(mode=0o700)
        self.expect(4, "Permission denied", "periscope-region", "--dev", "--data", closed / "data",
                    "--listen", "127.0.0.1:0", before=NOBODY)
        # In a network namespace of its own nobody has opened the low ports to everybody.
        fresh = ["unshare", "--net", "sh", "-c", 'ip link set lo up && exec "$@"', "sh", *NOBODY]
        queue = self.tmp / "queue"
        queue.mkdir()
        queue.chmod(0o777)
        settings = self.write("host.yml", f"vms_dir: {self.tmp}/vms.d\nlisten: 127.0.0.1:80\nqueue:\n  dir: {queue}\n")
        self.expect(4, "Permission denied", "periscope-host", "--config", settings,
                    "--log-level", "error", before=fresh)

    def test_runtime_failures(self):
        with socket.socket() as taken:
            taken.bind(("127.0.0.1", 0))
            taken.listen()
            address = f"127.0.0.1:{taken.getsockname()[1]}"
            self.expect(1, "in use", "periscope-region", "--dev", "--data", self.tmp / "data",
                        "--listen", address)
            settings = self.write("host.yml", f"vms_dir: {self.tmp}/vms.d\nlisten: {address}\n")
            self.expect(1, "in use", "periscope-host", "--config", settings, "--log-level", "error")


class Install(TestCase):
    def make(self, target):
        # make's own variables would reach this one when make check runs it.
        environment = {k: v for k, v in os.environ.items() if not k.startswith("MAKE") and k != "MFLAGS"}
        rig.run("make", "-s", target, f"DESTDIR={self.tmp}", f"O={periscope.BUILD.relative_to(rig.TOP)}",
                cwd=rig.TOP, env=environment)

    def test_what_is_installed_is_taken_away(self):
        self.make("install")
        for path in ("sbin/periscope-host", "sbin/periscope-region", "sbin/periscope-host-volumes", "share/man/man8/periscope-host.8",
                     "share/man/man5/periscope-region.yml.5", "share/doc/periscope/vm-spec.md",
                     "lib/systemd/system/periscope-host.service", "lib/sysusers.d/periscope-host.conf"):
            self.assertTrue((self.tmp / "usr" / path).is_file(), path)
        self.make("uninstall")
        self.assertEqual([p for p in self.tmp.rglob("*") if not p.is_dir()], [])

    @unittest.skipUnless(shutil.which("systemd-analyze"), "systemd-analyze is missing (apt-get install systemd)")
    def test_units(self):
        self.make("install")
        for name, most in EXPOSURE_MAX.items():
            unit = self.tmp / f"usr/lib/systemd/system/{name}.service"
            unit.write_text(unit.read_text().replace("=/usr/sbin/", f"={self.tmp}/usr/sbin/"))
            done = subprocess.run(["systemd-analyze", "verify", "--man=no", unit], text=True,
                                  capture_output=True, check=False)
            complaints = [line for line in done.stderr.splitlines() if name in line]
            self.assertEqual((done.returncode, complaints), (0, []), done.stderr)
            done = subprocess.run(["systemd-analyze", "security", "--offline=yes",
                                   f"--threshold={most * 10:.0f}", unit], text=True, capture_output=True,
                                  check=False)
            self.assertEqual(done.returncode, 0, done.stdout + done.stderr)


if __name__ == "__main__":
    sys.exit(e2e.main())
