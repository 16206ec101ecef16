"""Zip archives: their members in order, each as a stream that is checked to its end."""

from __future__ import annotations

import lzma
import struct
import zipfile
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import IO, BinaryIO

from pipeline.errors import PermanentError
from pipeline.readers.decompression import corrupt, too_far
from pipeline.readers.streams import PIECE_BYTES

MAX_DIRECTORY_BYTES = 1024 * 1024  # some 15,000 members; it is read and kept as a whole
_CONTENT_TYPES = "[Content_Types].xml"  # what makes a zip archive an Office document
_RESOURCE_FORKS = "__MACOSX/"  # what a Mac adds of its own
_IS_ENCRYPTED = 0x1


class ZipArchive:
    """An archive's files, in the order of its directory.

    `limit_bytes` is how much they may come to together. Raises `PermanentError`:
    `corrupt_archive`, `expands_too_far`, `encrypted_archive`.
    """

    def __init__(self, file: BinaryIO, limit_bytes: int) -> None:
        with damage_as_errors():
            self._archive = zipfile.ZipFile(_BoundedReads(file))
            self._all = self._archive.infolist()
        self.members: Sequence[zipfile.ZipInfo] = [
            member
            for member in self._all
            if not member.filename.endswith("/") and not member.filename.startswith(_RESOURCE_FORKS)
        ]
        if any(member.flag_bits & _IS_ENCRYPTED for member in self.members):
            raise PermanentError("encrypted_archive", "a member of the zip archive is encrypted")
        if sum(member.file_size for member in self.members) > limit_bytes:
            raise too_far(limit_bytes)

    @property
    def is_office_document(self) -> bool:
        """Whether it is one file in the shape of an archive."""
        return any(member.filename == _CONTENT_TYPES for member in self._all)

    def open(self, member: zipfile.ZipInfo) -> ZipMember:
        """The member, unpacked as it is read; no more of it than the directory says."""
        with damage_as_errors():
            return ZipMember(self._archive.open(member))


class ZipMember:
    """One member, of which `zipfile` checks size and checksum."""

    def __init__(self, stream: IO[bytes]) -> None:
        self._stream = stream

    def read(self, size: int = -1, /) -> bytes:
        """At most `size` bytes, fewer only at the end; all that is left when negative."""
        with damage_as_errors():
            return self._stream.read(size)

    def seek(self, offset_bytes: int, /) -> int:
        """Goes on at that offset of what is unpacked."""
        with damage_as_errors():
            return self._stream.seek(offset_bytes)

    def pieces(self) -> Iterator[bytes]:
        """All of it, from where it stands."""
        while piece := self.read(PIECE_BYTES):
            yield piece


@contextmanager
def damage_as_errors() -> Iterator[None]:
    """What `zipfile` raises for damaged archives, as `PermanentError`."""
    try:
        yield
    except (
        zipfile.BadZipFile,
        zlib.error,
        lzma.LZMAError,
        struct.error,
        EOFError,
        OSError,
        ValueError,
        IndexError,
        UnicodeError,
        OverflowError,
    ):
        raise corrupt("zip") from None
    except (NotImplementedError, RuntimeError):  # another method, or another way to encrypt
        raise PermanentError("unsupported_format", "the zip archive is of an odd kind") from None


class _BoundedReads:
    """A file of which nobody reads a directory that would fill the memory."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self.seek = file.seek
        self.tell = file.tell

    def seekable(self) -> bool:
        return True

    def read(self, size: int = -1, /) -> bytes:
        if size > MAX_DIRECTORY_BYTES:
            raise PermanentError("expands_too_far", "the zip archive has too long a directory")
        return self._file.read(size)
