"""One key of the fingerprints succeeds another, and no card gets a second token meanwhile."""

from __future__ import annotations

from collections.abc import Sequence

from pipeline.core.fingerprints import FINGERPRINT_BYTES
from pipeline.ports import Fingerprints

_EARLIER = slice(0, FINGERPRINT_BYTES)
_CURRENT = slice(-FINGERPRINT_BYTES, None)


class SuccessiveFingerprints:
    """Fingerprints under one key version, or under two: the earlier one in front, 66 bytes.

    Under two, a token is claimed under the earlier version first; what holds there is then claimed
    under the current one, and what holds there is the card's token. `pipeline/core/keyring.py` says
    why that is so whatever other workers know.
    """

    def __init__(self, single: Fingerprints) -> None:
        self._single = single

    async def look_up(self, fingerprints: Sequence[bytes]) -> Sequence[str | None]:
        """The known ones; one known under the earlier version alone is claimed on the way."""
        if not _are_double(fingerprints):
            return await self._single.look_up(fingerprints)
        held = list(await self._single.look_up([each[_CURRENT] for each in fingerprints]))
        unknown = [at for at, token in enumerate(held) if token is None]
        earlier = await self._single.look_up([fingerprints[at][_EARLIER] for at in unknown])
        found = {at: token for at, token in zip(unknown, earlier, strict=True) if token is not None}
        winners = await self._single.claim(
            [fingerprints[at][_CURRENT] for at in found], list(found.values())
        )
        for at, winner in zip(found, winners, strict=True):
            held[at] = winner
        return held

    async def claim(self, fingerprints: Sequence[bytes], tokens: Sequence[str]) -> Sequence[str]:
        """The token that holds for each fingerprint, under all versions at hand."""
        if not _are_double(fingerprints):
            return await self._single.claim(fingerprints, tokens)
        winners = await self._single.claim([each[_EARLIER] for each in fingerprints], tokens)
        return await self._single.claim([each[_CURRENT] for each in fingerprints], winners)


def _are_double(fingerprints: Sequence[bytes]) -> bool:
    return bool(fingerprints) and len(fingerprints[0]) > FINGERPRINT_BYTES
