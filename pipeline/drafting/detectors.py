"""Who knows which format. A detector comes in only where its format can be read."""

from __future__ import annotations

from collections.abc import Sequence

from pipeline.drafting.delimited import detect_delimited
from pipeline.drafting.sample import Detector

DETECTORS: Sequence[tuple[str, Detector]] = (("delimited", detect_delimited),)
"""By format type, the surest first: what is told by a magic number, then by structure, then text.
"""
