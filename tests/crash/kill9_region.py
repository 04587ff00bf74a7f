#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""kill -9 of periscope-region in the middle of writing, again and again: every sample that was
acknowledged (204) is there after the next start, with its value, and nothing that was never sent.

    ROUNDS=100 SEED=7 tests/crash/kill9_region.py     the defaults are 15 and the time
"""
import json
import os
import pathlib
import random
import shutil
import sys
import tempfile
import threading
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "e2e"))
from region_client import Region  # noqa: E402

ROUNDS = int(os.environ.get("ROUNDS", "15"))
SEED = int(os.environ.get("SEED", str(time.time_ns())))
WRITERS = 4
SERIES = 40
NOW_MS = int(time.time()) * 1000


class Writer(threading.Thread):
    """Writes batches until the server is gone; remembers what was sent and what was acknowledged."""

    def __init__(self, region, number, clock, rng):
        super().__init__(daemon=True)
        self.region, self.number, self.clock, self.rng = region, number, clock, rng
        self.sent, self.acknowledged, self.refused = {}, {}, []

    def batch(self):
        series, samples = [], {}
        self.clock[self.number] += 1
        ts_ms = NOW_MS - 3_000_000 + self.clock[self.number]
        for i in self.rng.sample(range(SERIES), self.rng.randint(1, SERIES)):
            value = self.rng.choice((float(self.rng.randint(0, 10**6)), self.rng.random(),
                                     self.rng.randint(0, 999) / 100))
            series.append(({"__name__": "crash", "writer": str(self.number), "i": str(i)},
                           [(ts_ms, value)]))
            samples[(str(self.number), str(i), ts_ms)] = value
        return series, samples

    def run(self):
        while True:
            series, samples = self.batch()
            self.sent.update(samples)
            try:
                status = self.region.write(series)
            except Exception:  # pylint: disable=broad-except
                return  # killed, in one way or the other
            if status != 204:
                self.refused.append(status)
                return
            self.acknowledged.update(samples)


def stored(region):
    """{(writer, i, ts_ms): value} of everything in there."""
    status, body = region.get("/api/v1/query", query="crash[100m]",
                              time=f"{(NOW_MS + 600_000) / 1000:.3f}")
    if status != 200:
        raise RuntimeError(body)
    return {(s["metric"]["writer"], s["metric"]["i"], round(float(t) * 1000)): float(v)
            for s in json.loads(body)["data"]["result"] for t, v in s["values"]}


def end(region, rng):
    """Cleanly, or by another kill."""
    if rng.random() < 0.5:
        region.stop()
    else:
        region.process.kill()
        region.process.wait()


def one_round(data, clock, rng, sent, acknowledged):
    """Complaints about one kill."""
    region = Region(data)
    writers = [Writer(region, n, clock, random.Random(rng.random())) for n in range(WRITERS)]
    for writer in writers:
        writer.start()
    time.sleep(rng.uniform(0.02, 0.5))
    region.process.kill()
    region.process.wait()
    for writer in writers:
        writer.join(30)
        sent.update(writer.sent)
        acknowledged.update(writer.acknowledged)
    complaints = [f"a write was answered {what}" for w in writers for what in w.refused]
    region = Region(data)
    there = stored(region)
    complaints += [f"acknowledged {key} = {value}, found {there.get(key)}"
                   for key, value in acknowledged.items() if there.get(key) != value]
    complaints += [f"never sent {key} = {value}"
                   for key, value in there.items() if sent.get(key) != value]
    end(region, rng)
    return complaints


def main():
    print(f"ROUNDS={ROUNDS} SEED={SEED}", flush=True)
    rng = random.Random(SEED)
    folder = tempfile.mkdtemp(prefix="periscope-kill9-")
    clock, sent, acknowledged = [0] * WRITERS, {}, {}
    try:
        for number in range(ROUNDS):
            complaints = one_round(os.path.join(folder, "data"), clock, rng, sent, acknowledged)
            if complaints:
                print(f"round {number}: {len(complaints)} complaints", *complaints[:10], sep="\n  ")
                sys.exit(1)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    if not acknowledged:
        sys.exit("nothing was ever acknowledged: the test proves nothing")
    print(f"{ROUNDS} kills: {len(acknowledged)} acknowledged samples are all there, "
          f"{len(sent) - len(acknowledged)} more were on their way")


main()
