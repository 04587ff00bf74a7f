# SPDX-License-Identifier: BSD-2-Clause
"""Clients before a proxy and an app behind it that do what well-behaved programs never would."""
import base64
import contextlib
import ctypes
import hashlib
import socket
import struct
import threading
import time
from collections import Counter

CLONE_NEWNET = 0x40000000


def in_namespace(pid, make):
    """What @make() returns in the network namespace of @pid: a socket stays where it was made."""
    result = []

    def run():
        with open(f"/proc/{pid}/ns/net", "rb") as namespace:
            if ctypes.CDLL(None, use_errno=True).setns(namespace.fileno(), CLONE_NEWNET) != 0:
                raise OSError(ctypes.get_errno(), "setns")
        result.append(make())
    thread = threading.Thread(target=run)  # a thread of its own: it never comes back
    thread.start()
    thread.join()
    return result[0]


def connect(lab, address, port):
    return in_namespace(lab.holder.pid,
                        lambda: socket.create_connection((address, port), timeout=20))


def request(method, path, host, *fields, version="1.1"):
    lines = [f"{method} {path} HTTP/{version}", f"Host: {host}", *fields, "", ""]
    return "\r\n".join(lines).encode()


def reset(sock):
    """Ends a connection with RST instead of FIN."""
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    sock.close()


class Stream:
    """A connection as bytes, of which some have been read too early."""

    def __init__(self, sock):
        self.sock, self.have = sock, b""

    def send(self, data, piece=0, pause=0.0):
        """@piece: in segments of that size."""
        if piece:
            self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for at in range(0, len(data), piece or max(len(data), 1)):
            self.sock.sendall(data[at:at + (piece or len(data))])
            if pause:
                time.sleep(pause)

    def _more(self):
        data = self.sock.recv(1 << 16)
        self.have += data
        return bool(data)

    def until(self, end):
        while end not in self.have:
            if not self._more():
                return None
        at = self.have.index(end) + len(end)
        head, self.have = self.have[:at], self.have[at:]
        return head

    def exactly(self, n):
        while len(self.have) < n:
            if not self._more():
                break
        data, self.have = self.have[:n], self.have[n:]
        return data

    def rest(self):
        with contextlib.suppress(ConnectionError):
            while self._more():
                pass
        data, self.have = self.have, b""
        return data

    def chunks(self):
        body = b""
        while (size := int(self.until(b"\r\n").split(b";")[0], 16)) > 0:
            body += self.exactly(size)
            self.exactly(2)
        while self.until(b"\r\n") != b"\r\n":
            pass
        return body

    def answer(self, to_head=False):
        """(status, body) of the next answer; interim ones are passed over, 0 means that there was none."""
        while True:
            head = self.until(b"\r\n\r\n")
            if head is None:
                return 0, b""
            status = int(head.split(b" ", 2)[1])
            if status >= 200 or status == 101:
                break
        fields = {k.strip().lower(): v.strip() for k, _, v in
                  (line.partition(b":") for line in head.split(b"\r\n")[1:])}
        if to_head or status in (101, 204, 304):
            return status, b""
        if b"chunked" in fields.get(b"transfer-encoding", b""):
            return status, self.chunks()
        if b"content-length" in fields:
            return status, self.exactly(int(fields[b"content-length"]))
        return status, self.rest()


