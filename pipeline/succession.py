"""One key of the fingerprints succeeds another, and no card gets a second token meanwhile."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from pipeline.core.fingerprints import FINGERPRINT_BYTES
from pipeline.model import Claim
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

    def look_up(self, fingerprints: Sequence[bytes]) -> Mapping[bytes, str]:
        """The known ones; one known under the earlier version alone is claimed on the way."""
        if not _are_double(fingerprints):
            return self._single.look_up(fingerprints)
        current = self._single.look_up([each[_CURRENT] for each in fingerprints])
        known = {
            each: current[each[_CURRENT]] for each in fingerprints if each[_CURRENT] in current
        }
        unknown = [each for each in fingerprints if each not in known]
        earlier = self._single.look_up([each[_EARLIER] for each in unknown])
        found = [
            Claim(each, earlier[each[_EARLIER]]) for each in unknown if each[_EARLIER] in earlier
        ]
        return known | self._claim(found, _CURRENT)

    def claim(self, claims: Sequence[Claim]) -> Mapping[bytes, str]:
        """The token that holds for each fingerprint, under all versions at hand."""
        if not _are_double([each.fingerprint for each in claims]):
            return self._single.claim(claims)
        winners = self._claim(claims, _EARLIER)
        again = [Claim(each.fingerprint, winners[each.fingerprint]) for each in claims]
        return self._claim(again, _CURRENT)

    def _look_up(self, fingerprints: Sequence[bytes], part: slice) -> dict[bytes, str]:
        """Looks one version's part of the fingerprints up; the tokens by whole fingerprint."""
        known = self._single.look_up([each[part] for each in fingerprints])
        return {each: known[each[part]] for each in fingerprints if each[part] in known}

    def _claim(self, claims: Sequence[Claim], part: slice) -> dict[bytes, str]:
        """Claims one version's part of the fingerprints; the winners by whole fingerprint."""
        winners = self._single.claim([Claim(each.fingerprint[part], each.token) for each in claims])
        return {each.fingerprint: winners[each.fingerprint[part]] for each in claims}


def _are_double(fingerprints: Sequence[bytes]) -> bool:
    return bool(fingerprints) and len(fingerprints[0]) > FINGERPRINT_BYTES
