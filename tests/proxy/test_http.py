#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""HTTP in clear: nginx and haproxy, HTTP/1 and HTTP/2, against their own logs and against what the apps did."""
import sys
import time
from collections import Counter

from lab import SMOKE, Checks, Lab, Probe, Stack, edge, settle, skip_unless_possible
from peers import OddApp, Stream, connect, request, reset

EDGE = "127.0.0.1"
WEB, ODD, WEB2 = "127.0.1.1", "127.0.1.2", "127.0.1.3"
STATUSES = (200, 201, 204, 301, 304, 404, 418, 500, 503)
H2_PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + b"\0\0\0\4\0\0\0\0\0"


def web_conf(lab):
    statuses = "".join(f"location = /{s} {{ return {s}{' ' + 'xy' * 20 if s not in (204, 301, 304) else ''}"
                       f"{' http://x/' if s == 301 else ''}; }}\n" for s in STATUSES)
    return f"""
    server {{ listen {WEB}:8081; listen {WEB2}:8081 http2; root {lab.scratch}/files;
      {statuses} location = /file {{ try_files $uri =404; }} }}"""


def nginx_conf():
    passed = ('proxy_http_version 1.1; proxy_set_header Connection ""; proxy_set_header Host $host; '
              'proxy_next_upstream off; proxy_read_timeout 700ms; client_header_timeout 2s; '
              'proxy_buffering off; proxy_request_buffering off; client_max_body_size 8m;')
    listen = f"listen {EDGE}:8080; listen {EDGE}:8082 http2;"
    return f"""
    upstream web {{ server {WEB}:8081; keepalive 8; }}
    upstream odd {{ server {ODD}:8081; keepalive 8; }}
    server {{ {listen} server_name www.example.com; {passed} location / {{ proxy_pass http://web; }}
      location /direct {{ return 200 'the edge itself'; }} location /health {{ return 200 'well'; }}
      location /refused {{ proxy_pass http://{WEB}:9; }} }}
    server {{ {listen} server_name odd.example.com; {passed} location / {{ proxy_pass http://odd; }}
      location /stream {{ proxy_read_timeout 20s; proxy_pass http://odd; }}
      location /ws {{ proxy_set_header Upgrade $http_upgrade; proxy_set_header Connection upgrade;
                      proxy_read_timeout 20s; proxy_pass http://odd; }} }}"""


HAPROXY_CONF = f"""
frontend h1
  bind {EDGE}:8080
  bind {EDGE}:8082 proto h2
  capture request header Host len 64
  timeout http-request 2s
  use_backend web2 if {{ hdr(host) -i web2.example.com }}
  use_backend stream if {{ path /stream /ws }}
  use_backend odd if {{ hdr(host) -i odd.example.com }}
  use_backend refused if {{ path /refused }}
  use_backend direct if {{ path /direct /health }}
  default_backend web
backend web
  timeout server 700ms
  server web {WEB}:8081
backend web2
  server web2 {WEB2}:8081 proto h2
backend odd
  timeout server 700ms
  server odd {ODD}:8081
backend stream
  server odd {ODD}:8081
backend refused
  server refused {WEB}:9
backend direct
  http-request return status 200 content-type text/plain string "the edge itself"
"""


