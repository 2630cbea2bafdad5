"""Raw HTTP: what a client can put on a socket, and what comes back."""

from __future__ import annotations

import json
import socket
from contextlib import suppress
from dataclasses import dataclass

ANSWER_S = 20.0


def http(method: str, target: str, body: bytes = b"", *lines: str) -> bytes:
    """A request's bytes, with a Content-Length that is true."""
    head = [f"{method} {target} HTTP/1.1", "Host: gateway", *lines, f"Content-Length: {len(body)}", "", ""]
    return "\r\n".join(head).encode("latin-1") + body


@dataclass(frozen=True, slots=True)
class Answer:
    """One HTTP answer as it came off the socket."""

    status: int
    head: bytes
    body: bytes

    @property
    def errors(self) -> list[str]:
        """Kraken's ``error`` array."""
        return list(json.loads(self.body)["error"])


class Wire:
    """A raw connection to the gateway."""

    def __init__(self, url: str) -> None:
        host, port = url.removeprefix("http://").rsplit(":", 1)
        self.socket = socket.create_connection((host, int(port)), ANSWER_S)
        self._held = b""

    def send(self, data: bytes) -> None:
        """Put bytes on the wire. A peer that has closed already is what many of these tests expect."""
        with suppress(OSError):
            self.socket.sendall(data)

    def answer(self) -> Answer | None:
        """The next answer, or None if the gateway closed instead."""
        while b"\r\n\r\n" not in self._held:
            if not self._more():
                return None
        head, _, rest = self._held.partition(b"\r\n\r\n")
        length = int(head.lower().split(b"content-length:")[1].split(b"\r\n")[0])
        self._held = rest
        while len(self._held) < length and self._more():
            pass
        body, self._held = self._held[:length], self._held[length:]
        return Answer(int(head.split()[1]), head, body)

    def closed(self) -> bool:
        """Whether the gateway ends the connection without another byte; waits for it."""
        return not self._held and not self._more()

    def close(self) -> None:
        """Hang up."""
        self.socket.close()

    def _more(self) -> bool:
        try:
            data = self.socket.recv(65536)
        except ConnectionError:
            return False
        self._held += data
        return bool(data)


def ask(url: str, data: bytes) -> Answer | None:
    """What the gateway answers to these bytes on a connection of their own; None if it closes."""
    wire = Wire(url)
    try:
        wire.send(data)
        return wire.answer()
    finally:
        wire.close()
