#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""From collection to the store, with everything between going wrong: afterwards every sample that was
collected is in the store exactly once, with its value, and nothing that was not.

    ROUNDS=100 SEED=7 AWAY_S=600 make check-crash     the defaults are 20, the time, and 0

Between both programs stands a proxy that answers instead of the region (even that all is well), is slow, talks
rubbish, or passes a request on and then hangs up, so that its answer is lost. Each round one of these, or a disk that is full (as
root only), goes on while the host, the region or both are killed; and the host's wall clock jumps. After the
rounds the region may be away for AWAY_S seconds more. What the host collected is what its --tap says: a batch
without "queued" was cut off by a kill, and may be there or not.
"""
import http.client
import json
import os
import pathlib
import random
import shutil
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import threading
import time

TOP = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(TOP / "tests/e2e"))
import tap  # noqa: E402
from region_client import Region  # noqa: E402

ROUNDS = int(os.environ.get("ROUNDS", "20"))
SEED = int(os.environ.get("SEED", str(time.time_ns())))
AWAY_S = float(os.environ.get("AWAY_S", "0"))
CLOCK = TOP / os.environ.get("O", "build/release") / "tests/crash/jumping_clock.so"
JUMP_MAX_MS = 1800 * 1000
HOST = TOP / os.environ.get("O", "build/release") / "periscope-host"
INTERVAL_MS = 100
SIMULATE = "VMS=12,SERIES=20"


class Proxy(threading.Thread):
    """One thread for each connection; what happens to a request is drawn from the fault of the round."""

    FAULTS = ("none", "status", "rubbish", "slow", "lost_answer", "half_answer", "cut_request",
              "false_ok", "all")

    def __init__(self, rng):
        super().__init__(daemon=True)
        self.rng, self.fault, self.region_port = rng, "none", 0
        self.counts = dict.fromkeys(self.FAULTS, 0)
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]

    def run(self):
        while True:
            connection, _ = self.listener.accept()
            threading.Thread(target=self.serve, args=(connection,), daemon=True).start()

    def serve(self, connection):
        try:
            with connection, connection.makefile("rb") as stream:
                while request := self.read(stream):
                    if not self.handle(connection, *request):
                        return
        except (OSError, http.client.HTTPException):
            pass  # whoever was killed hangs up

    @staticmethod
    def read(stream):
        """(path, headers, body) of the next request."""
        line = stream.readline()
        if not line:
            return None
        headers = http.client.parse_headers(stream)
        return line.split()[1].decode(), headers, stream.read(int(headers["Content-Length"]))

    def handle(self, connection, path, headers, body):
        """False: the connection ends."""
        fault = self.fault
        if fault == "all":
            fault = self.rng.choice(self.FAULTS[:-1])
        elif fault != "none" and self.rng.random() < 0.3:
            fault = "none"
        self.counts[fault] += 1
        if fault == "status":
            status = self.rng.choice((401, 404, 408, 429, 500, 502, 503))
            connection.sendall(b"HTTP/1.1 %d No\r\nContent-Length: 2\r\n\r\nno" % status)
            return True
        if fault == "false_ok":  # a box in between that has an answer for everything
            connection.sendall(b"HTTP/1.1 204 No Content\r\n\r\n")
            return True
        if fault == "rubbish":
            connection.sendall(self.rng.randbytes(self.rng.randint(1, 300)))
            return False
        if fault == "cut_request":
            return False
        if fault == "slow":
            time.sleep(self.rng.uniform(0, 0.6))
        answer = self.forward(path, headers, body)
        if fault == "lost_answer":
            return False
        if fault == "half_answer":
            connection.sendall(answer[:self.rng.randint(1, len(answer) - 1)])
            return False
        connection.sendall(answer)
        return True

    def forward(self, path, headers, body):
        region = http.client.HTTPConnection("127.0.0.1", self.region_port, timeout=20)
        region.request("POST", path, body, {k: v for k, v in headers.items() if k != "Host"})
        reply = region.getresponse()
        content = reply.read()
        region.close()
        head = "".join(f"{k}: {v}\r\n" for k, v in reply.getheaders()
                       if k.lower() not in ("content-length", "connection", "transfer-encoding"))
        length = "" if reply.status == 204 else f"Content-Length: {len(content)}\r\n"
        return f"HTTP/1.1 {reply.status} X\r\n{head}{length}\r\n".encode() + content


class Rig:
    """Both programs, the proxy between them, and the folders."""

    def __init__(self, rng):
        self.rng = rng
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="periscope-audit-"))
        self.queue = self.folder / "queue"
        self.queue.mkdir()
        self.small_disk = os.geteuid() == 0 and subprocess.run(
            ["mount", "-t", "tmpfs", "-o", "size=16m", "audit", self.queue], check=False,
            stderr=subprocess.DEVNULL).returncode == 0
        self.proxy = Proxy(random.Random(rng.random()))
        self.proxy.start()
        with socket.create_server(("127.0.0.1", 0)) as probe:
            self.metrics_port = probe.getsockname()[1]
        self.set_clock(0)
        self.write_config()
        self.region = self.host = None

    def set_clock(self, offset_ms):
        with open(self.folder / "clock", "r+b" if (self.folder / "clock").exists() else "wb") as file:
            file.write(struct.pack("=q", offset_ms))

    def write_config(self):
        (self.folder / "host.yml").write_text(f"""\