class Case:
    """One proxy before two apps: one is nginx, the other is odd."""

    def __init__(self, stack, kind):
        self.lab = lab = Lab(stack, f"http-{kind}")
        self.kind = kind
        (lab.scratch / "files").mkdir()
        (lab.scratch / "files/file").write_bytes(OddApp.FAKE * 70000)
        self.vms = {
            "web": lab.add_vm("web", WEB, hostnames=["www.example.com"]),
            "odd": lab.add_vm("odd", ODD, hostnames=["odd.example.com"]),
            "web2": lab.add_vm("web2", WEB2, hostnames=["web2.example.com"]),
        }
        self.web = lab.nginx("app", web_conf(lab))
        self.odd = OddApp(lab, ODD, 8081)
        if kind == "nginx":
            self.proxy = lab.nginx("edge", nginx_conf(), cgroup="proxy")
        else:
            self.proxy = edge.Haproxy(lab.scratch / "edge", HAPROXY_CONF).start(
                lambda name, argv: lab.start(name, argv, "proxy"))
        lab.wait_port(EDGE, 8082, self.proxy.process)
        settle(0.3)  # who knocked there has left before anybody counts
        self.proxy.forget()
        self.checks = Checks()
        self.probe = Probe(lab, f"- {{name: edge, cgroup: {lab.cgroup}/proxy, check_paths: [/health], "
                                "check_user_agents: [checker/]}\n")
        self.before = self.probe.collect()

    def client(self, port=8080):
        return Stream(connect(self.lab, EDGE, port))

    def ask(self, path, host="www.example.com", method="GET", stream=None, body=b"", fields=(), **more):
        s = stream or self.client()
        s.send(request(method, path, host, *fields, *more.pop("extra", ())) + body, **more)
        status, answer = s.answer(to_head=method == "HEAD")
        if not stream:
            s.sock.close()
        return status, answer

    # ---- what they say and what we say ----

    def logged(self):
        """The proxy's entries, without those of connections on which nothing came."""
        entries = self.proxy.entries()
        for e in entries:
            e["check"] = e["uri"].split("?")[0] == "/health"
            if e["status"] < 0:  # haproxy's way to say that the client had left
                e["status"] = 499
        return entries

    def compare(self, what, settle_s=0.3, queued=False):
        """Everything since the last comparison: equal, status by status, at the edge and before the apps."""
        settle(settle_s)
        c, now = self.checks, self.probe.collect()
        entries = self.logged()
        for name, is_check in (("", False), ("check", True)):
            theirs = Counter(str(e["status"]) for e in entries if e["check"] == is_check)
            ours = self.grown(now, "status", "fly_edge_http_responses_count", source=name)
            c.equal(f"{what}: answers of the edge{' to checks' if is_check else ''}", dict(theirs), ours)
        by_app = {app: n for app, n in self.grown(now, "app", "fly_edge_http_responses_count").items()
                  if app != "unknown"}
        theirs = Counter(app for e in entries if (app := e["host"].split(".")[0].replace("www", "web"))
                         in self.vms and e["status"] not in (400, 408))
        c.equal(f"{what}: whose they are", dict(theirs),
                {app: left for app, n in by_app.items() if (left := n - self.nameless.get(app, 0))})
        self.compare_apps(what, now)
        self.compare_times(what, entries, now, queued)
        for name in ("records_lost_total", "records_orphaned_total", "requests_untimed_total"):
            c.equal(f"{what}: {name}", 0, self.probe.own(name))
        self.before, self.nameless = now, {}
        self.proxy.forget()
        self.web.forget()
        self.odd.answers.clear()

    nameless = {}  # {app: answers that are its own by another way than a name}

    def grown(self, now, label, name, **wanted):
        before = self.before.by(label, name, **wanted)
        found = {key: n - before.get(key, 0) for key, n in now.by(label, name, **wanted).items()}
        return {key: n for key, n in found.items() if n}

    def compare_apps(self, what, now):
        web = Counter(str(e["status"]) for e in self.web.entries())
        ours = Counter(self.grown(now, "status", "fly_app_http_responses_count", app="web", source=""))
        ours.update(self.grown(now, "status", "fly_app_http_responses_count", app="web2", source=""))
        self.checks.equal(f"{what}: answers of the app", dict(web), dict(ours))
        odd = {str(status): n for status, n in self.odd.answers.items()}
        self.checks.equal(f"{what}: answers of the odd app", odd,
                          self.grown(now, "status", "fly_app_http_responses_count", app="odd"))
        self.checks.equal(f"{what}: nothing is in flight", 0, now.sum("fly_app_concurrency") - self.in_flight)

    in_flight = 0

    def compare_times(self, what, entries, now, queued):
        """
        Their clocks have milliseconds and are looked at once in a turn of their loop. Requests that are @queued
        behind others on their connection take longer for us: they begin when they come, not when they are read.
        """
        unit = 1 if self.kind == "nginx" else 1000
        theirs = sum(max(e["time"], 0) for e in entries) / unit
        ours = sum(self.grown(now, "app", "fly_edge_http_response_time_seconds_sum").values())
        n = sum(self.grown(now, "app", "fly_edge_http_response_time_seconds_count").values())
        self.checks.equal(f"{what}: times of all answers", len(entries), n)
        if queued:
            self.checks.that(f"{what}: sum of times", ours > theirs / 2, (theirs, ours))
            return
        # On a busy machine a request waits before they look at it: for us that is a part of its time.
        self.checks.that(f"{what}: sum of times", theirs * 0.8 - len(entries) * 0.02 <= ours <=
                         theirs * 1.5 + len(entries) * 0.05 + 1, (theirs, ours))


