"""Encrypted drops: a PGP message opened in memory, with a private key that only memory holds."""

from __future__ import annotations

import os
import resource
import weakref
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, BinaryIO

from pipeline.core.layouts import Layout
from pipeline.errors import PermanentError
from pipeline.model import PrivateKey
from pipeline.ports import DecryptionKeys
from pipeline.readers.foreign import library
from pipeline.readers.framing import SeekableSource
from pipeline.readers.streams import PIECE_BYTES, LookAhead

MAX_ENCRYPTED_BYTES = 128 * 1024 * 1024
MAX_DECRYPTED_BYTES = 512 * 1024 * 1024
"""The library opens a message as a whole; a worker of 1,769 MB holds it and what it says."""


def decrypted(
    stream: SeekableSource, limit_bytes: int, *, layout: Layout | None, keys: DecryptionKeys
) -> SeekableSource:
    """What an encrypted message says, to be read from any place; it never touches a disk.

    It is checked to its end before any of it is given out. Signatures in it are not looked at.
    Raises `PermanentError`: `decryption_key_missing` when the layout names no key,
    `decryption_key_unusable`, `cannot_decrypt` for a message that is damaged or for somebody
    else, `too_large_to_decrypt`, `expands_too_far`, `reader_not_installed`.
    """
    if layout is None or layout.decryption is None:
        raise PermanentError(
            "decryption_key_missing", "the file is encrypted: name a key in [decryption]"
        )
    sequoia = library("pysequoia")
    decryptor = _decryptor(sequoia, keys.get(layout.decryption.key))
    with _memory_file() as message:
        _copy(stream, message)
        limit_bytes = min(limit_bytes, MAX_DECRYPTED_BYTES)
        plain = _opened(sequoia, decryptor, message, limit_bytes)
    return LookAhead(plain, plain.size_bytes)


def _decryptor(sequoia: Any, private_key: PrivateKey) -> Any:
    try:
        tsk = sequoia.Tsk.from_bytes(private_key.material)
        return tsk.decryptor(private_key.passphrase)
    except Exception:  # noqa: BLE001  what it says may repeat the key
        raise PermanentError(
            "decryption_key_unusable", "it is no private PGP key, or its passphrase is wrong"
        ) from None


def _copy(stream: SeekableSource, message: BinaryIO) -> None:
    while piece := stream.read(PIECE_BYTES):
        message.write(piece)
        if message.tell() > MAX_ENCRYPTED_BYTES:
            raise PermanentError(
                "too_large_to_decrypt",
                f"an encrypted file can have {MAX_ENCRYPTED_BYTES} bytes: send it in parts",
            )
    message.flush()


def _opened(sequoia: Any, decryptor: Any, message: BinaryIO, limit_bytes: int) -> _Plain:
    with _memory_file() as plain:
        try:
            with _no_file_beyond(limit_bytes):
                sequoia.decrypt_file(input=_path(message), output=_path(plain), decryptor=decryptor)
        except OSError:
            raise PermanentError(
                "expands_too_far", f"the message says more than {limit_bytes} bytes"
            ) from None
        except Exception:  # noqa: BLE001  what it says may repeat the message
            raise PermanentError(
                "cannot_decrypt", "the message is damaged, or was not written for this key"
            ) from None
        return _Plain(os.dup(plain.fileno()))


class _Plain:
    """What a message said, in memory until nobody reads it any more."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self._position = 0
        self.size_bytes = os.fstat(descriptor).st_size
        weakref.finalize(self, os.close, descriptor)

    def read(self, size: int = -1, /) -> bytes:
        """At most `size` bytes; all that is left when negative."""
        size = self.size_bytes if size < 0 else size
        data = os.pread(self._descriptor, size, self._position)
        self._position += len(data)
        return data

    def seek(self, offset_bytes: int, /) -> int:
        """Goes on at that offset."""
        self._position = offset_bytes
        return offset_bytes


@contextmanager
def _memory_file() -> Iterator[BinaryIO]:
    """A file that is nowhere but in memory, and gone when nobody has it open."""
    with os.fdopen(os.memfd_create("pantok", os.MFD_CLOEXEC), "w+b") as file:
        yield file


def _path(file: BinaryIO) -> str:
    return f"/proc/self/fd/{file.fileno()}"


@contextmanager
def _no_file_beyond(limit_bytes: int) -> Iterator[None]:
    """Stops a message that unpacks without end; the library itself knows no limit.

    The library holds the interpreter meanwhile, so that nobody else writes a file under it.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    allowed = [each for each in (soft, hard) if each != resource.RLIM_INFINITY]
    resource.setrlimit(resource.RLIMIT_FSIZE, (min([limit_bytes, *allowed]), hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
