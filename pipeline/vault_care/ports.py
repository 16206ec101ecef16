"""What the keepers of keys and vault need beyond what a worker may do, as Protocols."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Generic, Protocol, TypeVar

from pipeline.core.keyring import KeyRing
from pipeline.model import SealedPan, WrappedDataKey
from pipeline.ports import DataKeyRecords

Item = TypeVar("Item")


@dataclass(frozen=True, slots=True)
class Claim:
    """A fingerprint, and the token that it leads to."""

    fingerprint: bytes
    token: str


@dataclass(frozen=True, slots=True)
class Page(Generic[Item]):
    """Some items of one segment of a table, and where its next page begins; None behind the last.

    A position can be saved as text: it is a token or a fingerprint in hexadecimal digits.
    """

    items: Sequence[Item]
    next_position: str | None


@dataclass(frozen=True, slots=True)
class KeptDataKey:
    """A wrapped data key as its table has it; `rewrapped_at` is None if it is as it was made."""

    record: WrappedDataKey
    rewrapped_at: str | None = None


class DataKeyStore(DataKeyRecords, Protocol):
    """The wrapped data keys, for those who renew or destroy them."""

    def all(self) -> Iterator[KeptDataKey]:
        """Every record, read consistently."""

    def replace(self, old: WrappedDataKey, new: WrappedDataKey, rewrapped_at: str) -> bool:
        """Puts one wrapped form in the place of another; False if that is not there any more."""

    def destroy(self, record: WrappedDataKey) -> None:
        """Deletes the wrapped form; harmless if that has been done."""

    def save_key_ring(self, ring: KeyRing) -> None:
        """Saves the next generation; raises `TransientError` `key_ring_changed` if it exists."""


class KeyRenewal(Protocol):
    """Keys that never leave the key service, renewed inside of it."""

    def rewrap(self, record: WrappedDataKey, key_arn: str) -> WrappedDataKey:
        """The same data key, wrapped anew; raises `PermanentError` `data_key_broken`."""

    def generate_wrapped(
        self, data_key_id: str, encryption_context: Mapping[str, str], key_arn: str, created_at: str
    ) -> WrappedDataKey:
        """A fresh fingerprint key, its plaintext seen by nobody."""

    def rotate(self, key_arn: str) -> None:
        """Gives the key new material; what the old one wrapped still unwraps."""

    def rotated_at(self, key_arn: str) -> datetime | None:
        """When the key got its newest material; None if it has its first."""


class VaultStore(Protocol):
    """The vault, for those who check it or destroy rows."""

    def page(self, segment: int, segments: int, position: str | None) -> Page[SealedPan]:
        """The rows of a segment from a position on, read consistently."""

    def get(self, tokens: Sequence[str]) -> Mapping[str, SealedPan]:
        """The rows of those tokens that exist, read consistently."""

    def destroy(self, token: str) -> None:
        """Deletes the row; harmless if that has been done."""


class FingerprintStore(Protocol):
    """The fingerprints, for those who check them or destroy some."""

    def page(self, segment: int, segments: int, position: str | None) -> Page[Claim]:
        """The fingerprints of a segment from a position on, read consistently."""

    def held(self, fingerprints: Sequence[bytes]) -> Mapping[bytes, str]:
        """The tokens of those fingerprints that exist, read consistently."""

    def claim(self, claims: Sequence[Claim]) -> Mapping[bytes, str]:
        """The token that holds for each fingerprint: ours, or that of whoever claimed it first."""

    def destroy(self, claim: Claim) -> None:
        """Deletes the fingerprint if it has that token; harmless otherwise."""
