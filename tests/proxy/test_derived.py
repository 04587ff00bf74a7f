#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""What cannot be seen at the edge, because it is inside TLS, derived from what VMs answer; and limits."""
import sys
from collections import Counter

from lab import Checks, Lab, Probe, Stack, settle, skip_unless_possible
from peers import OddApp, Stream, connect, request

EDGE, WEB, ODD, NAME = "127.0.0.1", "127.0.1.1", "127.0.1.2", "www.example.com"


def conf(lab):
    return f"""
    server {{ listen {EDGE}:8443 ssl http2; listen {EDGE}:8080; server_name {NAME}; ssl_certificate {lab.scratch}/crt;
      ssl_certificate_key {lab.scratch}/key; location / {{ proxy_pass http://{WEB}:8081; }}
      location /stream {{ proxy_pass http://{ODD}:8081; proxy_http_version 1.1; proxy_buffering off; }} }}"""


def derived(lab, probe, proxy, checks):
    """Over TLS and in clear, checks among them: each counts once."""
    before = probe.collect()
    proxy.forget()
    for url in (f"https://{NAME}:8443/200", f"https://{NAME}:8443/404", f"http://{NAME}:8080/200"):
        lab.inside("h2load", *(["--h1"] if url.startswith("http:") else []), "-n", 300, "-c", 10, "-t", 1,
                   f"--connect-to={EDGE}:{8080 if url.startswith('http:') else 8443}", url)
    lab.inside("curl", "-sk", "--resolve", f"{NAME}:8443:{EDGE}", f"https://{NAME}:8443/health")
    settle(0.3)
    now = probe.collect()
    theirs = Counter(str(e["status"]) for e in proxy.entries() if e["uri"] != "/health")
    for name, wanted in (("fly_edge_http_responses_count", {"app": "web", "source": ""}),
                         ("fly_app_http_responses_count", {"app": "web", "source": ""})):
        checks.equal(name, dict(theirs), now.by("status", name, **wanted))
    checks.equal("nobody else's", 0, now.sum("fly_edge_http_responses_count", app="unknown"))
    checks.equal("checks at the edge", 0, now.sum("fly_edge_http_responses_count", source="check"))
    checks.equal("checks before the VM", 1, now.sum("fly_app_http_responses_count", app="web", source="check"))
    checks.equal("times", sum(theirs.values()),
                 now.sum("fly_edge_http_response_time_seconds_count", app="web", source=""))
    checks.equal("handshakes", 21, now.sum("fly_edge_tls_handshake_time_seconds_count", app="web"))
    checks.equal("nothing before", 0, before.sum("fly_edge_http_responses_count"))


def limits(lab, probe, odd, checks):
    """Two requests in flight reach the soft limit, once; a third the hard one."""
    def reached():
        settle(0.3)
        now = probe.collect()
        return tuple(now.sum(f"fly_app_{kind}_limit_reached_count", app="odd") for kind in ("soft", "hard"))

    def begin():
        stream = Stream(connect(lab, EDGE, 8080))
        stream.send(request("GET", "/stream", NAME))
        stream.until(b"some")
        return stream
    streams = [begin()]
    checks.equal("one is below both", (0, 0), reached())
    streams.append(begin())
    checks.equal("two reach the soft one", (1, 0), reached())
    checks.equal("and stay there", (1, 0), reached())
    streams.append(begin())
    checks.equal("three reach both", (1, 1), reached())
    odd.release.set()
    for stream in streams:
        stream.until(b"0\r\n\r\n")
        stream.sock.close()
    checks.equal("none is in flight", (1, 1), reached())


def main():
    skip_unless_possible()
    checks = Checks()
    with Stack() as stack:
        lab = Lab(stack, "derived")
        lab.certificate(NAME)
        lab.add_vm("web", WEB, hostnames=[NAME])
        lab.add_vm("odd", ODD, soft_limit=2, hard_limit=3)
        lab.nginx("app", f"server {{ listen {WEB}:8081; location = /200 {{ return 200 'ok'; }} "
                         "location = /health { return 200 'well'; } }")
        odd = OddApp(lab, ODD, 8081)
        proxy = lab.nginx("edge", conf(lab), cgroup="proxy")
        probe = Probe(lab, f"- {{name: edge, cgroup: {lab.cgroup}/proxy, edge_http: derived, "
                           "check_paths: [/health]}\n")
        derived(lab, probe, proxy, checks)
        limits(lab, probe, odd, checks)
    return checks.done()


sys.exit(main())
