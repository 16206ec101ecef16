"""Tokens, and the sealing of PANs under a data key.

The safe calls are on top; what takes a nonce as an argument says so in its name.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from pipeline.errors import PermanentError
from pipeline.model import DataKey

Entropy = Callable[[int], bytes]
"""Gives that many random bytes, fit for keys: `os.urandom`."""

FORMAT_VERSION = 1
NONCE_BYTES = 12
TAG_BYTES = 16
DATA_KEY_BYTES = 32
MAX_SEALS_PER_DATA_KEY = 2**32  # random nonces: NIST SP 800-38D, 8.3

TOKEN_PREFIX = "tok_"
TOKEN_CHARACTERS = 26
TOKEN_PATTERN = re.compile(r"tok_[a-z2-7]{26}")

_BASE32 = b"abcdefghijklmnopqrstuvwxyz234567"
_TOKEN_BYTES = len(TOKEN_PREFIX) + TOKEN_CHARACTERS
_ALPHABET = bytes(_BASE32[value % 32] for value in range(256))
_LONG_DIGIT_RUN = re.compile(rb"\d{12}")


def mint_tokens(count: int, entropy: Entropy) -> list[str]:
    """That many random tokens: `tok_` and 26 base32 characters of 5 random bits each.

    256 is a multiple of 32, so taking each random byte modulo 32 is unbiased. A draw that holds 12
    digits in a row, which could be taken for a PAN, is thrown away.
    """
    while True:
        letters = entropy(count * TOKEN_CHARACTERS).translate(_ALPHABET)
        if not _LONG_DIGIT_RUN.search(letters):
            break
    text = letters.decode("ascii")
    return [
        TOKEN_PREFIX + text[start : start + TOKEN_CHARACTERS]
        for start in range(0, len(text), TOKEN_CHARACTERS)
    ]


def seal(
    pans: Sequence[bytes], tokens: Sequence[str], scope: str, data_key: DataKey, entropy: Entropy
) -> list[bytes]:
    """Each PAN sealed under its own token: version, nonce, AES-256-GCM ciphertext, tag."""
    nonces = entropy(NONCE_BYTES * len(pans))
    bind = _binder(scope, data_key.data_key_id)
    cipher = AESGCM(data_key.plaintext)
    return [
        _seal_with_nonce(cipher, pan, bind(token), nonces[start : start + NONCE_BYTES])
        for pan, token, start in zip(pans, tokens, range(0, len(nonces), NONCE_BYTES), strict=True)
    ]


def seal_with_nonce(pan: bytes, token: str, scope: str, data_key: DataKey, nonce: bytes) -> bytes:
    """`seal` for one PAN with a nonce that the caller answers for: it must never repeat."""
    bind = _binder(scope, data_key.data_key_id)
    return _seal_with_nonce(AESGCM(data_key.plaintext), pan, bind(token), nonce)


def open_sealed(ciphertext: bytes, token: str, scope: str, data_key: DataKey) -> bytes:
    """The PAN inside; raises `PermanentError` `seal_broken` for anything but its own row."""
    if len(ciphertext) < 1 + NONCE_BYTES + TAG_BYTES or ciphertext[0] != FORMAT_VERSION:
        raise PermanentError("seal_broken", "not a ciphertext of a known format")
    bind = _binder(scope, data_key.data_key_id)
    nonce, sealed = ciphertext[1 : 1 + NONCE_BYTES], ciphertext[1 + NONCE_BYTES :]
    try:
        return AESGCM(data_key.plaintext).decrypt(nonce, sealed, bind(token))
    except InvalidTag:
        raise PermanentError(
            "seal_broken", "the ciphertext does not belong to this token, scope and data key"
        ) from None


def _seal_with_nonce(cipher: AESGCM, pan: bytes, additional_data: bytes, nonce: bytes) -> bytes:
    return _VERSION + nonce + cipher.encrypt(nonce, pan, additional_data)


def _binder(scope: str, data_key_id: str) -> Callable[[str], bytes]:
    """Additional data: format version, scope, data key id and token, each behind its length."""
    head = _VERSION + _with_length(scope) + _with_length(data_key_id)
    head_of_token = head + _length(_TOKEN_BYTES)

    def bind(token: str) -> bytes:
        encoded = token.encode()
        if len(encoded) == _TOKEN_BYTES:
            return head_of_token + encoded
        return head + _length(len(encoded)) + encoded

    return bind


def _with_length(text: str) -> bytes:
    encoded = text.encode()
    return _length(len(encoded)) + encoded


def _length(size_bytes: int) -> bytes:
    return size_bytes.to_bytes(2, "big")


_VERSION = bytes((FORMAT_VERSION,))
