#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""TLS handshakes of nginx and haproxy as the wire shows them, against what the clients and the proxies say."""
import contextlib
import socket
import ssl
import sys
import time

from lab import SMOKE, Checks, Lab, Probe, Stack, edge, settle, skip_unless_possible
from peers import connect, reset

EDGE, APP, NAME = "127.0.0.1", "127.0.1.1", "www.example.com"
TLS12, TLS13 = ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3
ONLY_12, ONLY_13, BOTH, MUTUAL = 8442, 8443, 8444, 8445


def nginx_conf(lab):
    def server(port, versions, more=""):
        return f"""server {{ listen {EDGE}:{port} ssl http2; server_name {NAME}; ssl_protocols {versions};
          ssl_certificate {lab.scratch}/crt; ssl_certificate_key {lab.scratch}/key; {more}
          ssl_session_cache shared:s{port}:1m; location / {{ return 200 "ok"; }} }}"""
    return (server(ONLY_12, "TLSv1.2") + server(ONLY_13, "TLSv1.3", "ssl_early_data on;") +
            server(BOTH, "TLSv1.2 TLSv1.3") +
            server(MUTUAL, "TLSv1.2 TLSv1.3", f"ssl_verify_client on; ssl_client_certificate {lab.scratch}/crt;"))


def haproxy_conf(lab):
    bind = f"ssl crt {lab.scratch}/pem alpn h2,http/1.1"
    return f"""
frontend https
  bind {EDGE}:{ONLY_12} {bind} ssl-max-ver TLSv1.2
  bind {EDGE}:{ONLY_13} {bind} ssl-min-ver TLSv1.3 allow-0rtt
  bind {EDGE}:{BOTH} {bind}
  bind {EDGE}:{MUTUAL} {bind} verify required ca-file {lab.scratch}/crt
  capture request header Host len 64
  http-request return status 200 content-type text/plain string "ok"
"""


def context(version=None, ciphers=None, verify=False):
    ctx = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    if not verify:
        ctx.check_hostname = False
        ctx.verify_mode = ssl.CERT_NONE
    if version:
        ctx.minimum_version = ctx.maximum_version = version
    if ciphers:
        ctx.set_ciphers(ciphers)
    return ctx


def as_records(data, size):
    """The content of one TLS record as many."""
    body = data[5:]
    return b"".join(data[:3] + len(part).to_bytes(2, "big") + part
                    for part in (body[i:i + size] for i in range(0, len(body), size)))


class Client:
    """A TLS client whose every flight passes through our hands."""

    def __init__(self, lab, port, ctx, name=NAME, session=None):
        self.sock = connect(lab, EDGE, port)
        self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.inward, self.outward = ssl.MemoryBIO(), ssl.MemoryBIO()
        self.tls = ctx.wrap_bio(self.inward, self.outward, server_hostname=name, session=session)

    def send(self, data, piece=0, pause=0.0):
        for at in range(0, len(data), piece or max(len(data), 1)):
            self.sock.sendall(data[at:at + (piece or len(data))])
            time.sleep(pause)

    def flush(self, change=bytes, **how):
        if data := self.outward.read():
            self.send(change(data), **how)

    def shake(self, change=bytes, pause=0.0, **how):
        """The handshake; @change is applied to the ClientHello, @pause is waited before each later flight."""
        begun = time.monotonic()
        with contextlib.suppress(ssl.SSLWantReadError):
            self.tls.do_handshake()
        self.flush(change, **how)
        while True:
            data = self.sock.recv(1 << 16)
            if data:
                self.inward.write(data)
            else:
                self.inward.write_eof()
            try:
                self.tls.do_handshake()
                break
            except ssl.SSLWantReadError:
                pass
            except ssl.SSLError:
                self.flush()
                raise
            time.sleep(pause)
            self.flush()
        time.sleep(pause)
        self.flush(**how)
        self.seconds = time.monotonic() - begun
        return self

    def read(self):
        while True:
            with contextlib.suppress(ssl.SSLWantReadError):
                return self.tls.read(1 << 16)
            data = self.sock.recv(1 << 16)
            self.inward.write(data) if data else self.inward.write_eof()  # pylint: disable=expression-not-assigned

    def ask(self):
        self.tls.write(f"GET / HTTP/1.1\r\nHost: {NAME}\r\n\r\n".encode())
        self.flush()
        return self.read()

    def hello(self):
        with contextlib.suppress(ssl.SSLWantReadError):
            self.tls.do_handshake()
        return self.outward.read()

    def close(self):
        self.sock.close()


