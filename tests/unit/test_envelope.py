"""Tokens are random; a sealed PAN opens in its own row and nowhere else."""

from __future__ import annotations

import itertools
import os
import re
from collections import Counter
from collections.abc import Callable, Iterator

import pytest
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.core.envelope import (
    NONCE_BYTES,
    TAG_BYTES,
    TOKEN_PATTERN,
    mint_tokens,
    open_sealed,
    seal,
    seal_with_nonce,
)
from pipeline.errors import PermanentError
from pipeline.model import DataKey

PAN = b"4111111111111111"
TOKEN = "tok_" + "abcdefghijklmnopqrstuvwxyz"
KEY = DataKey("dk_one", bytes(range(32)))
NONCE = bytes(range(100, 112))


def hand_built(*parts: str) -> bytes:
    """A version byte, then each text behind its length of two bytes."""
    data = b"\x01"
    for part in parts:
        data += len(part).to_bytes(2, "big") + part.encode()
    return data


def test_a_sealed_pan_is_version_nonce_ciphertext_and_tag() -> None:
    sealed = seal_with_nonce(PAN, TOKEN, "default", KEY, NONCE)
    assert sealed[0] == 1
    assert sealed[1:13] == NONCE
    assert len(sealed) == 1 + 12 + len(PAN) + 16
    additional_data = hand_built("default", "dk_one", TOKEN)
    assert sealed[13:] == AESGCM(KEY.plaintext).encrypt(NONCE, PAN, additional_data)
    assert AESGCM(KEY.plaintext).decrypt(NONCE, sealed[13:], additional_data) == PAN


def test_a_sealed_pan_is_these_bytes() -> None:
    sealed = seal_with_nonce(PAN, TOKEN, "default", KEY, NONCE)
    assert sealed.hex() == (
        "016465666768696a6b6c6d6e6f7c2aef5748d867af0f536ed9eb545bcc9c70523acbf2894b96c10efbd71d833f"
    )


def test_a_sealed_pan_opens_in_its_own_row() -> None:
    sealed = seal_with_nonce(PAN, TOKEN, "default", KEY, NONCE)
    assert open_sealed(sealed, TOKEN, "default", KEY) == PAN


SEALED = seal_with_nonce(PAN, TOKEN, "default", KEY, NONCE)


@pytest.mark.parametrize(
    ("ciphertext", "token", "scope", "data_key"),
    [
        (SEALED, "tok_" + "z" * 26, "default", KEY),
        (SEALED, TOKEN.upper(), "default", KEY),
        (SEALED, "", "default", KEY),
        (SEALED, TOKEN, "other", KEY),
        (SEALED, TOKEN, "", KEY),
        (SEALED, TOKEN, "default", DataKey("dk_two", KEY.plaintext)),
        (SEALED, TOKEN, "default", DataKey("dk_one", KEY.plaintext[::-1])),
        (SEALED, TOKEN, "defaul", DataKey("tdk_one", KEY.plaintext)),
        (SEALED[:-1], TOKEN, "default", KEY),
        (SEALED + b"\0", TOKEN, "default", KEY),
        (SEALED[1:], TOKEN, "default", KEY),
        (b"\x00" + SEALED[1:], TOKEN, "default", KEY),
        (b"\x02" + SEALED[1:], TOKEN, "default", KEY),
        (SEALED[: 1 + NONCE_BYTES + TAG_BYTES], TOKEN, "default", KEY),
        (SEALED[: NONCE_BYTES + TAG_BYTES], TOKEN, "default", KEY),
        (b"\x01", TOKEN, "default", KEY),
        (b"", TOKEN, "default", KEY),
    ],
)
def test_a_sealed_pan_opens_nowhere_else(
    ciphertext: bytes, token: str, scope: str, data_key: DataKey
) -> None:
    with pytest.raises(PermanentError) as caught:
        open_sealed(ciphertext, token, scope, data_key)
    assert caught.value.code == "seal_broken"
    assert caught.value.__suppress_context__ or caught.value.__context__ is None
    assert "4111" not in repr(caught.value)


@pytest.mark.parametrize("at", range(len(SEALED)))
def test_a_flipped_bit_anywhere_breaks_the_seal(at: int) -> None:
    damaged = bytearray(SEALED)
    damaged[at] ^= 1 << at % 8
    with pytest.raises(PermanentError, match="seal_broken"):
        open_sealed(bytes(damaged), TOKEN, "default", KEY)


