"""An HTTP proxy for plain WebSockets that wants a name and a password, and notes what it was asked to dial."""

from __future__ import annotations

import base64
import select
import socket
import socketserver
import threading
from urllib.parse import urlsplit


class Proxy(socketserver.ThreadingTCPServer):
    """On a free port of loopback; `targets` are the addresses that it was asked for."""

    daemon_threads = True

    def __init__(self, user: str, password: str) -> None:
        super().__init__(("127.0.0.1", 0), _Tunnel)
        self.expected = "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()
        self.targets: list[str] = []
        threading.Thread(target=self.serve_forever, args=[0.05], daemon=True).start()

    @property
    def where(self) -> str:
        return f"127.0.0.1:{self.server_address[1]}"

    def close(self) -> None:
        self.shutdown()
        self.server_close()


class _Tunnel(socketserver.StreamRequestHandler):
    server: Proxy
    rbufsize = 0

    def handle(self) -> None:
        method, target, version = self.rfile.readline().decode().split()
        lines = list(iter(lambda: self.rfile.readline().decode().strip(), ""))
        headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
        if headers.get("proxy-authorization") != self.server.expected:
            self.wfile.write(b"HTTP/1.1 407 Proxy Authentication Required\r\nContent-Length: 0\r\n\r\n")
            return
        url = urlsplit(target)
        with socket.create_connection((str(url.hostname), int(url.port or 80))) as there:
            self.server.targets.append(target)
            kept = [line for line in lines if not line.lower().startswith("proxy-")]
            there.sendall("\r\n".join([f"{method} {url.path} {version}", *kept, "", ""]).encode())
            self._pump(there)

    def _pump(self, there: socket.socket) -> None:
        other = {self.connection: there, there: self.connection}
        while True:
            for side in select.select(list(other), [], [])[0]:
                try:
                    data = side.recv(65536)
                    other[side].sendall(data)
                except OSError:
                    return
                if not data:
                    return
