"""One HTTP connection that does not block: a request goes out, an answer comes in, and again."""

from __future__ import annotations

import socket
import ssl
from dataclasses import dataclass, field
from urllib.parse import urlsplit

import httptools

READ_BYTES = 32 * 1024  # more than an answer to 100 look-ups
FIRST_FINAL_STATUS = 200  # an answer below that says that another one follows (RFC 9110, 15.2)
_WOULD_BLOCK = (BlockingIOError, ssl.SSLWantReadError, ssl.SSLWantWriteError)


class ConnectionLostError(Exception):
    """The connection is of no more use, and whether the request arrived is unknown."""


@dataclass(frozen=True, slots=True)
class Answer:
    """An HTTP response."""

    status: int
    body: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Where a service is; `tls` is None for the local engine, which takes requests without it."""

    host: str
    port: int
    tls: ssl.SSLContext | None
    connect_timeout_seconds: float

    @classmethod
    def of_url(cls, url: str, ca_bundle: str | None, connect_timeout_seconds: float) -> Endpoint:
        """The endpoint of an URL; with `https`, its certificate and its name are verified."""
        parts = urlsplit(url)
        tls = ssl.create_default_context(cafile=ca_bundle) if parts.scheme == "https" else None
        port = parts.port or (443 if tls else 80)
        return cls(parts.hostname or "", port, tls, connect_timeout_seconds)

    def connect(self) -> Connection:
        """A new connection; raises `ConnectionLostError` when there can be none."""
        address = (self.host, self.port)
        try:
            plain = socket.create_connection(address, self.connect_timeout_seconds)
            plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            secured = plain
            if self.tls is not None:
                secured = self.tls.wrap_socket(plain, server_hostname=self.host)
            secured.setblocking(False)
        except OSError:
            raise ConnectionLostError from None
        return Connection(secured)


class _AnswerParser:
    """Puts one HTTP response together."""

    def __init__(self) -> None:
        self._body: list[bytes] = []
        self._parser: httptools.HttpResponseParser | None = httptools.HttpResponseParser(self)
        self.is_whole = self.is_kept_alive = False
        self._status = 0

    def feed(self, data: bytes) -> None:
        if self._parser is not None:
            self._parser.feed_data(data)

    # What the parser calls; it is let go of at the end, for it knows this object.

    def on_message_begin(self) -> None:
        if self.is_whole:  # two answers to one request: whose the second is, nobody knows
            raise httptools.HttpParserError

    def on_body(self, body: bytes) -> None:
        self._body.append(body)

    def on_message_complete(self) -> None:
        if self._parser is None or self._parser.get_status_code() < FIRST_FINAL_STATUS:
            return
        self.is_whole = True
        self.is_kept_alive = self._parser.should_keep_alive()
        self._status = self._parser.get_status_code()
        self._parser = None

    def answer(self) -> Answer:
        return Answer(self._status, b"".join(self._body))


class Connection:
    """Carries one request at a time, with TLS or without."""

    def __init__(self, secured: socket.socket) -> None:
        self._socket = secured
        self._unsent = memoryview(b"")
        self.is_reusable = True
        self._answer: _AnswerParser | None = None

    def fileno(self) -> int:
        """The socket's."""
        return self._socket.fileno()

    @property
    def is_sending(self) -> bool:
        """Whether some of the request is still to be sent."""
        return bool(self._unsent)

    def is_quiet(self) -> bool:
        """Whether nothing came since the last answer: neither its end nor what nobody asked for."""
        try:
            self._socket.recv(1)
        except _WOULD_BLOCK:
            return True
        except OSError:
            return False
        return False

    def begin(self, request: bytes) -> None:
        """Starts to send; raises `ConnectionLostError`."""
        self._unsent = memoryview(request)
        self._answer = _AnswerParser()
        self._send()

    def go_on(self) -> Answer | None:
        """The answer once it is whole; raises `ConnectionLostError`."""
        if self._unsent:
            self._send()
        parser = self._answer or _AnswerParser()
        try:
            while not parser.is_whole and (fresh := self._socket.recv(READ_BYTES)):
                parser.feed(fresh)
        except _WOULD_BLOCK:
            return None
        except (OSError, httptools.HttpParserError):
            raise ConnectionLostError from None
        if not parser.is_whole:  # the other side closed
            raise ConnectionLostError
        self.is_reusable = parser.is_kept_alive and not self._unsent
        return parser.answer()

    def _send(self) -> None:
        try:
            while self._unsent:
                self._unsent = self._unsent[self._socket.send(self._unsent) :]
        except _WOULD_BLOCK:
            return
        except OSError:
            raise ConnectionLostError from None

    def close(self) -> None:
        """Gives it up."""
        self._socket.close()

    def __del__(self) -> None:
        self.close()
