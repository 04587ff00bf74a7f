# SPDX-License-Identifier: BSD-2-Clause
"""What the end-to-end tests share: a scratch folder, both programs, a guest, and waiting for samples."""
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile
import time
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2] / "scripts/lib"))
# pylint: disable=wrong-import-position
import exporters  # noqa: E402
import periscope  # noqa: E402
import rig  # noqa: E402

LOGS = rig.TOP / "build/e2e"


class TestCase(unittest.TestCase):
    """One stack of resources for each class; logs stay in build/e2e/NAME."""

    @classmethod
    def setUpClass(cls):
        cls.stack = cls.enterClassContext(rig.Stack())
        cls.scratch = pathlib.Path(tempfile.mkdtemp(prefix="periscope-e2e."))
        cls.stack.callback(shutil.rmtree, cls.scratch, ignore_errors=True)
        cls.logs = LOGS / cls.__name__
        shutil.rmtree(cls.logs, ignore_errors=True)
        cls.logs.mkdir(parents=True)

    @classmethod
    def start_process(cls, name, argv):
        process = rig.Process(name, argv, cls.logs / f"{name}.log")
        cls.stack.callback(process.stop)
        return process

    @classmethod
    def both_programs(cls, **options):
        """@options of periscope.Host."""
        region = periscope.Region(cls.scratch / "data", cls.logs)
        cls.stack.callback(region.stop)
        region.start()
        host = periscope.Host(cls.scratch, cls.logs, region.url, **options)
        cls.stack.callback(host.stop)
        host.start()
        cls.region, cls.host, cls.network = region, host, rig.Network(cls.stack, cls.logs)
        return region, host, cls.network

    @classmethod
    def launch(cls, instance, **options):
        """A QEMU that may still be booting: enough where only the process matters."""
        return rig.Vm(cls.stack, instance, cls.network, cls.scratch, cls.logs,
                      accel=rig.choose_accel(), **options)

    @classmethod
    def boot(cls, instance, **options):
        vm = cls.launch(instance, **options)
        vm.wait_ready()
        return vm

    @classmethod
    def wait_for_sample(cls, selector, after=0.0, seconds=60):
        """(time, value) of the newest sample of one series, taken after that time."""
        def newest():
            found = [samples[-1] for _, samples in cls.region.raw(selector, 60)]
            fresh = [sample for sample in found if sample[0] > after]
            if len(fresh) > 1:
                raise rig.RigError(f"{selector}: {len(fresh)} series")
            return fresh and fresh[0]
        return rig.wait_for(f"a sample of {selector}", seconds, newest, every=0.1)

    @classmethod
    def wait_for_value(cls, what, expression, wanted, seconds=60):
        """Waits until an instant query gives the wanted number (None: nothing); returns how long."""
        start = time.monotonic()
        rig.wait_for(f"{what}: {expression} == {wanted}", seconds,
                     lambda: cls.region.number(expression) == wanted)
        return time.monotonic() - start


def main():
    """unittest's main, but 77 with a reason where this machine cannot run the rig."""
    if lacks := rig.missing() + periscope.programs_missing():
        print("skip: missing " + "; ".join(lacks))
        return 77
    rig.ensure_guest()
    return 0 if unittest.main(exit=False, verbosity=2).result.wasSuccessful() else 1


def main_in_netns():
    """The same where no guest is needed, but Debian's exporters and receivers: in a network namespace, so
    that every port is free and nobody else can be reached."""
    if lacks := exporters.missing() + periscope.programs_missing():
        print("skip: missing " + "; ".join(lacks))
        return 77
    if "PERISCOPE_IN_NETNS" not in os.environ:
        exporters.fetch()
        os.environ["PERISCOPE_IN_NETNS"] = "1"
        os.execvp("unshare", ["unshare", "--net", sys.executable, *sys.argv])
    subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
    return 0 if unittest.main(exit=False, verbosity=2).result.wasSuccessful() else 1
