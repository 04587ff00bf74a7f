# SPDX-License-Identifier: BSD-2-Clause
"""Servers to compare with, started for one test on the same data, and what counts as an equal answer."""
import atexit
import concurrent.futures
import http.client
import json
import math
import os
import pathlib
import socket
import subprocess
import sys
import time
import urllib.parse

TOP = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(TOP / "tests/e2e"))
from region_client import snappy_literal, write_request  # noqa: E402

RELATIVE, OF_LARGEST = 1e-9, 1e-12  # how far two values of one answer may differ


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


class Server:
    """One program on a free port with its data below @folder; stop() and start() again keep the data."""
    write_path = "/api/v1/write"
    ready_path = "/health"
    plain_args = ()  # added to each query

    def __init__(self, folder):
        self.folder = pathlib.Path(folder)
        self.folder.mkdir(parents=True, exist_ok=True)
        self.process = None

    def command(self):
        raise NotImplementedError

    def start(self, **env):
        self.port = free_port()
        with open(self.folder / "log", "ab") as log:
            self.process = subprocess.Popen(list(map(str, self.command())), stdout=log, stderr=log,
                                            env=os.environ | env)
        atexit.register(self.process.kill)  # whatever happens, nobody is left behind
        until = time.monotonic() + 60
        while time.monotonic() < until and self.process.poll() is None:
            try:
                if self.http("GET", self.ready_path)[0] == 200:
                    return self
            except OSError:
                pass
            time.sleep(0.05)
        raise RuntimeError(f"{self.command()[0]} did not start: see {self.folder}/log")

    def stop(self):
        self.process.terminate()
        self.process.wait()

    def http(self, method, path, body=None, headers={}, timeout=60):
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=timeout)
        try:
            connection.request(method, path, body, headers)
            answer = connection.getresponse()
            return answer.status, answer.read()
        finally:
            connection.close()

    def load(self, series, batch=1000):
        """@series: [({label: value}, [(ts_ms, value)])], in requests of growing time."""
        head = {"Content-Encoding": "snappy", "Content-Type": "application/x-protobuf",
                "X-Prometheus-Remote-Write-Version": "0.1.0"}
        ends = sorted({ts for _, samples in series for ts, _ in samples})
        for i in range(0, len(ends), batch):
            first, last = ends[i], ends[min(i + batch, len(ends)) - 1]
            part = [(labels, [s for s in samples if first <= s[0] <= last]) for labels, samples in series]
            body = snappy_literal(write_request([p for p in part if p[1]]))
            status, text = self.http("POST", self.write_path, body, head)
            if status not in (200, 204):
                raise RuntimeError(f"{self.command()[0]} refused the data: {status} {text[:300]!r}")
        self.settle(sum(not math.isnan(v) for _, samples in series for _, v in samples))

    def settle(self, n):
        """@n samples have been acknowledged."""

    def ask(self, case):
        """@case: (path, {argument: value}). Returns (HTTP status, document or text)."""
        path, args = case
        body = urllib.parse.urlencode(list(args.items()) + list(self.plain_args))
        status, text = self.http("POST", path, body, {"Content-Type": "application/x-www-form-urlencoded"})
        try:
            return status, json.loads(text, object_pairs_hook=Pairs)
        except ValueError:
            return status, text.decode(errors="replace")


class Pairs(dict):
    """A JSON object that remembers a name that comes twice."""

    def __init__(self, pairs):
        super().__init__(pairs)
        self.pairs = tuple(sorted((k, v) for k, v in pairs if isinstance(v, str)))


class Ours(Server):
    plain_args = (("nocache", "1"),)
    ready_path = "/api/v1/status/buildinfo"
    program = TOP / os.environ.get("O", "build/release") / "periscope-region"

    def command(self):
        return [self.program, "--dev", "--listen", f"127.0.0.1:{self.port}", "--data", self.folder / "data",
                "--retention", "36500d", "--log-level", "warn"]


class OursPromql(Ours):
    plain_args = (("dialect", "promql"),)


class VictoriaMetrics(Server):
    plain_args = (("nocache", "1"),)

    def __init__(self, folder, oracle):
        super().__init__(folder)
        self.oracle = oracle

    def command(self):
        return [self.oracle / "victoria-metrics", f"-storageDataPath={self.folder}/data",
                f"-httpListenAddr=127.0.0.1:{self.port}", "-retentionPeriod=100y", "-loggerLevel=ERROR"]

    def settle(self, n):
        """What it has acknowledged becomes visible some time later."""
        everything = "/api/v1/query", {"query": 'sum(count_over_time({__name__!=""}[100y]))'}
        until = time.monotonic() + 30
        while time.monotonic() < until:
            self.http("GET", "/internal/force_flush")
            result = self.ask(everything)[1]["data"]["result"]
            if result and float(result[0]["value"][1]) >= n:
                return
            time.sleep(0.05)
        raise RuntimeError(f"VictoriaMetrics does not show the {n} samples it was given")