def test_swapped_rows_do_not_open() -> None:
    tokens = mint_tokens(2, os.urandom)
    first, second = seal([PAN, b"5" * 16], tokens, "default", KEY, os.urandom)
    for ciphertext, token in ((first, tokens[1]), (second, tokens[0])):
        with pytest.raises(PermanentError, match="seal_broken"):
            open_sealed(ciphertext, token, "default", KEY)


@settings(max_examples=100)
@given(
    pans=st.lists(st.text("0123456789", min_size=12, max_size=19).map(str.encode), max_size=20),
    scope=st.from_regex(r"[a-z0-9-]{1,64}", fullmatch=True),
)
def test_what_was_sealed_opens_again(pans: list[bytes], scope: str) -> None:
    tokens = mint_tokens(len(pans), os.urandom)
    sealed = seal(pans, tokens, scope, KEY, os.urandom)
    assert len(set(sealed)) == len(pans)
    opened = [
        open_sealed(ciphertext, token, scope, KEY)
        for ciphertext, token in zip(sealed, tokens, strict=True)
    ]
    assert opened == pans


def test_sealing_takes_a_fresh_nonce_for_each_pan() -> None:
    sealed = seal([PAN] * 500, [TOKEN] * 500, "default", KEY, os.urandom)
    assert len({ciphertext[1:13] for ciphertext in sealed}) == 500


def test_a_token_too_many_or_too_few_is_no_row() -> None:
    for tokens in ([], [TOKEN, TOKEN]):
        with pytest.raises(ValueError, match="zip"):
            seal([PAN], tokens, "default", KEY, os.urandom)


def test_tokens_are_26_characters_of_base32_and_never_look_like_a_card_number() -> None:
    tokens = mint_tokens(20_000, os.urandom)
    assert len(set(tokens)) == 20_000
    for token in tokens:
        assert TOKEN_PATTERN.fullmatch(token)
        assert not re.search(r"\d{12}", token)
    assert not re.search(r"\d{12}", "".join(tokens).replace("tok_", ""))


def test_every_character_is_as_likely_as_any_other() -> None:
    every_byte_26_times = bytes(range(256)) * 26
    tokens = mint_tokens(256, scripted([every_byte_26_times]))
    counts = Counter("".join(token.removeprefix("tok_") for token in tokens))
    assert len(counts) == 32
    assert set(counts.values()) == {256 * 26 // 32}


def scripted(draws: list[bytes]) -> Callable[[int], bytes]:
    """Entropy that was decided beforehand; asking for more, or for another size, is an error."""
    left: Iterator[bytes] = iter(draws)

    def entropy(size: int) -> bytes:
        draw = next(left)
        assert len(draw) == size
        return draw

    return entropy


LETTER, DIGIT = b"\x00", b"\x1f"  # `a` and `7`


@pytest.mark.parametrize("start", range(0, 26 * 2 - 12, 3))
def test_a_draw_with_twelve_digits_in_a_row_is_thrown_away(start: int) -> None:
    bad = (LETTER * start + DIGIT * 12).ljust(52, LETTER)
    good = LETTER * 52
    assert mint_tokens(2, scripted([bad, bad, good])) == ["tok_" + "a" * 26] * 2


def test_a_draw_with_eleven_digits_in_a_row_is_good() -> None:
    draw = (DIGIT * 11 + LETTER + DIGIT * 11).ljust(26, LETTER)
    assert mint_tokens(1, scripted([draw])) == ["tok_77777777777a77777777777aaa"]


def test_no_tokens_are_minted_when_none_are_asked_for() -> None:
    assert mint_tokens(0, os.urandom) == []
    assert seal([], [], "default", KEY, os.urandom) == []


def test_texts_of_different_lengths_are_bound_differently() -> None:
    texts = ["a", "ab", "b", ""]
    sealed = {
        seal_with_nonce(PAN, token, scope, DataKey(data_key_id, KEY.plaintext), NONCE)
        for token, scope, data_key_id in itertools.product(texts, repeat=3)
    }
    assert len(sealed) == len(texts) ** 3