# ---- HTTP/1 ----

def plain(case):
    """Every status, on one connection and on one each; HEAD, bodies of both kinds, 100-continue."""
    s = case.client()
    for status in STATUSES * 3:
        for method in ("GET", "HEAD"):
            case.checks.equal(f"{method} /{status}", status, case.ask(f"/{status}", stream=s, method=method)[0])
    for status in STATUSES:
        case.ask(f"/{status}")
    case.compare("statuses")
    body = b"x" * 5000
    case.ask("/echo", "odd.example.com", "POST", s, body, [f"Content-Length: {len(body)}"])
    chunked = b"".join(b"%x\r\n%s\r\n" % (n, (OddApp.FAKE * n)[:n]) for n in (15, 1650, 2000))
    case.ask("/echo", "odd.example.com", "PUT", s, chunked + b"0\r\n\r\n", ["Transfer-Encoding: chunked"])
    s.send(request("POST", "/echo", "odd.example.com", "Content-Length: 5", "Expect: 100-continue"))
    case.checks.equal("100-continue", b"HTTP/1.1 100", s.until(b"\r\n\r\n")[:12])
    s.send(b"hello")
    case.checks.equal("the answer to it", (200, b"hello"), s.answer())
    case.ask("/404", stream=s)
    s.sock.close()
    case.compare("bodies")


def pieces(case):
    """Pipelined requests in one segment; requests and answers in segments of a byte."""
    s = case.client()
    paths = [f"/{STATUSES[i % len(STATUSES)]}" for i in range(60)]
    s.send(b"".join(request("GET", path, "www.example.com") for path in paths))
    for path in paths:
        case.checks.equal("pipelined", int(path[1:]), s.answer()[0])
    case.ask("/418", stream=s, piece=1)
    case.ask("/split", "odd.example.com", stream=s, piece=7)
    case.ask("/200", stream=s, extra=["X-Long: " + "z" * 6000], piece=1000, pause=0.002)
    s.sock.close()
    s = case.client()
    s.send(request("GET", "/direct", "www.example.com", version="1.0"))
    case.checks.equal("HTTP/1.0", 200, s.answer()[0])
    s.sock.close()
    case.compare("pieces", queued=True)


def bodies(case):
    """Answers whose end is hard to tell, full of what looks like answers."""
    s = case.client()
    for path in ("/fake", "/chunked", "/slow", "/slow"):
        case.ask(path, "odd.example.com", stream=s)
    case.checks.equal("until close", OddApp.FAKE * 9, case.ask("/until-close", "odd.example.com")[1])
    case.ask("/file", stream=s)
    if case.kind == "haproxy":
        case.ask("/interim", "odd.example.com", stream=s)
    s.sock.close()
    case.compare("bodies of answers")


def long_ones(case):
    """A websocket and a stream: in flight until they end, and as long as they lasted."""
    web_socket, stream = case.client(), case.client()
    fields = ["Upgrade: websocket", "Connection: Upgrade", "Sec-WebSocket-Version: 13",
              "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ=="]
    case.checks.equal("upgraded", 101, case.ask("/ws", "odd.example.com", stream=web_socket, fields=fields)[0])
    stream.send(request("GET", "/stream", "odd.example.com"))
    stream.until(b"some")
    for i in range(5):
        web_socket.send(OddApp.FAKE * (i + 1))
        web_socket.exactly(len(OddApp.FAKE) * (i + 1))
    time.sleep(0.3)
    now = case.probe.collect()
    case.checks.equal("both are in flight", 2, now.sum("fly_app_concurrency", app="odd"))
    case.odd.release.set()
    stream.until(b"0\r\n\r\n")
    stream.sock.close()
    web_socket.sock.close()
    case.compare("long ones")


def failures(case):
    """What goes wrong on either side."""
    case.checks.equal("refused", True, case.ask("/refused")[0] in (502, 503))
    for path in ("/reset", "/gone"):
        case.checks.equal(path, 502, case.ask(path, "odd.example.com")[0])
    case.checks.equal("half", (200, b"half"), case.ask("/half", "odd.example.com"))
    case.checks.equal("never", 504, case.ask("/never", "odd.example.com")[0])
    case.compare("failures of the app")
    early = case.client()
    early.send(request("POST", "/early", "odd.example.com", "Content-Length: 300000") + b"x" * 1000)
    case.checks.equal("an early answer", 413, early.answer()[0])
    early.send(b"x" * 299000)
    time.sleep(0.1)
    early.sock.close()
    case.compare("an early answer")