class Case:
    def __init__(self, stack, kind):
        self.lab = lab = Lab(stack, f"tls-{kind}")
        self.kind = kind
        lab.certificate(NAME)
        (lab.scratch / "pem").write_text((lab.scratch / "crt").read_text() + (lab.scratch / "key").read_text())
        lab.add_vm("web", APP, hostnames=[NAME])
        if kind == "nginx":
            self.proxy = lab.nginx("edge", nginx_conf(lab), cgroup="proxy")
        else:
            self.proxy = edge.Haproxy(lab.scratch / "edge", haproxy_conf(lab)).start(
                lambda name, argv: lab.start(name, argv, "proxy"))
        lab.wait_port(EDGE, MUTUAL, self.proxy.process)
        settle(0.3)
        self.checks = Checks()
        self.probe = Probe(lab, f"- {{name: edge, cgroup: {lab.cgroup}/proxy}}\n")
        self.before = self.counts()

    def counts(self):
        now = self.probe.collect()
        count = "fly_edge_tls_handshake_time_seconds_count"
        return {"good": now.sum(count, app="web"), "good elsewhere": now.sum(count) - now.sum(count, app="web"),
                "bad": now.sum("fly_edge_tls_handshake_errors", servername=NAME),
                "bad elsewhere": now.sum("fly_edge_tls_handshake_errors", servername="unknown"),
                "seconds": now.sum("fly_edge_tls_handshake_time_seconds_sum")}

    def expect(self, what, **wanted):
        """How the counters grew since the last time; what is not named must not have. Returns the seconds."""
        settle(0.15)
        now = self.counts()
        grown = {key: now[key] - self.before[key] for key in now if now[key] != self.before[key]}
        seconds = grown.pop("seconds", 0)
        self.before = now
        self.checks.equal(what, {key.replace("_", " "): n for key, n in wanted.items()}, grown)
        return seconds

    def client(self, port=BOTH, ctx=None, **more):
        return Client(self.lab, port, ctx or context(), **more)


HOWS = ({}, {"piece": 1}, {"change": lambda d: as_records(d, 60), "piece": 65}, {"piece": 100},
        {"change": lambda d: as_records(d, 60)})


def handshakes(case):
    """Both versions, ways to split them, and how long they took."""
    ports = ((BOTH, TLS12), (BOTH, TLS13)) + (() if SMOKE else ((ONLY_12, TLS12), (ONLY_13, TLS13)))
    for port, version in ports:
        for how in HOWS[:3 if SMOKE else None]:
            s = case.client(port, context(version)).shake(**how)
            case.checks.that(f"{version.name} answers", b" 200" in s.ask())
            s.close()
            case.expect(f"{version.name} on {port}, {sorted(how)}", good=1)
    for version in (TLS12, TLS13):
        s = case.client(ctx=context(version)).shake(pause=0.1)
        s.close()
        ours = case.expect(f"slow, {version.name}", good=1)
        case.checks.that(f"time of {version.name}", 0.1 <= ours <= s.seconds + 0.01, (ours, s.seconds))
    ctx = context(TLS13)
    s = case.client(ctx=ctx, name=None).shake()
    s.ask()
    s.close()
    case.expect("without a name", good_elsewhere=1)
    s = case.client(ctx=ctx, name="nobody.example.org").shake()
    s.close()
    case.expect("a stranger's name", good_elsewhere=1)


def resumption(case):
    for version in (TLS12, TLS13):
        ctx = context(version)
        s = case.client(ctx=ctx).shake()
        s.ask()
        session = s.tls.session
        s.close()
        s = case.client(ctx=ctx, session=session).shake()
        s.ask()
        case.checks.that(f"{version.name} was resumed", s.tls.session_reused)
        s.close()
        case.expect(f"{version.name} resumed", good=2)
    early_data(case)


