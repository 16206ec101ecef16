"""Fingerprints are HMAC-SHA-256 and nothing else."""

from __future__ import annotations

import hashlib
import hmac

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.core.fingerprints import Fingerprinter
from pipeline.errors import PermanentError

KEY = bytes(range(32))
PANS = st.lists(st.text("0123456789", min_size=12, max_size=19).map(str.encode), max_size=6)
SCOPES = st.from_regex(r"[a-z0-9]([a-z0-9-]{0,62}[a-z0-9])?", fullmatch=True)


@settings(max_examples=200)
@given(
    key=st.binary(min_size=32, max_size=32), pans=PANS, scope=SCOPES, version=st.integers(0, 255)
)
def test_a_fingerprint_is_the_keys_version_and_an_hmac(
    key: bytes, pans: list[bytes], scope: str, version: int
) -> None:
    expected = [
        bytes([version]) + hmac.digest(key, scope.encode() + b"\0" + pan, hashlib.sha256)
        for pan in pans
    ]
    assert Fingerprinter(key, version).fingerprints(pans, scope) == expected


def test_a_fingerprint_is_this_one() -> None:
    """Made with `openssl dgst -sha256 -mac HMAC` over `default`, a null byte and the PAN."""
    (fingerprint,) = Fingerprinter(KEY, 1).fingerprints([b"4111111111111111"], "default")
    assert fingerprint.hex() == (
        "01b51b6c0e17a75fc8ada6a2e2831fb273e537880a08439410e87bd2943f60db70"
    )


def test_a_fingerprinter_can_be_used_again() -> None:
    fingerprinter = Fingerprinter(KEY, 1)
    once = fingerprinter.fingerprints([b"4" * 16, b"5" * 16], "a")
    fingerprinter.fingerprints([b"6" * 16], "b")
    assert fingerprinter.fingerprints([b"5" * 16, b"4" * 16], "a") == once[::-1]


def test_scope_and_pan_do_not_run_into_each_other() -> None:
    fingerprinter = Fingerprinter(KEY, 1)
    (one,) = fingerprinter.fingerprints([b"2411111111111111"], "a")
    (other,) = fingerprinter.fingerprints([b"411111111111111"], "a2")
    assert one != other


def test_scope_key_version_and_pan_all_make_a_difference() -> None:
    pan = [b"4111111111111111"]
    fingerprints = [
        Fingerprinter(KEY, 1).fingerprints(pan, "a"),
        Fingerprinter(KEY, 1).fingerprints(pan, "b"),
        Fingerprinter(KEY, 2).fingerprints(pan, "a"),
        Fingerprinter(KEY[::-1], 1).fingerprints(pan, "a"),
        Fingerprinter(KEY, 1).fingerprints([b"04111111111111111"], "a"),
    ]
    assert len({each[0] for each in fingerprints}) == 5
    assert fingerprints[0][0][1:] == fingerprints[2][0][1:]


@pytest.mark.parametrize("length", [0, 16, 31, 33, 64])
def test_a_key_of_another_length_is_refused(length: int) -> None:
    with pytest.raises(PermanentError) as caught:
        Fingerprinter(b"k" * length, 1)
    assert caught.value.code == "invalid_fingerprint_key"
    assert "kkk" not in repr(caught.value)