def bad_clients(case):
    for data in (b"hello\r\n\r\n", b"\x00\x01\x02\x03\r\n\r\n", b"GET / HTTP/9.9\r\n\r\n",
                 b"GET /direct HTTP/1.1\r\nHost: www.example.com\r\nbad header\0\r\n\r\n"):
        s = case.client()
        s.send(data)
        s.rest()
        s.sock.close()
    s = case.client()
    s.send(b"GET /dir")
    time.sleep(0.1)
    s.sock.close()  # in the middle of its request
    case.client().sock.close()  # without a word
    s = case.client()  # what is behind a request that ends the connection is never looked at
    s.send(b"bad\r\n\r\n" + request("GET", "/direct", "www.example.com") * 5)
    s.rest()
    s.sock.close()
    s = case.client()
    s.send(request("GET", "/never", "odd.example.com"))
    time.sleep(0.2)
    reset(s.sock)
    time.sleep(0.8)
    if case.kind == "haproxy":  # which refuses a request whose Host has been seen, and logs no host
        case.nameless = {"web": 1}
    case.compare("bad clients")


def checks(case):
    for _ in range(3):
        case.ask("/health")
        case.ask("/health?deep=1")
        case.ask("/healthy")
    case.compare("health checks")


def load(case):
    """Thousands, over connections of their own and over kept ones."""
    url, n = f"http://{EDGE}:8080", 2000 if SMOKE else 20000
    for path, n, clients in (("/200", n, 20), ("/404", n, 4), ("/418", 400, 400)):
        case.lab.inside("h2load", "--h1", "-n", n, "-c", clients, "-t", 1, "-H", ":authority: www.example.com",
                        url + path)
    case.compare("load", 0.5)


# ---- HTTP/2 ----

def frame(kind, flags, stream, content=b""):
    return len(content).to_bytes(3, "big") + bytes([kind, flags]) + stream.to_bytes(4, "big") + content


def literal(name, value):
    return bytes([0, len(name)]) + name + bytes([len(value)]) + value


def h2_request(path, host=b"odd.example.com"):
    return b"\x82\x86" + literal(b":path", path) + literal(b":authority", host)


def streams(case):
    """Load over many streams, names from the dynamic table, and streams that are reset."""
    url, n = f"http://{EDGE}:8082", 500 if SMOKE else 4000
    for path in ("/200", "/404", "/direct"):
        case.lab.inside("h2load", "-n", n, "-c", 4, "-m", 20, "-t", 1, "-H", ":authority: www.example.com",
                        f"{url}{path}")
    case.compare("streams", 0.5)
    case.lab.inside("h2load", "-n", 50, "-c", 1, "-m", 3, "-t", 1, "-H", ":authority: odd.example.com", f"{url}/slow")
    if case.kind == "haproxy":
        case.lab.inside("h2load", "-n", n, "-c", 3, "-m", 10, "-t", 1, "-H", ":authority: web2.example.com",
                        f"{url}/200")
    case.compare("slow streams", 0.5)
    s = case.client(8082)
    s.send(H2_PREFACE)
    s.send(frame(1, 5, 1, h2_request(b"/never")), piece=3)
    s.send(frame(1, 5, 3, h2_request(b"/never")))
    block = h2_request(b"/slow")
    s.send(frame(1, 1, 5, block[:9]) + frame(9, 4, 5, block[9:]))  # CONTINUATION
    time.sleep(0.25)
    s.send(frame(3, 0, 1, b"\0\0\0\x08") + frame(3, 0, 3, b"\0\0\0\x08"))  # RST_STREAM: cancelled
    time.sleep(0.2)
    s.sock.close()
    case.compare("streams that are reset", 0.9)


def run(stack, kind):
    case = Case(stack, kind)
    for part in (plain, pieces, bodies, long_ones, failures, bad_clients, checks, load, streams):
        started = time.monotonic()
        part(case)
        print(f"{kind}: {part.__name__}: {time.monotonic() - started:.1f} s", flush=True)
    return case.checks


def main():
    skip_unless_possible()
    total = Checks()
    for kind in sys.argv[1:] or ("nginx", "haproxy"):
        with Stack() as stack:
            total.add(run(stack, kind))
    return total.done()


sys.exit(main())
