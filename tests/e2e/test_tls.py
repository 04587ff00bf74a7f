#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""The region over TLS: a certificate that is replaced while it serves, old protocols, clients that talk
something else, and certificates of clients. Standard library and openssl."""
import hashlib
import http.client
import os
import shutil
import socket
import ssl
import subprocess
import tempfile
import time
import warnings

from region_client import PROGRAM, Region, Tally

warnings.simplefilter("ignore", DeprecationWarning)  # of asking for an old protocol
tally = Tally()
check = tally.check
folder = tempfile.mkdtemp(prefix="periscope-tls-")


def path(name):
    return os.path.join(folder, name)


def openssl(*args):
    subprocess.run(["openssl", *args], check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def certificate(name, subject):
    openssl("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "30",
            "-keyout", path(name + ".key"), "-out", path(name + ".crt"), "-subj", "/CN=" + subject,
            "-addext", "subjectAltName=IP:127.0.0.1")


def signed(name, authority):
    openssl("req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout", path(name + ".key"),
            "-out", path(name + ".csr"), "-subj", "/CN=" + name)
    openssl("x509", "-req", "-in", path(name + ".csr"), "-CA", path(authority + ".crt"), "-CAkey",
            path(authority + ".key"), "-CAcreateserial", "-out", path(name + ".crt"), "-days", "30")


def put(name, source):
    """As a certificate is renewed: the new file takes the old one's place."""
    shutil.copy(path(source), path(name + ".new"))
    os.rename(path(name + ".new"), path(name))


def context(trust, client=None):
    c = ssl.create_default_context(cafile=path(trust + ".crt"))
    if client:
        c.load_cert_chain(path(client + ".crt"), path(client + ".key"))
    return c


def request(r, method, target, token, trust="one", client=None, body=None):
    """Status and body, or the name of what went wrong."""
    conn = http.client.HTTPSConnection(r.host, r.port, context=context(trust, client), timeout=30)
    try:
        conn.request(method, target, body, {"Authorization": "Bearer " + token} if token else {})
        answer = conn.getresponse()
        return answer.status, answer.read().decode()
    except ssl.SSLError as e:
        return type(e).__name__, str(e)
    finally:
        conn.close()


def until(what, test):
    end = time.monotonic() + 30
    while not test() and time.monotonic() < end:
        time.sleep(0.05)
    check(what, test())


def start(clients):
    tokens = "".join(f"  {name}: {{sha256: {hashlib.sha256(name.encode()).hexdigest()}, {rest}}}\n" for name, rest in (
        ("reader", "organisation: a, scopes: [read, write]"), ("host", 'organisation: "*", scopes: [host]')))
    with open(path("access.yml"), "w") as f:
        f.write("organisations: {a: {}}\ntokens:\n" + tokens)
    with open(path("region.yml"), "w") as f:
        f.write(f"listen: 127.0.0.1:0\ndata: {path('data')}\naccess: {path('access.yml')}\ntls:\n  cert: {path('tls.crt')}\n"
                f"  key: {path('tls.key')}\n  client_ca: {path('ca.crt')}\n  clients: {clients}\n")
    return Region(None, "--config", path("region.yml"), dev=False)


def replaced_certificate(r):
    check("served with the first certificate", request(r, "GET", "/health", None) == (200, "OK\n"))
    check("and nobody else's", request(r, "GET", "/health", None, trust="two")[0] == "SSLCertVerificationError")
    old = http.client.HTTPSConnection(r.host, r.port, context=context("one"), timeout=30)
    old.request("GET", "/health")
    old.getresponse().read()
    put("tls.key", "two.key")
    put("tls.crt", "two.crt")
    until("the new certificate is in force", lambda: request(r, "GET", "/health", None, trust="two") == (200, "OK\n"))
    old.request("GET", "/health")
    check("an open connection goes on", old.getresponse().status == 200)
    old.close()
    with open(path("junk"), "w") as f:
        f.write("junk\n")
    put("tls.key", "junk")
    until("a bad key is told", lambda: "is no private key" in r.read_log())
    check("and the good one stays", request(r, "GET", "/health", None, trust="two") == (200, "OK\n"))
    put("tls.key", "one.key")
    until("a key of another certificate is told", lambda: "is not the key of" in r.read_log())
    check("and changes nothing", request(r, "GET", "/health", None, trust="two") == (200, "OK\n"))
    put("tls.crt", "one.crt")
    until("the first pair is back", lambda: request(r, "GET", "/health", None) == (200, "OK\n"))


