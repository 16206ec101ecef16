"""Results of a bulk job, sealed to the requester's key: HPKE (RFC 9180), X25519, AES-256-GCM."""

from __future__ import annotations

import base64
import binascii

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives import hpke
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey

from pipeline.errors import PermanentError

PUBLIC_KEY_BYTES = 32


def seal_result(content: bytes, public_key: str, job_id: str, number: int) -> bytes:
    """The content of one slice, for the holder of the private key alone.

    `public_key` is X25519, raw, base64. Raises `PermanentError` `invalid_public_key`, for a point
    of low order too, for which anybody could unseal (RFC 7748, 6.1).
    """
    key = public_key_of(public_key)
    try:
        return _suite().encrypt(content, key, info=_info(job_id, number))
    except ValueError:
        raise PermanentError("invalid_public_key", "a point of low order") from None


def open_result(sealed: bytes, private_key: X25519PrivateKey, job_id: str, number: int) -> bytes:
    """The content; raises `PermanentError` `result_broken` for another key, job or slice."""
    try:
        return _suite().decrypt(sealed, private_key, info=_info(job_id, number))
    except (InvalidTag, ValueError):
        raise PermanentError("result_broken", f"slice {number} of {job_id}") from None


def public_key_of(text: str) -> X25519PublicKey:
    """Raises `PermanentError` `invalid_public_key`."""
    try:
        return X25519PublicKey.from_public_bytes(base64.b64decode(text, validate=True))
    except (ValueError, binascii.Error):
        raise PermanentError("invalid_public_key", "not 32 bytes of X25519, in base64") from None


def _suite() -> hpke.Suite:
    return hpke.Suite(hpke.KEM.X25519, hpke.KDF.HKDF_SHA256, hpke.AEAD.AES_256_GCM)


def _info(job_id: str, number: int) -> bytes:
    return f"pantok bulk result 1|{job_id}|{number}".encode()
