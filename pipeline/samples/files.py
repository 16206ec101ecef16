"""The files of `sample_data/`: their names, sizes and seed."""

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import BinaryIO

from pipeline.samples.acquirer import write_acquirer_file
from pipeline.samples.amex import write_amex_grrcn
from pipeline.samples.rejects import write_every_reject
from pipeline.samples.settlement import write_settlement_csv
from pipeline.samples.unfamiliar import write_acme, write_unnamed_columns

SAMPLE_SEED = 2026
"""One seed for all files: they share their cards, and so, in one scope, their tokens."""

SAMPLE_FILES: dict[str, Callable[[BinaryIO], None]] = {
    "card_present.csv": partial(write_settlement_csv, rows=1000, cards=250, seed=SAMPLE_SEED),
    "acquirer_pipe.txt": partial(write_acquirer_file, rows=500, cards=150, seed=SAMPLE_SEED),
    "acquirer_pipe_wrong_trailer.txt": partial(
        write_acquirer_file, rows=500, cards=150, seed=SAMPLE_SEED, trailer="wrong_sum"
    ),
    "amex_grrcn.csv": partial(write_amex_grrcn, transactions=120, cards=30, seed=SAMPLE_SEED),
    "every_reject.csv": write_every_reject,
    "unnamed_columns.csv": partial(write_unnamed_columns, rows=80, cards=30, seed=SAMPLE_SEED),
    "acme_unknown.csv": partial(write_acme, rows=120, cards=40, seed=SAMPLE_SEED),
}
"""What writes each file: the same bytes every time."""


def write_sample_files(folder: Path) -> list[Path]:
    """Write all sample files into a folder, which is made if need be, and return their paths."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, write in SAMPLE_FILES.items():
        with (folder / name).open("wb") as stream:
            write(stream)
    return [folder / name for name in SAMPLE_FILES]