def strangers(r):
    """Plain HTTP, half a handshake, an old protocol: each is turned away, the others are served."""
    idle = [socket.create_connection((r.host, r.port)) for _ in range(20)]
    for s in idle[::2]:
        s.sendall(b"\x16\x03\x01\x02\x00\x01")
    with socket.create_connection((r.host, r.port), timeout=30) as s:
        s.sendall(b"GET /health HTTP/1.1\r\nHost: x\r\n\r\n")
        try:
            got = s.recv(100)
        except ConnectionError:
            got = b""
        check("plain HTTP gets no answer", b"200" not in got)
    c = context("one")
    c.minimum_version = ssl.TLSVersion.TLSv1
    c.maximum_version = ssl.TLSVersion.TLSv1_1
    c.set_ciphers("ALL:@SECLEVEL=0")
    try:
        with socket.create_connection((r.host, r.port), timeout=30) as s:
            c.wrap_socket(s, server_hostname="127.0.0.1")
        check("TLS 1.1 is refused", False)
    except (ssl.SSLError, ConnectionError):
        check("TLS 1.1 is refused", True)
    check("served meanwhile", request(r, "GET", "/health", None) == (200, "OK\n"))
    for s in idle:
        s.close()


def clients(r):
    text = "up 1\n"
    write = "/api/v1/import/prometheus"
    host_text = 'up{__org__="a"} 1\n'
    check("who reads needs none", request(r, "GET", "/api/v1/query?query=1", "reader")[0] == 200)
    check("who writes for one needs none", request(r, "POST", write, "reader", body=text)[0] == 204)
    status, body = request(r, "POST", write, "host", body=host_text)
    check("a host needs one", status == 403 and "needs a client certificate" in body)
    check("a host shows it", request(r, "POST", write, "host", client="host", body=host_text)[0] == 204)
    status, _ = request(r, "POST", write, "host", client="stranger", body=host_text)
    check("one of another authority is none", status in (403, "SSLError"))
    check("it replaces no token", request(r, "POST", write, None, client="host", body=host_text)[0] == 401)


def everybody(r):
    status, body = request(r, "GET", "/api/v1/query?query=1", "reader")
    check("everybody needs one", status == 403 and "certificate" in body)
    check("everybody shows it", request(r, "GET", "/api/v1/query?query=1", "reader", client="host")[0] == 200)
    check("health is for all", request(r, "GET", "/health", None) == (200, "OK\n"))


def bad_settings():
    with open(path("bad.yml"), "w") as f:
        f.write(f"data: {path('other')}\norganisations: [a]\ntls:\n  cert: {path('tls.crt')}\n  key: {path('none.key')}\n")
    r = subprocess.run([PROGRAM, "--config", path("bad.yml")], capture_output=True, text=True, timeout=60)
    check("a missing key ends the start", r.returncode != 0 and "none.key" in r.stderr)


for name in ("one", "two", "ca", "other-ca"):
    certificate(name, name)
signed("host", "ca")
signed("stranger", "other-ca")
put("tls.crt", "one.crt")
put("tls.key", "one.key")
region = start("hosts")
replaced_certificate(region)
strangers(region)
clients(region)
check("it stops", region.stop() == 0)
region = start("all")
everybody(region)
check("it stops again", region.stop() == 0)
bad_settings()
shutil.rmtree(folder)
tally.finish()
