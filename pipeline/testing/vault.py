"""The vault and the claims on its tokens, in memory."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from pipeline.model import SealedPan, SealedPans


class MemoryVault:
    """Sealed PANs by token, in `rows`."""

    def __init__(self) -> None:
        self.rows: dict[str, SealedPan] = {}

    async def insert_if_absent(self, sealed: SealedPans) -> None:
        """A row that is there already stays."""
        for row in sealed.rows():
            self.rows.setdefault(row.token, row)


class MemoryFingerprints:
    """Tokens by fingerprint, in `tokens`."""

    def __init__(self) -> None:
        self.tokens: dict[bytes, str] = {}

    async def look_up(self, fingerprints: Sequence[bytes]) -> Sequence[str | None]:
        """The known ones."""
        return [self.tokens.get(each) for each in fingerprints]

    async def claim(self, fingerprints: Sequence[bytes], tokens: Sequence[str]) -> Sequence[str]:
        """The first claim of a fingerprint holds."""
        return [self.tokens.setdefault(*claim) for claim in zip(fingerprints, tokens, strict=True)]


class MemoryVaultReader:
    """Reads a vault in memory."""

    def __init__(self, vault: MemoryVault) -> None:
        self._vault = vault

    def get(self, tokens: Sequence[str]) -> Mapping[str, SealedPan]:
        """The rows of those tokens that exist."""
        return {each: self._vault.rows[each] for each in tokens if each in self._vault.rows}
