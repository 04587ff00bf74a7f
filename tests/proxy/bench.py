#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""What being measured costs a proxy: nginx under wrk, programs attached and detached in turn.

    bench.py --by cpu         CPU time of nginx for each request: on any machine, however noisy
    bench.py --by requests    requests in a fixed time: in the rig's deterministic mode, where time is
                              instructions, the daemon's own included (make bench-proxy runs both)

One line of JSON for each load, with the ratio of what was reached; --gate PERCENT fails when the wire programs
cost more in any of them.
"""
import argparse
import json
import pathlib
import re
import statistics
import sys

from lab import Lab, Probe, RigError, Stack, skip_unless_possible, wait_for

EDGE, APP = "127.0.0.1", "127.0.1.1"
LOADS = {  # name: port, wrk's URL scheme, header
    "plaintext, keep-alive": (8080, "http", None),
    "plaintext, a connection each": (8080, "http", "Connection: close"),
    "TLS 1.3, keep-alive": (8443, "https", None),
    "TLS 1.3, a connection each": (8443, "https", "Connection: close"),
    "proxied, keep-alive": (8082, "http", None),
    "proxied, a connection each": (8083, "http", "Connection: close"),
}


def conf(lab):
    tls = (f"listen {EDGE}:8443 ssl; ssl_protocols TLSv1.3; ssl_certificate {lab.scratch}/crt; "
           f"ssl_certificate_key {lab.scratch}/key;")
    return f"""
    access_log off;
    upstream kept {{ server {APP}:8081; keepalive 32; }}
    server {{ listen {EDGE}:8080; {tls} location / {{ return 200 "ok\\n"; }} }}
    server {{ listen {EDGE}:8082; location / {{ proxy_pass http://kept; proxy_http_version 1.1;
              proxy_set_header Connection ""; }} }}
    server {{ listen {EDGE}:8083; location / {{ proxy_pass http://{APP}:8081; }} }}"""


class Bench:
    def __init__(self, stack, options):
        self.lab = lab = Lab(stack, "bench")
        self.options = options
        # Nobody interrupts anybody: who runs when must not depend on chance.
        lab.prefix = ["chrt", "--batch", "0"]
        lab.certificate("www.example.com")
        lab.add_vm("web", APP, hostnames=["www.example.com", EDGE])
        lab.nginx("app", f'server {{ access_log off; listen {APP}:8081; location / {{ return 200 "ok\\n"; }} }}')
        self.nginx = lab.nginx("edge", conf(lab), cgroup="proxy")
        self.probe = Probe(lab, f"- {{name: edge, cgroup: {lab.cgroup}/proxy}}\n", start=False)

    def worker_ns(self):
        """CPU time of nginx' worker, by the scheduler."""
        children = pathlib.Path(f"/proc/{self.nginx_pid()}/task/{self.nginx_pid()}/children").read_text()
        return sum(int(pathlib.Path(f"/proc/{pid}/schedstat").read_text().split()[0])
                   for pid in children.split())

    def nginx_pid(self):
        return (self.nginx.folder / "pid").read_text().strip()

    def load(self, port, scheme, header):
        """(requests a second, CPU ns of nginx for each) of one run of wrk."""
        before = self.worker_ns()
        out = self.lab.inside(*self.lab.prefix, "wrk", "-t1", f"-c{self.options.connections}", f"-d{self.options.seconds}s",
                              *(["-H", header] if header else []), f"{scheme}://{EDGE}:{port}/")
        done = int(re.search(r"(\d+) requests in", out)[1])
        if done == 0 or "Socket errors" in out and "read 0" not in out:
            raise RigError(f"wrk: {out}")
        # Not what was done divided by what was asked for: wrk looks at its clock every 100 ms.
        return float(re.search(r"Requests/sec:\s+([\d.]+)", out)[1]), (self.worker_ns() - before) / done

    def attach(self):
        self.probe.start()
        wait_for("the programs to be attached", 60, lambda: self.probe.own("up") == 1)

    def run(self, name):
        """Detached and attached in turn; what is reached with them as a ratio of without."""
        runs = {False: [], True: []}
        self.load(*LOADS[name])  # warms everything up
        for turn in range(2 * self.options.rounds):
            attached = turn % 2 == 1
            if attached:
                self.attach()
            runs[attached].append(self.load(*LOADS[name]))
            if attached:
                self.probe.stop()
        requests = {key: statistics.median(r[0] for r in value) for key, value in runs.items()}
        cpu = {key: statistics.median(r[1] for r in value) for key, value in runs.items()}
        return {"load": name, "by": self.options.by,
                "requests_without": requests[False], "requests_with": requests[True],
                "cpu_us_without": round(cpu[False] / 1e3, 2), "cpu_us_with": round(cpu[True] / 1e3, 2),
                "ratio": round(requests[True] / requests[False] if self.options.by == "requests"
                               else cpu[False] / cpu[True], 4)}


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--by", choices=["cpu", "requests"], default="cpu")
    parser.add_argument("--seconds", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--connections", type=int, default=8)
    parser.add_argument("--loads", default="", help="only those whose name holds this")
    parser.add_argument("--gate", type=float, help="fail above so many percent")
    options = parser.parse_args()
    skip_unless_possible()
    worst = 1.0
    with Stack() as stack:
        bench = Bench(stack, options)
        for name in LOADS:
            if options.loads in name:
                result = bench.run(name)
                worst = min(worst, result["ratio"])
                print(json.dumps(result), flush=True)
    if options.gate is not None and worst < 1 - options.gate / 100:
        print(f"bench: the dearest load reaches {worst:.3f} of what it does without: more than "
              f"{options.gate:g} % lost")
        return 1
    return 0


sys.exit(main())
