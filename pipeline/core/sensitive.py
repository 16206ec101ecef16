"""Sensitive authentication data (SAD): what must not be kept after authorization, even sealed.

Source: PCI DSS v4.0.1, requirement 3.3.1 (full track, card verification code, PIN, PIN block).
"""

from __future__ import annotations

import re

_SENSITIVE = re.compile(
    r"(?:card|cardholder|cc|credit|debit|atm|amex|visa|encrypted|raw)*"
    r"(?:"
    r"(?:cvv|cvc|cav|ccv|cvn|cvd|csc|cid|icvv|cvx)\d?(?:code|value|number|num|no|data)?"
    r"|(?:card)?(?:security|verification)(?:code|value|number|data)\d?"
    r"|(?:full)?(?:track|magstripe|magneticstripe)(?:1|2|3|one|two|three)?(?:equivalent)?(?:data)?"
    r"|pin(?:block|data|number|num|no|offset|verificationvalue)?|epb|pvv"
    r"|de0?(?:35|36|45|52)|(?:emv)?tag(?:56|57|9f6b|9f1f|9f20)"
    r")"
)
# ISO/IEC 7813: track 1 is %B<PAN>^<name>^<expiry>…, track 2 is ;<PAN>=<expiry>….
_TRACK = re.compile(
    rb"%?[Bb]\d{12,19}\^[^^\r\n]{2,26}\^[0-9^]{4}[^\r\n,;|\t\"?]*\??|;?\d{12,19}[=Dd]\d{4}\d*\??"
)
REMOVED = b"[removed]"


def is_sensitive_name(name: str) -> bool:
    """Whether a column of this name holds sensitive authentication data.

    Result codes about it (`cvv_result`, `pin_entry_capability`) are not such data. Of a nested
    column (`payment.card.cvv`), what stands behind any of its dots counts too.
    """
    parts = name.lower().split(".")
    return any(
        _SENSITIVE.fullmatch(re.sub(r"[^a-z0-9]", "", "".join(parts[at:])))
        for at in range(len(parts))
    )


def without_track_data(record: bytes) -> bytes:
    """The record with every full track taken out, wherever it stands."""
    return _TRACK.sub(REMOVED, record)
