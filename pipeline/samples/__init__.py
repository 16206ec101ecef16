"""Synthetic settlement files: deterministic from a seed, of any size, without a real card number.

`generate` writes one large file; `write_sample_files` writes the small ones of `sample_data/`.
"""

from pipeline.samples.files import write_sample_files
from pipeline.samples.generate import GENERATED_LAYOUTS, generate

__all__ = ["GENERATED_LAYOUTS", "generate", "write_sample_files"]
