"""A way to a server that can be cut."""

import socket
from contextlib import suppress
from threading import Thread
from urllib.parse import SplitResult, urlsplit

__all__ = ["BrokenWay"]


class BrokenWay:
    """Hands on what is sent to a port, to the server of a URL, until it is cut."""

    def __init__(self, url: str, *, port: int) -> None:
        parts = urlsplit(url)
        self._server = (parts.hostname, parts.port or port)
        self._ends: list[socket.socket] = []
        self._listening = self._listen(0)
        self._port = self._listening.getsockname()[1]
        self.url = _replace_port(parts, self._port)

    def cut(self) -> None:
        """Let nobody through, and end what is open."""
        self._listening.shutdown(socket.SHUT_RDWR)
        for end in (self._listening, *self._ends):
            with suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
            end.close()
        self._ends.clear()

    def mend(self) -> None:
        """Let everybody through again."""
        self._listening = self._listen(self._port)

    def _listen(self, port: int) -> socket.socket:
        listening = socket.create_server(("127.0.0.1", port))
        Thread(target=self._accept, args=(listening,), daemon=True).start()
        return listening

    def _accept(self, listening: socket.socket) -> None:
        with suppress(OSError):
            while True:
                here, _ = listening.accept()
                there = socket.create_connection(self._server)
                self._ends += [here, there]
                Thread(target=_copy, args=(here, there), daemon=True).start()
                Thread(target=_copy, args=(there, here), daemon=True).start()


def _copy(source: socket.socket, target: socket.socket) -> None:
    with suppress(OSError):
        while data := source.recv(1 << 16):
            target.sendall(data)
    for end in (source, target):
        with suppress(OSError):
            end.shutdown(socket.SHUT_RDWR)


def _replace_port(parts: SplitResult, port: int) -> str:
    users, at, _ = parts.netloc.rpartition("@")
    return parts._replace(netloc=f"{users}{at}127.0.0.1:{port}").geturl()
