"""What an upload holds once it is unpacked and decrypted: one file, or the members of an archive.

Nothing is written anywhere; what does not stream is held in memory up to stated limits.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import BinaryIO
from zipfile import ZipInfo

from pipeline.errors import PermanentError
from pipeline.readers.containers import BEGINNING_BYTES, container_kind
from pipeline.readers.decompression import Decompressed
from pipeline.readers.framing import SeekableSource
from pipeline.readers.streams import LookAhead, seekable_file
from pipeline.readers.zip_archive import ZipArchive

MAX_DEPTH = 3  # such as gzip in PGP in zip; what is packed deeper than that is packed to do harm
MAX_EXPANSION_RATIO = 200  # text of records packs to a tenth, rarely to a fiftieth
MIN_LIMIT_BYTES = 64 * 1024 * 1024  # so little does no harm, however well it was packed
MAX_UNPACKED_BYTES = 64 * 1024**3  # the largest file of a day, with a wide margin

Decrypt = Callable[[SeekableSource, int], SeekableSource]
"""From an encrypted message, and how many bytes it may come to, to what it says."""


def refuse_encrypted(_message: SeekableSource, _limit_bytes: int) -> SeekableSource:
    """Where there is no key to decrypt with: raises `PermanentError` `encrypted`."""
    raise PermanentError("encrypted", "the key is the deployment's: look at what is inside of it")


def unpacked_limit(size_bytes: int) -> int:
    """How many bytes an upload of that size may unpack to."""
    return min(max(size_bytes * MAX_EXPANSION_RATIO, MIN_LIMIT_BYTES), MAX_UNPACKED_BYTES)


def unpacked(
    upload: LookAhead, size_bytes: int, format_type: str, decrypt: Decrypt
) -> Sequence[Callable[[], LookAhead]]:
    """What opens each member of the upload, in order; one for what is no archive.

    `format_type` is the layout's: a workbook is a zip archive that is not to be unpacked. Raises
    `PermanentError`: `corrupt_archive`, `expands_too_far`, `nested_too_deep`,
    `encrypted_archive`, `unsupported_format`, `empty_file`, and what `decrypt` raises.
    """
    return _Unpacker(unpacked_limit(size_bytes), format_type, decrypt).members(upload, depth=0)


@dataclass(frozen=True, slots=True)
class _Unpacker:
    limit_bytes: int
    format_type: str
    decrypt: Decrypt = field(repr=False)

    def members(
        self, stream: LookAhead, depth: int, *, is_member: bool = False
    ) -> Sequence[Callable[[], LookAhead]]:
        kind = container_kind(stream.peek(BEGINNING_BYTES))
        while kind is not None and kind != "zip":
            depth = _one_deeper(depth)
            stream = self._inside(stream, kind)
            kind = container_kind(stream.peek(BEGINNING_BYTES))
        if kind is None:
            return [lambda: stream]
        return self._in_zip(stream, depth, is_member=is_member)

    def _inside(self, stream: LookAhead, kind: str) -> LookAhead:
        if kind == "pgp":
            return LookAhead(self.decrypt(stream, self.limit_bytes))
        return LookAhead(Decompressed(stream, kind, self.limit_bytes))

    def _in_zip(
        self, stream: LookAhead, depth: int, *, is_member: bool
    ) -> Sequence[Callable[[], LookAhead]]:
        file = seekable_file(stream)
        archive = ZipArchive(file, self.limit_bytes)
        if archive.is_office_document:
            return self._workbook(file)
        if is_member:
            raise PermanentError("nested_too_deep", "a zip archive in a zip archive")
        if not archive.members:
            raise PermanentError("empty_file", "the zip archive holds no files")
        depth = _one_deeper(depth)
        return [partial(self._member, archive, each, depth) for each in archive.members]

    def _member(self, archive: ZipArchive, member: ZipInfo, depth: int) -> LookAhead:
        (only,) = self.members(LookAhead(archive.open(member)), depth, is_member=True)
        return only()

    def _workbook(self, file: BinaryIO) -> Sequence[Callable[[], LookAhead]]:
        if self.format_type != "xlsx":
            raise PermanentError(
                "unsupported_format", "the file is an Office document, its layout is not"
            )
        size_bytes = file.seek(0, io.SEEK_END)
        file.seek(0)
        return [lambda: LookAhead(file, size_bytes)]


def _one_deeper(depth: int) -> int:
    if depth == MAX_DEPTH:
        raise PermanentError("nested_too_deep", f"packed more than {MAX_DEPTH} times")
    return depth + 1