class Prometheus(Server):
    ready_path = "/-/ready"

    def __init__(self, folder, oracle):
        super().__init__(folder)
        self.oracle = oracle
        (self.folder / "prometheus.yml").write_text(
            "global: {scrape_interval: 1h}\nstorage: {tsdb: {out_of_order_time_window: 36500d}}\n")

    def command(self):
        return [self.oracle / "prometheus", f"--config.file={self.folder}/prometheus.yml",
                f"--storage.tsdb.path={self.folder}/data", "--storage.tsdb.retention.time=100y",
                f"--web.listen-address=127.0.0.1:{self.port}", "--web.enable-remote-write-receiver",
                "--enable-feature=promql-experimental-functions", "--log.level=error"]


def number(text):
    return float(text)  # "+Inf" and "NaN" too


def close(a, b, largest):
    if a == b or (math.isnan(a) and math.isnan(b)):
        return True
    if not (math.isfinite(a) and math.isfinite(b)):
        return False
    return abs(a - b) <= max(RELATIVE * max(abs(a), abs(b)), OF_LARGEST * largest)


def series_of(document):
    """[(labels, [(ts_ms, value)])], sorted by labels."""
    data = document["data"]
    if data["resultType"] in ("scalar", "string"):
        return [((), [(round(data["result"][0] * 1000), data["result"][1])])]
    return sorted((s["metric"].pairs, [(round(float(t) * 1000), v) for t, v in s.get("values") or [s["value"]]])
                  for s in data["result"])


def difference(ours, theirs):
    """None when two answers of query or query_range mean the same, else a sentence."""
    a, b = ours[1], theirs[1]
    if not isinstance(a, dict) or a.get("status") not in ("success", "error"):
        return f"HTTP {ours[0]}: {str(a)[:200]}"
    if not isinstance(b, dict) or b.get("status") != "success":
        return None if a["status"] == "error" and ours[0] < 500 else f"theirs is an error: {str(b)[:200]}"
    if a["status"] == "error":
        return f"ours is an error: {a.get('error', '')[:200]}"
    if a["data"]["resultType"] != b["data"]["resultType"]:
        return f"type {a['data']['resultType']} for {b['data']['resultType']}"
    if b["data"]["resultType"] == "string":
        return None if a["data"]["result"] == b["data"]["result"] else f"{a['data']} for {b['data']}"
    return series_difference(series_of(a), series_of(b))


def series_difference(a, b):
    if [s[0] for s in a] != [s[0] for s in b]:
        extra, missing = set(s[0] for s in a) - set(s[0] for s in b), set(s[0] for s in b) - set(s[0] for s in a)
        return f"{len(a)} series for {len(b)}: extra {sorted(extra)[:2]}, missing {sorted(missing)[:2]}"
    largest = max([abs(v) for _, points in b for v in (number(p[1]) for p in points) if math.isfinite(v)],
                  default=0)
    for (labels, mine), (_, other) in zip(a, b):
        if [t for t, _ in mine] != [t for t, _ in other]:
            t = sorted({t for t, _ in mine} ^ {t for t, _ in other})
            return f"{dict(labels)}: {len(mine)} points for {len(other)}, the first at {t[0]}"
        for (t, v), (_, w) in zip(mine, other):
            if not close(number(v), number(w), largest):
                return f"{dict(labels)} at {t}: {v} for {w}"
    return None


def compare(cases, ours, theirs, jobs=2):
    """[(case, sentence)] of those that differ."""
    with concurrent.futures.ThreadPoolExecutor(jobs) as pool:
        mine, other = pool.map(ours.ask, cases), pool.map(theirs.ask, cases)
        found = [(c, difference(a, b)) for c, a, b in zip(cases, mine, other)]
    return [(c, text) for c, text in found if text]


def free_choices(cases, ours, theirs, rounds=40):
    """Those of @cases whose answer the oracle changes from time to time, or with its number of CPUs: which of two
    series comes first is an accident there, so it is no reference. Restarts @theirs."""
    cases, free = list(cases), set()
    mine = {id(c): ours.ask(c) for c in cases}
    first = {}
    for cpus in ("1", "2", "3", "4"):
        theirs.stop()
        theirs.start(GOMAXPROCS=cpus)
        for case in cases:
            with concurrent.futures.ThreadPoolExecutor(4) as pool:
                for answer in pool.map(theirs.ask, [case] * (rounds // 4)):
                    if not difference(mine[id(case)], answer) or difference(
                            answer, first.setdefault(id(case), answer)):
                        free.add(id(case))
    return [c for c in cases if id(c) in free]