class OddApp:
    """An app behind the proxy that answers by the path it is asked for, and remembers what it did."""

    FAKE = b"HTTP/1.1 500 fake\r\nContent-Length: 3\r\n\r\n"

    def __init__(self, lab, address, port):
        self.answers = Counter()  # {status: how often}; 502: ended without an answer
        self.release = threading.Event()
        self.lock = threading.Lock()
        self.listener = in_namespace(lab.holder.pid, lambda: self._listen(address, port))
        lab.stack.callback(self.listener.close)
        threading.Thread(target=self._accept, daemon=True).start()

    @staticmethod
    def _listen(address, port):
        sock = socket.socket()
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.bind((address, port))
        sock.listen(128)
        return sock

    def _accept(self):
        with contextlib.suppress(OSError):
            while True:
                sock, _ = self.listener.accept()
                threading.Thread(target=self._serve, args=(sock,), daemon=True).start()

    def _serve(self, sock):
        s = Stream(sock)
        with sock, contextlib.suppress(OSError):
            while (head := s.until(b"\r\n\r\n")) is not None:
                path = head.split(b" ")[1].decode().strip("/").replace("-", "_")
                if not getattr(self, f"do_{path}")(s, head):
                    break

    def count(self, status):
        with self.lock:
            self.answers[status] += 1

    def say(self, s, status, body=b"", fields="", piece=0):
        s.send(f"HTTP/1.1 {status} X\r\nContent-Length: {len(body)}\r\n{fields}\r\n".encode() + body, piece)
        self.count(status)
        return True

    def do_slow(self, s, _):
        time.sleep(0.1)
        return self.say(s, 200, b"slow")

    def do_split(self, s, _):
        return self.say(s, 203, b"split", piece=1)

    def do_fake(self, s, _):
        return self.say(s, 200, self.FAKE * 70000)

    def do_chunked(self, s, _):
        s.send(b"HTTP/1.1 202 X\r\nTransfer-Encoding: chunked\r\n\r\n")
        for i in range(1, 30):
            data = (self.FAKE * i)[:37 * i]
            s.send(f"{len(data):x};x=y\r\n".encode() + data + b"\r\n")
        s.send(b"0\r\nTrailer: value\r\n\r\n")
        self.count(202)
        return True

    def do_stream(self, s, _):
        """Begins to answer, and ends only when the test says so."""
        s.send(b"HTTP/1.1 206 X\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nsome\r\n")
        self.release.wait(20)
        s.send(b"0\r\n\r\n")
        self.count(206)
        return True

    def do_until_close(self, s, _):
        s.send(b"HTTP/1.1 200 X\r\nConnection: close\r\n\r\n" + self.FAKE * 9)
        self.count(200)
        return False

    def do_interim(self, s, _):
        s.send(b"HTTP/1.1 103 Early Hints\r\nLink: </x>; rel=preload\r\n\r\n")
        return self.say(s, 201, b"late")

    def do_echo(self, s, head):
        if b"100-continue" in head.lower():
            s.send(b"HTTP/1.1 100 Continue\r\n\r\n")
        size = [line for line in head.lower().split(b"\r\n") if line.startswith(b"content-length")]
        return self.say(s, 200, s.exactly(int(size[0].split(b":")[1])) if size else s.chunks())

    def do_early(self, s, head):
        """An answer before the request's body is there."""
        size = [line for line in head.lower().split(b"\r\n") if line.startswith(b"content-length")]
        self.say(s, 413, b"too much")
        s.exactly(int(size[0].split(b":")[1]))
        return True

    def do_ws(self, s, head):
        key = [line.split(b":")[1].strip() for line in head.split(b"\r\n")
               if line.lower().startswith(b"sec-websocket-key")][0]
        accept = base64.b64encode(hashlib.sha1(key + b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11").digest())
        s.send(b"HTTP/1.1 101 X\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
               b"Sec-WebSocket-Accept: " + accept + b"\r\n\r\n")
        self.count(101)
        while data := s.sock.recv(1 << 16):
            s.send(data)
        return False

    def do_reset(self, s, _):
        self.count(502)
        reset(s.sock)
        return False

    def do_gone(self, _, __):
        self.count(502)
        return False

    def do_half(self, s, _):
        s.send(b"HTTP/1.1 200 X\r\nContent-Length: 100\r\n\r\nhalf")
        self.count(200)
        return False

    def do_never(self, s, _):
        """Says nothing until the proxy gives up."""
        self.count(499)
        s.rest()
        return False