host_id: d001
region: dev
interval: {INTERVAL_MS}ms
vms_dir: {self.folder}/vms.d
listen: 127.0.0.1:{self.metrics_port}
queue:
  dir: {self.queue}
  flush: 30s
remote_write:
  region:
    url: http://127.0.0.1:{self.proxy.port}/api/v1/write
    protocol: 2.0
    request_samples: 60
    shards: 4
    timeout: 1s
    backoff_min: 10ms
    backoff_max: 100ms
    live_window: 1s
    catch_up_samples: 4000
    queue_size: 1GiB
""")

    def start_region(self):
        self.region = Region(str(self.folder / "data"))
        self.proxy.region_port = self.region.port

    def start_host(self, simulate=SIMULATE):
        with open(self.folder / "host.log", "ab") as log:
            self.host = subprocess.Popen(
                [HOST, "--config", self.folder / "host.yml", "--simulate", simulate,
                 "--tap", self.folder / "tap"], stdout=log, stderr=log,
                env={**os.environ, "LD_PRELOAD": str(CLOCK), "JUMPING_CLOCK": str(self.folder / "clock")})

    def metric(self, name):
        """Sum over the lines of a family of the host's own metrics; None while it does not answer."""
        connection = http.client.HTTPConnection("127.0.0.1", self.metrics_port, timeout=5)
        try:
            connection.request("GET", "/metrics")
            text = connection.getresponse().read().decode()
        except OSError:
            return None
        finally:
            connection.close()
        return sum(float(line.split()[-1]) for line in text.splitlines()
                   if line.startswith((name + " ", name + "{")))

    def wait_for(self, what, name, wanted, seconds=60):
        until = time.monotonic() + seconds
        while (value := self.metric(name)) != wanted:
            if time.monotonic() > until or self.host.poll() is not None:
                raise RuntimeError(f"{what}: {name} is {value} after {seconds} s\n{self.log()}")
            time.sleep(0.05)

    def log(self):
        return "\n".join((self.folder / "host.log").read_text(errors="replace").splitlines()[-20:])

    def kill_host(self):
        self.host.kill()
        self.host.wait()

    def end_host(self):
        until = time.monotonic() + 30
        while self.metric("periscope_host_collections_total") is None:  # before that it just dies
            if time.monotonic() > until:
                raise RuntimeError(f"the host does not start\n{self.log()}")
            time.sleep(0.02)
        self.host.send_signal(signal.SIGTERM)
        if self.host.wait(60) != 0:
            raise RuntimeError(f"the host ended with {self.host.returncode}\n{self.log()}")

    def kill_region(self):
        self.region.process.kill()
        self.region.process.wait()

    def close(self):
        for process in (self.host, self.region and self.region.process):
            if process and process.poll() is None:
                process.kill()
                process.wait()
        if self.small_disk:
            subprocess.run(["umount", "-l", self.queue], check=False)
        shutil.rmtree(self.folder, ignore_errors=True)