def early_data(case):
    folder = case.lab.scratch
    (folder / "early").write_text(f"GET / HTTP/1.1\r\nHost: {NAME}\r\nConnection: close\r\n\r\n")
    client = ["openssl", "s_client", "-connect", f"{EDGE}:{ONLY_13}", "-servername", NAME, "-tls1_3", "-ign_eof"]
    for more in (["-sess_out", f"{folder}/session"],
                 ["-sess_in", f"{folder}/session", "-early_data", f"{folder}/early"]):
        out = case.lab.inside("sh", "-c", f'exec "$@" <{folder}/early', "sh", *client, *more)
    case.checks.that("early data was taken", "Early data was accepted" in out, out[-600:])
    case.expect("early data", good=2)


def fails(case, what, port, ctx, **wanted):
    s = case.client(port, ctx)
    try:
        s.shake()
        s.ask()
        case.checks.that(f"{what} fails", False)
    except (ssl.SSLError, ConnectionError):
        pass
    s.close()
    case.expect(what, **wanted)


def failures(case):
    fails(case, "no common version", ONLY_13, context(TLS12), bad=1)
    fails(case, "no common version", ONLY_12, context(TLS13), bad=1)
    fails(case, "no common cipher", ONLY_12, context(TLS12, "ECDHE-RSA-AES128-GCM-SHA256"), bad=1)
    fails(case, "unknown authority, TLS 1.2", BOTH, context(TLS12, verify=True), bad=1)
    fails(case, "unknown authority, TLS 1.3", BOTH, context(TLS13, verify=True), bad=1)
    hello = case.client().hello()
    for what, data, wanted in (
            ("gone after a hello", hello, {"bad": 1}),
            ("gone in the middle of a hello", hello[:len(hello) // 8], {"bad_elsewhere": 1}),
            ("a hello and nonsense", hello + b"\x17\3\3\0\5hello", {"bad": 1}),
            ("nonsense in a record", b"\x16\3\1\0\x20" + b"x" * 32, {"bad_elsewhere": 1}),
            ("a record that is too long", b"\x16\3\1\xff\xff" + b"x" * 100, {"bad_elsewhere": 1}),
            ("nonsense", b"\0\1\2\3" * 10, {}), ("HTTP", b"GET / HTTP/1.1\r\nHost: x\r\n\r\n", {}), ("nothing", b"", {})):
        for ends in (socket.socket.close,) if SMOKE else (socket.socket.close, reset):
            sock = connect(case.lab, EDGE, BOTH)
            sock.sendall(data)
            time.sleep(0.1)
            ends(sock)
            case.expect(f"{what}, {ends.__name__}", **wanted)


def mutual(case):
    """A client without a certificate: haproxy refuses it when it believes that it is through."""
    good = context()
    good.load_cert_chain(case.lab.scratch / "pem")
    s = case.client(MUTUAL, good).shake()
    case.checks.that("with a certificate", b" 200" in s.ask())
    s.close()
    case.expect("with a certificate", good=1)
    for version in (TLS12, TLS13):
        s = case.client(MUTUAL, context(version))
        with contextlib.suppress(ssl.SSLError, ConnectionError):
            s.shake()
            s.ask()
        s.close()
        if case.kind == "nginx":  # it says so in HTTP
            case.expect(f"without a certificate, {version.name}", good=1)
        elif version == TLS12:
            case.expect("without a certificate, TLS 1.2", bad=1)
        else:
            case.expect("without a certificate, TLS 1.3", good=1, bad=1)


def load(case):
    """As many handshakes as the proxy has connections in its log."""
    case.proxy.forget()
    n = 100 if SMOKE else 500
    for port in (ONLY_12, ONLY_13):
        case.lab.inside("h2load", "-n", 2 * n, "-c", n, "-t", 1, f"--connect-to={EDGE}:{port}",
                        f"https://{NAME}:{port}/")
    settle(0.5)
    case.checks.equal("requests", 4 * n, len(case.proxy.entries()))
    case.expect("load", good=2 * n)
    for name in ("records_lost_total", "records_orphaned_total", "hellos_evicted_total"):
        case.checks.equal(name, 0, case.probe.own(name))


def main():
    skip_unless_possible()
    total = Checks()
    for kind in sys.argv[1:] or ("nginx", "haproxy"):
        with Stack() as stack:
            case = Case(stack, kind)
            for part in (handshakes, resumption, failures, mutual, load):
                started = time.monotonic()
                part(case)
                print(f"{kind}: {part.__name__}: {time.monotonic() - started:.1f} s", flush=True)
            total.add(case.checks)
    return total.done()


sys.exit(main())
