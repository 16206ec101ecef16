"""Card numbers in, tokens out: batch tokenization of settlement files on AWS."""

__version__ = "0.1.0"
