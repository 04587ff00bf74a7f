# SPDX-License-Identifier: BSD-2-Clause
"""The other end of the guest's network: sends back whatever it receives on TCP port 7.

It also *is* the network namespace: the rig starts it by unshare --net, so the namespace, with the
taps in it, ends with this process and nothing has to be deleted by name. It ends when its standard
input does.
"""
import socketserver
import sys
import threading


class Echo(socketserver.BaseRequestHandler):
    def handle(self):
        while data := self.request.recv(65536):
            self.request.sendall(data)


class Server(socketserver.ThreadingTCPServer):
    allow_reuse_address = daemon_threads = True

    def handle_error(self, request, client_address):
        """A guest that was killed resets its connections: nothing to report."""


with Server(("0.0.0.0", 7), Echo) as server:
    threading.Thread(target=server.serve_forever, daemon=True).start()
    print("ready", flush=True)
    sys.stdin.read()
