"""The zip of a package: the same files give the same bytes, whenever and wherever they were made.

Compressed bytes depend on the compressing library too, so that much has to be the same.
"""

from __future__ import annotations

import hashlib
import zipfile
from pathlib import Path

ZIP_EPOCH = (1980, 1, 1, 0, 0, 0)
FILE_MODE = 0o100644 << 16  # Lambda reads packages as another user


def write_zip(folder: Path, path: Path) -> str:
    """Zips a folder's files and returns the zip's SHA-256 in hexadecimal digits."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for file in sorted(each for each in folder.rglob("*") if each.is_file()):
            entry = zipfile.ZipInfo(file.relative_to(folder).as_posix(), ZIP_EPOCH)
            entry.compress_type = zipfile.ZIP_DEFLATED
            entry.external_attr = FILE_MODE
            archive.writestr(entry, file.read_bytes())
    with path.open("rb") as zipped:
        return hashlib.file_digest(zipped, "sha256").hexdigest()
