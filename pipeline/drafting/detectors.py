"""Who knows which format. A detector comes in only where its format can be read."""

from __future__ import annotations

from collections.abc import Sequence

from pipeline.drafting.delimited import detect_delimited
from pipeline.drafting.fixed_width import detect_fixed_width
from pipeline.drafting.processors import detect_ctf, detect_ipm
from pipeline.drafting.sample import Detector
from pipeline.drafting.structured import (
    detect_avro,
    detect_json_array,
    detect_json_lines,
    detect_orc,
    detect_parquet,
    detect_xlsx,
)

DETECTORS: Sequence[tuple[str, Detector]] = (
    ("parquet", detect_parquet),
    ("orc", detect_orc),
    ("avro", detect_avro),
    ("xlsx", detect_xlsx),
    ("ipm", detect_ipm),
    ("ctf", detect_ctf),
    ("jsonl", detect_json_lines),
    ("json", detect_json_array),
    ("fixed", detect_fixed_width),
    ("delimited", detect_delimited),
)
"""By format type, the surest first: what is told by a magic number, then by structure, then text.
"""
