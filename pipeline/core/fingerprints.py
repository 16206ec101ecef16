"""Fingerprints: the keyed hash under which a known PAN is found again."""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Sequence

from pipeline.errors import PermanentError

FINGERPRINT_KEY_BYTES = 32
FINGERPRINT_BYTES = 33
_SHA256_BLOCK_BYTES = 64
_INNER_PAD = bytes(value ^ 0x36 for value in range(256))
_OUTER_PAD = bytes(value ^ 0x5C for value in range(256))


class ScopeClosedError(PermanentError):
    """Nothing is tokenized in the scope any more; its code is `scope_closed`."""

    def __init__(self, scope: str) -> None:
        super().__init__("scope_closed", f"nothing is tokenized in the scope {scope}")


class Fingerprinter:
    """HMAC-SHA-256 over scope and PAN, the key's version in front (33 bytes).

    A keyed hash of the whole PAN, as PCI DSS v4.0.1 3.5.1.1 asks for; HMAC as in RFC 2104, its two
    padded blocks hashed once and copied for each PAN.

    Beside an `earlier` version, a PAN gets both fingerprints, the earlier one in front (66 bytes).
    """

    __slots__ = ("_closed_scopes", "_earlier", "_inner", "_outer", "_version")

    def __init__(
        self,
        plaintext_key: bytes,
        version: int,
        *,
        earlier: Fingerprinter | None = None,
        closed_scopes: Collection[str] = (),
    ) -> None:
        if len(plaintext_key) != FINGERPRINT_KEY_BYTES:
            raise PermanentError("invalid_fingerprint_key", "the fingerprint key is not 32 bytes")
        padded = plaintext_key.ljust(_SHA256_BLOCK_BYTES, b"\0")
        self._inner = hashlib.sha256(padded.translate(_INNER_PAD))
        self._outer = hashlib.sha256(padded.translate(_OUTER_PAD))
        self._version = bytes((version,))
        self._earlier = earlier
        self._closed_scopes = closed_scopes

    def fingerprints(self, pans: Sequence[bytes], scope: str) -> list[bytes]:
        """One fingerprint for each PAN, in order; raises `ScopeClosedError`."""
        if scope in self._closed_scopes:
            raise ScopeClosedError(scope)
        own = self._own(pans, scope)
        if self._earlier is None:
            return own
        pairs = zip(self._earlier.fingerprints(pans, scope), own, strict=True)
        return [earlier + fingerprint for earlier, fingerprint in pairs]

    def _own(self, pans: Sequence[bytes], scope: str) -> list[bytes]:
        scoped = self._inner.copy()
        scoped.update(scope.encode() + b"\0")
        fresh_inner, fresh_outer, version = scoped.copy, self._outer.copy, self._version
        found: list[bytes] = []
        for pan in pans:
            inner, outer = fresh_inner(), fresh_outer()
            inner.update(pan)
            outer.update(inner.digest())
            found.append(version + outer.digest())
        return found
