"""The way from workers to DynamoDB, which holds still once a worker is in the middle of a file."""

from __future__ import annotations

import socket
import threading
from contextlib import closing, suppress
from types import TracebackType
from urllib.parse import urlsplit

from pipeline.local import LocalStack

INSERTS = b"DynamoDB_20120810.BatchExecuteStatement"
PIECE_BYTES = 64 * 1024


class Wire:
    """Passes on what workers send, and nothing more behind so many requests that insert.

    `is_held` is set from then on, until `free` is called: whoever waits for an answer meanwhile is
    in the middle of its work, for as long as it takes to kill it.
    """

    def __init__(self, stack: LocalStack, inserts: int) -> None:
        self._stack, self._inserts, self._left = stack, inserts, inserts
        self._lock = threading.Lock()
        self._is_free = threading.Event()
        self._is_free.set()
        self.is_held = threading.Event()
        self._listener = socket.create_server(("127.0.0.1", 0))

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._listener.getsockname()[1]}"

    def __enter__(self) -> Wire:
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.open()
        self._listener.close()

    def free(self) -> None:
        """Lets the next worker come as far as the one before; what was held back goes on."""
        with self._lock:
            self._left = self._inserts
            self.is_held.clear()
            self._is_free.set()

    def open(self) -> None:
        """Holds nothing any more."""
        with self._lock:
            self._inserts = self._left = -1
            self._is_free.set()

    def _accept(self) -> None:
        with suppress(OSError):  # closed
            while True:
                worker, _ = self._listener.accept()
                threading.Thread(target=self._connect, args=(worker,), daemon=True).start()

    def _connect(self, worker: socket.socket) -> None:
        address = urlsplit(self._stack.endpoint_url)
        engine = socket.create_connection((address.hostname, address.port))
        answers = threading.Thread(target=self._pass_on, args=(engine, worker), daemon=True)
        answers.start()
        self._pass_on(worker, engine, counted=True)

    def _pass_on(
        self, source: socket.socket, sink: socket.socket, *, counted: bool = False
    ) -> None:
        with closing(sink), suppress(OSError):
            while piece := source.recv(PIECE_BYTES):
                if counted:
                    self._wait_for_its_turn(piece)
                sink.sendall(piece)

    def _wait_for_its_turn(self, piece: bytes) -> None:
        """Returns when a piece may go on; a client writes the head of a request in one piece."""
        with self._lock:
            if self._left and self._inserts > 0 and INSERTS in piece:
                self._left -= 1
            if self._left:
                return
            self._is_free.clear()
            self.is_held.set()
        self._is_free.wait()
