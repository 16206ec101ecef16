"""Sets of tokens that are larger than memory: written down as they come, compared part by part."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc

from pipeline.core.envelope import TOKEN_CHARACTERS, TOKEN_PREFIX

READ_TOKENS = 1_000_000
# Of one part, all tokens are in memory at once, in each of two sets: about 500 MB.
TOKENS_IN_A_PART = 10_000_000
_LETTERS = "abcdefghijklmnopqrstuvwxyz234567"


class Spill:
    """Tokens in a file, 26 bytes each; one may be there twice, after a pass was taken up again."""

    def __init__(self, file: Path) -> None:
        self._file = file

    def add(self, tokens: Iterable[str]) -> None:
        """Adds tokens, which are in the file when this returns."""
        text = "".join(token.removeprefix(TOKEN_PREFIX) for token in tokens)
        with self._file.open("ab") as sink:
            sink.truncate(len(self) * TOKEN_CHARACTERS)  # a token that was cut off, and its pass
            sink.write(text.encode("ascii"))

    def clear(self) -> None:
        """Forgets all of them."""
        self._file.unlink(missing_ok=True)

    def __iter__(self) -> Iterator[str]:
        """All tokens, one that is there twice as often as that."""
        for piece in self._pieces():
            yield from map(_token, piece.to_pylist())

    def __len__(self) -> int:
        return self._file.stat().st_size // TOKEN_CHARACTERS if self._file.exists() else 0

    def part(self, letters: str) -> pa.Array:
        """The different tokens that begin with one of these letters."""
        found = [pa.array([], pa.binary(TOKEN_CHARACTERS))]
        wanted = pa.array([letter.encode() for letter in letters], pa.binary())
        for piece in self._pieces():
            first = pc.binary_slice(piece.cast(pa.binary()), 0, 1)
            found.append(piece.filter(pc.is_in(first, value_set=wanted)))
        return pa.concat_arrays(found).unique()

    def _pieces(self) -> Iterator[pa.Array]:
        if not self._file.exists():
            return
        with self._file.open("rb") as source:
            while content := source.read(READ_TOKENS * TOKEN_CHARACTERS):
                rows = len(content) // TOKEN_CHARACTERS
                buffers = [None, pa.py_buffer(content)]
                yield pa.Array.from_buffers(pa.binary(TOKEN_CHARACTERS), rows, buffers)


def missing(wanted: Spill, present: Spill) -> Iterator[str]:
    """The tokens of one set that are not in the other, each once."""
    for letters in _parts(max(len(wanted), len(present))):
        some = wanted.part(letters)
        is_present = pc.is_in(some, value_set=present.part(letters))
        yield from map(_token, some.filter(pc.invert(is_present)).to_pylist())


def smallest(tokens: Spill, count: int) -> list[str]:
    """The first tokens of a set in their order: they are random, and so is this choice."""
    letters = _LETTERS if len(tokens) <= TOKENS_IN_A_PART else _LETTERS[-1]
    values = tokens.part(letters).cast(pa.binary())
    order = pc.select_k_unstable(pa.table({"token": values}), count, [("token", "ascending")])
    return [_token(each) for each in values.take(order).to_pylist()]


def _parts(tokens: int) -> list[str]:
    return [_LETTERS] if tokens <= TOKENS_IN_A_PART else list(_LETTERS)


def _token(letters: bytes) -> str:
    return TOKEN_PREFIX + letters.decode("ascii")
