"""One large synthetic file of a built-in layout: what `pantok generate` writes."""

from collections.abc import Callable
from functools import partial
from os import PathLike
from pathlib import Path
from typing import BinaryIO

from pipeline.samples.acquirer import write_acquirer_file
from pipeline.samples.fixed_width import write_grrcn, write_nacha
from pipeline.samples.mainframe import write_mainframe_file
from pipeline.samples.mastercard import write_ipm
from pipeline.samples.settlement import write_settlement_csv
from pipeline.samples.transactions import Progress, check_sizes
from pipeline.samples.visa import write_ctf, write_itf

_WRITERS: dict[str, Callable[..., None]] = {
    "card-present": write_settlement_csv,
    "acquirer-pipe": write_acquirer_file,
    "visa-ctf": write_ctf,
    "visa-itf": write_itf,
    "mastercard-ipm": write_ipm,
    "mastercard-ipm-ebcdic": partial(write_ipm, encoding="cp500"),
    "mastercard-ipm-ebcdic-blocked": partial(write_ipm, encoding="cp500", blocked=True),
    "amex-grrcn-fixed": write_grrcn,
    "nacha-shr": write_nacha,
    "mainframe-ebcdic": write_mainframe_file,
}
GENERATED_LAYOUTS = tuple(_WRITERS)
"""The layouts that `generate` can write files of."""


def generate(
    path_or_stream: str | PathLike[str] | BinaryIO,
    *,
    layout: str,
    rows: int,
    cards: int,
    seed: int,
    progress: Progress | None = None,
) -> None:
    """Write a file of `rows` rows with `cards` distinct cards, to a local path or binary stream.

    With fewer rows than cards, some cards do not appear. The same arguments give the same
    bytes. `progress` is told the rows written so far, after each block.

    Raises ValueError for a layout that is not in `GENERATED_LAYOUTS` and for sizes that
    `check_sizes` refuses; an existing file is then left as it was.
    """
    if layout not in _WRITERS:
        raise ValueError(f"no files of this layout can be generated; can: {GENERATED_LAYOUTS}")
    check_sizes(rows, cards)
    write = _WRITERS[layout]
    if isinstance(path_or_stream, str | PathLike):
        with Path(path_or_stream).open("wb") as stream:
            write(stream, rows, cards, seed, progress=progress)
    else:
        write(path_or_stream, rows, cards, seed, progress=progress)
