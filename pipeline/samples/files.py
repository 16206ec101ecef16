"""The files of `sample_data/`: their names, sizes and seed."""

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import BinaryIO

from pipeline.samples.acquirer import write_acquirer_file
from pipeline.samples.amex import write_amex_grrcn
from pipeline.samples.fixed_width import write_grrcn, write_nacha
from pipeline.samples.mainframe import write_mainframe_file
from pipeline.samples.mastercard import write_ipm
from pipeline.samples.rejects import write_every_reject
from pipeline.samples.settlement import write_settlement_csv
from pipeline.samples.structured import (
    write_avro,
    write_gzip,
    write_json_document,
    write_json_lines,
    write_orc,
    write_parquet,
    write_workbook,
    write_zip_of_parts,
)
from pipeline.samples.unfamiliar import write_acme, write_unnamed_columns
from pipeline.samples.visa import write_ctf, write_itf

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
    "visa_ctf.txt": partial(write_ctf, rows=60, cards=40, seed=SAMPLE_SEED),
    "visa_itf.bin": partial(write_itf, rows=60, cards=40, seed=SAMPLE_SEED),
    "mastercard_ipm.bin": partial(write_ipm, rows=60, cards=40, seed=SAMPLE_SEED),
    "mastercard_ipm_ebcdic.bin": partial(
        write_ipm, rows=60, cards=40, seed=SAMPLE_SEED, encoding="cp500"
    ),
    "mastercard_ipm_ebcdic_blocked.bin": partial(
        write_ipm, rows=60, cards=40, seed=SAMPLE_SEED, encoding="cp500", blocked=True
    ),
    "amex_grrcn.txt": partial(write_grrcn, rows=60, cards=40, seed=SAMPLE_SEED),
    "nacha_shr.txt": partial(write_nacha, rows=60, cards=40, seed=SAMPLE_SEED),
    "nacha_shr_unbroken.bin": partial(
        write_nacha, rows=60, cards=40, seed=SAMPLE_SEED, line_ends=False
    ),
    "mainframe_ebcdic.bin": partial(write_mainframe_file, rows=60, cards=40, seed=SAMPLE_SEED),
    "card_present.jsonl": partial(write_json_lines, rows=120, cards=60, seed=SAMPLE_SEED),
    "card_present.json": partial(write_json_document, rows=120, cards=60, seed=SAMPLE_SEED),
    "card_present.parquet": partial(write_parquet, rows=240, cards=80, seed=SAMPLE_SEED),
    "card_present.orc": partial(write_orc, rows=240, cards=80, seed=SAMPLE_SEED),
    "card_present.avro": partial(write_avro, rows=240, cards=80, seed=SAMPLE_SEED),
    "card_present.xlsx": partial(write_workbook, rows=120, cards=60, seed=SAMPLE_SEED),
    "card_present_parts.zip": partial(write_zip_of_parts, rows=120, cards=60, seed=SAMPLE_SEED),
    "card_present.csv.gz": partial(write_gzip, rows=120, cards=60, seed=SAMPLE_SEED),
}
"""What writes each file: the same bytes every time."""


def write_sample_files(folder: Path) -> list[Path]:
    """Write all sample files into a folder, which is made if need be, and return their paths."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, write in SAMPLE_FILES.items():
        with (folder / name).open("wb") as stream:
            write(stream)
    return [folder / name for name in SAMPLE_FILES]
