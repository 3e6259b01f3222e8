"""A small CONNECT proxy (RFC 9110 section 9.3.6): makes tunnels, and writes down what it was asked and what it saw."""

from __future__ import annotations

import contextlib
import socket
import threading


class ConnectProxy:
    """The proxy; `asked` are the targets in order, `seen` all that clients sent through it, encrypted as it is.

    `astray`, if set, is the port on loopback that every tunnel leads to, whatever was asked for.
    """

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.other: list[bytes] = []
        self.seen = b""
        self.astray = 0
        self._open: list[socket.socket] = []
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = int(self._listener.getsockname()[1])
        threading.Thread(target=self._serve, daemon=True).start()

    @property
    def url(self) -> str:
        """The proxy's address."""
        return f"http://127.0.0.1:{self.port}"

    def close(self) -> None:
        """Stop, and end what is open."""
        for each in (self._listener, *self._open):
            with contextlib.suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)
            each.close()

    def _serve(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            self._open.append(connection)
            threading.Thread(target=self._tunnel, args=(connection,), daemon=True).start()

    def _tunnel(self, connection: socket.socket) -> None:
        connection.settimeout(20)
        with connection, contextlib.suppress(OSError):
            request = b""
            while b"\r\n\r\n" not in request:
                piece = connection.recv(4096)
                if not piece:
                    return
                request += piece
            method, target, _ = request.split(b" ", 2)
            if method != b"CONNECT":
                self.other.append(request)
                connection.sendall(b"HTTP/1.1 405 No\r\nContent-Length: 0\r\n\r\n")
                return
            self.asked.append(target.decode())
            host, _, port = target.decode().rpartition(":")
            place = ("127.0.0.1", self.astray) if self.astray else (host.strip("[]"), int(port))
            with socket.create_connection(place, timeout=20) as onward:
                self._open.append(onward)
                connection.sendall(b"HTTP/1.1 200 Connection established\r\n\r\n")
                back = threading.Thread(target=self._pump, args=(onward, connection, False), daemon=True)
                back.start()
                self._pump(connection, onward, True)
                back.join(timeout=20)

    def _pump(self, source: socket.socket, sink: socket.socket, note: bool) -> None:
        with contextlib.suppress(OSError):
            while data := source.recv(65536):
                if note:
                    self.seen += data
                sink.sendall(data)
        with contextlib.suppress(OSError):
            sink.shutdown(socket.SHUT_WR)
