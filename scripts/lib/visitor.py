# SPDX-License-Identifier: BSD-2-Clause
"""Visits a site again and again, as a few browsers would: visitor.py HOST:PORT NAME [CERTIFICATE]

Ten requests a second over kept connections, each of which is replaced after ten requests. With a certificate
every other connection is TLS, on the port above. Ends with its parent.
"""
import http.client
import ssl
import sys
import time

REQUESTS_PER_SECOND = 10
REQUESTS_PER_CONNECTION = 10


def connect(address, certificate, name):
    host, port = address.rsplit(":", 1)
    if not certificate:
        return http.client.HTTPConnection(host, int(port), timeout=5)
    context = ssl.create_default_context(cafile=certificate)
    context.check_hostname = False

    class Named(http.client.HTTPSConnection):
        """Asks for the site by its name, whatever address it is reached by."""

        def connect(self):
            http.client.HTTPConnection.connect(self)
            self.sock = context.wrap_socket(self.sock, server_hostname=name)
    return Named(host, int(port) + 1, timeout=5, context=context)


def visit(address, name, certificate):
    connection = connect(address, certificate, name)
    try:
        for _ in range(REQUESTS_PER_CONNECTION):
            connection.request("GET", "/", headers={"Host": name})
            connection.getresponse().read()
            time.sleep(1 / REQUESTS_PER_SECOND)
    finally:
        connection.close()


def main():
    address, name, *certificate = sys.argv[1:]
    turn = 0
    while True:
        turn += 1
        try:
            visit(address, name, certificate[0] if certificate and turn % 2 else None)
        except OSError as error:
            print(f"visitor: {error}", flush=True)
            time.sleep(0.2)


main()