def fill_disk(rig):
    """Nobody is killed while blocks are in memory only: those would be lost, and rightly so."""
    ballast = rig.queue / "ballast"
    with open(ballast, "wb", buffering=0) as file:
        try:
            while True:
                file.write(bytes(1 << 20))
        except OSError:
            pass
    time.sleep(rig.rng.uniform(0.3, 1.0))
    ballast.unlink()
    rig.wait_for("after a full disk", "periscope_host_queue_memory_bytes", 0)


def one_round(rig):
    rng, proxy = rig.rng, rig.proxy
    proxy.fault = rng.choice(proxy.FAULTS)
    if rng.random() < 0.3:
        rig.set_clock(rng.randint(-JUMP_MAX_MS, JUMP_MAX_MS))
    time.sleep(rng.uniform(0.05, 0.7))
    action = rng.choice(("host", "host", "host", "region", "region", "both", "end", "away", "disk"))
    if action == "disk" and rig.small_disk:
        fill_disk(rig)
        action = "host"
    if action in ("region", "both", "away"):
        rig.kill_region()
    if action == "away":
        time.sleep(rng.uniform(0.3, 2))
    if action in ("host", "both"):
        rig.kill_host()
        rig.start_host()
    if action in ("region", "both", "away"):
        rig.start_region()
    if action == "end":
        proxy.fault = "none"
        rig.end_host()
        rig.start_host()


def be_away(rig):
    """The region is down for long, the host is killed now and then."""
    if AWAY_S == 0:
        return
    if rig.small_disk:  # what would not fit would be lost by the kills, and rightly so
        subprocess.run(["mount", "-o", "remount,size=1g", rig.queue], check=True)
    rig.kill_region()
    until = time.monotonic() + AWAY_S
    while time.monotonic() < until:
        time.sleep(rig.rng.uniform(1, 20))
        rig.kill_host()
        rig.start_host()
    rig.start_region()


def stored(region, names):
    """({(series, ts): value}, how many samples came twice)."""
    there, twice = {}, 0
    for name in names:
        for series in region.query(f"{name}[3h]", time=f"{time.time() + JUMP_MAX_MS / 1000:.3f}"):
            for t, value in series["values"]:
                key = (tap.series(series["metric"]), round(float(t) * 1000))
                twice += key in there
                there[key] = float(value)
    return there, twice


def judge(rig):
    must, may, clashes = tap.collected(rig.folder / "tap")
    there, twice = stored(rig.region, sorted({key[0].split("{")[0] for key in must}))
    complaints = [f"collected {k} = {v}, found {there.get(k)}" for k, v in must.items()
                  if not tap.same(there.get(k), v) and k not in clashes]
    complaints += [f"never collected {k} = {v}" for k, v in there.items()
                   if k not in must and not tap.same(may.get(k), v)]
    if twice:
        complaints.append(f"{twice} samples are there twice")
    if len(clashes) > len(must) / 100:
        complaints.append(f"{len(clashes)} samples have the time of another: the test proves nothing")
    if len(must) < ROUNDS * 100:
        complaints.append(f"only {len(must)} samples were collected: the test proves nothing")
    if complaints:
        print(f"{len(complaints)} complaints", *complaints[:10], rig.log(), sep="\n  ")
        sys.exit(1)
    print(f"{ROUNDS} rounds: {len(must) - len(clashes)} samples were collected and are there exactly once; "
          f"{len(may)} were cut off by a kill, {sum(k in there for k in may)} of them arrived; "
          f"{len(clashes)} had the time of another; "
          f"requests by fault: {json.dumps(rig.proxy.counts)}"
          f"{'' if rig.small_disk else '; no full disk: not root'}")


def main():
    print(f"ROUNDS={ROUNDS} SEED={SEED}", flush=True)
    rig = Rig(random.Random(SEED))
    try:
        rig.start_region()
        rig.start_host()
        for _ in range(ROUNDS):
            one_round(rig)
        be_away(rig)
        rig.proxy.fault = "none"
        rig.end_host()
        rig.start_host("VMS=0")  # what is left goes out, and nothing more comes
        rig.wait_for("at the end", "periscope_host_queue_samples", 0, seconds=60 + 2 * AWAY_S)
        rig.wait_for("at the end", "periscope_host_samples_dropped_total", 0)
        rig.end_host()
        judge(rig)
    finally:
        rig.close()


main()
