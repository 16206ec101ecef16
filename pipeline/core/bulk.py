"""A bulk job: what somebody asks to open, in one document that somebody else approves.

The document is an encryption context: KMS authenticates it, CloudTrail shows it, and the approval
is a KMS grant that holds for exactly this context. It names a file of tokens by the root of a hash
tree over slices of 100, so that a slice is proved to belong to the file without the rest of it.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta

from pipeline.errors import PermanentError

SLICE_TOKENS = 100
APPROVAL_LASTS = timedelta(hours=1)

_LEAF, _NODE = b"\x00", b"\x01"  # a leaf is never taken for a node (RFC 6962, 2.1)


@dataclass(frozen=True, slots=True)
class BulkJob:
    """Who asks (ARN), what for (reason), how many rows, of which tokens (root of their tree, hex),
    sealed to whom (X25519 public key, base64), since when (UTC).
    """

    job_id: str
    requester: str
    reason: str
    rows: str
    tokens_root: str
    public_key: str
    created_at: str

    @property
    def encryption_context(self) -> dict[str, str]:
        """The document: eight pairs, which is as many as a grant can be bound to."""
        return {"purpose": "bulk", **asdict(self)}

    @property
    def slices(self) -> int:
        """How many slices its rows make."""
        return -(-int(self.rows) // SLICE_TOKENS)

    def rows_in(self, number: int) -> int:
        """How many rows the slice of that number (from 0) has; the root tells nothing of that."""
        return min(SLICE_TOKENS, int(self.rows) - number * SLICE_TOKENS)


@dataclass(frozen=True, slots=True)
class Approval:
    """A KMS grant that lets the job's key be unwrapped."""

    grant_id: str
    made_at: datetime


def bulk_job(context: Mapping[str, str]) -> BulkJob:
    """The job of a document; raises `PermanentError` `not_a_bulk_job`."""
    if context.get("purpose") != "bulk" or len(context) != len(BulkJob.__slots__) + 1:
        raise PermanentError("not_a_bulk_job")
    try:
        return BulkJob(**{name: context[name] for name in BulkJob.__slots__})
    except KeyError:
        raise PermanentError("not_a_bulk_job") from None


def slices_of(tokens: Sequence[str]) -> Iterator[Sequence[str]]:
    """100 tokens each, the last of what is left."""
    for start in range(0, len(tokens), SLICE_TOKENS):
        yield tokens[start : start + SLICE_TOKENS]


def leaf_of(tokens: Sequence[str]) -> bytes:
    """The leaf that stands for a slice."""
    return hashlib.sha256(_LEAF + "\n".join(tokens).encode()).digest()


class HashTree:
    """The tree over the slices of a file; a node without a neighbour moves up as it is."""

    def __init__(self, leaves: Sequence[bytes]) -> None:
        self._levels = [list(leaves)]
        while len(self._levels[-1]) > 1:
            self._levels.append(_level_above(self._levels[-1]))

    @property
    def root(self) -> bytes:
        """What names the file."""
        return self._levels[-1][0]

    def proof(self, number: int) -> list[bytes]:
        """The neighbours on the way from a leaf to the root."""
        found = []
        for level in self._levels[:-1]:
            if number ^ 1 < len(level):
                found.append(level[number ^ 1])
            number //= 2
        return found


def belongs(
    tokens: Sequence[str], number: int, slices: int, proof: Sequence[bytes], root: bytes
) -> bool:
    """Whether the tokens are the slice of that number (from 0) of the file that the root names."""
    if not 0 <= number < slices:
        return False
    node, left = leaf_of(tokens), list(proof)
    while slices > 1:
        if number ^ 1 < slices:
            if not left:
                return False
            neighbour = left.pop(0)
            node = _node(neighbour, node) if number % 2 else _node(node, neighbour)
        number, slices = number // 2, -(-slices // 2)
    return not left and hmac.compare_digest(node, root)


def _level_above(level: Sequence[bytes]) -> list[bytes]:
    pairs = [_node(level[at], level[at + 1]) for at in range(0, len(level) - 1, 2)]
    return pairs + ([level[-1]] if len(level) % 2 else [])


def _node(left: bytes, right: bytes) -> bytes:
    return hashlib.sha256(_NODE + left + right).digest()
