"""From tokens back to PANs: in order, one unwrap for each data key, and no PAN in any error."""

from __future__ import annotations

import dataclasses
import os
import traceback
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import pytest

from pipeline.core.envelope import mint_tokens, seal
from pipeline.detokenize import detokenize
from pipeline.errors import PermanentError
from pipeline.model import DataKey, SealedPan, WrappedDataKey
from pipeline.testing import InTurn, MemoryWorld
from tests.vaults import PlainVault

PANS = [b"4111111111111111", b"5555555555554444", b"378282246310005", b"6011000990139424"]


@dataclass
class Desk:
    """A vault with PANs under two data keys, and who asks for them."""

    world: MemoryWorld
    tokens: list[str]
    unwrapped: list[str]

    def get(self, tokens: Sequence[str]) -> Mapping[str, SealedPan]:
        return {each: self.world.vault.rows[each] for each in tokens if each in self.tokens}

    def unwrap(self, record: WrappedDataKey) -> DataKey:
        self.unwrapped.append(record.data_key_id)
        return self.world.keys.unwrap(record)

    def open(self, tokens: Sequence[str]) -> list[bytes]:
        return list(detokenize(tokens, self, self.world.data_keys, self).digits)

    def change(self, token: str, **changes: object) -> None:
        row = self.world.vault.rows[token]
        self.world.vault.rows[token] = dataclasses.replace(row, **changes)


@pytest.fixture
def desk() -> Desk:
    world, tokens = MemoryWorld(os.urandom), []
    for number in (1, 2):
        name = f"dk_{number}"
        context = {"purpose": "vault", "data_key_id": name, "job_id": "job"}
        data_key, record = world.keys.generate_data_key(name, context, "now")
        world.data_keys.insert_if_absent(record)
        pans = PANS[number - 1 :: 2]
        minted = mint_tokens(len(pans), os.urandom)
        ciphertexts = seal(pans, minted, "default", data_key, os.urandom)
        PlainVault(world.vault, InTurn()).insert_if_absent(
            [
                SealedPan(token, ciphertext, name, "now", {"scope": "default"})
                for token, ciphertext in zip(minted, ciphertexts, strict=True)
            ]
        )
        tokens += minted
    return Desk(world, tokens, [])


def test_pans_come_in_the_order_of_their_tokens_also_when_one_is_asked_for_twice(
    desk: Desk,
) -> None:
    wanted = [desk.tokens[at] for at in (3, 0, 2, 1, 0)]
    assert desk.open(wanted) == [PANS[at] for at in (3, 0, 1, 2, 0)]


def test_each_data_key_is_unwrapped_once(desk: Desk) -> None:
    desk.open([*desk.tokens, *desk.tokens])
    assert sorted(desk.unwrapped) == ["dk_1", "dk_2"]


def test_no_token_opens_nothing(desk: Desk) -> None:
    assert desk.open([]) == []
    assert desk.unwrapped == []


def test_what_is_no_token_is_named_by_its_place_since_it_may_be_a_pan(desk: Desk) -> None:
    with pytest.raises(PermanentError) as raised:
        desk.open([desk.tokens[0], PANS[0].decode()])
    assert (raised.value.code, raised.value.detail) == ("unknown_token", "number 2 of 2")
    shown = "".join(traceback.format_exception(raised.value)) + repr(raised.value)
    assert PANS[0].decode() not in shown


def test_a_row_whose_data_key_is_gone_or_changed_does_not_open(desk: Desk) -> None:
    record = desk.world.data_keys.records.pop("dk_1")
    with pytest.raises(PermanentError, match="data_key_missing"):
        desk.open(desk.tokens)
    desk.world.data_keys.records["dk_1"] = dataclasses.replace(
        record, encryption_context={**record.encryption_context, "job_id": "other"}
    )
    with pytest.raises(PermanentError, match="data_key_broken"):
        desk.open(desk.tokens)


def test_a_row_that_was_swapped_moved_or_changed_does_not_open(desk: Desk) -> None:
    token, other = desk.tokens[0], desk.world.vault.rows[desk.tokens[1]]
    row = desk.world.vault.rows[token]
    for changes in (
        {"ciphertext": other.ciphertext},
        {"metadata": {"scope": "other"}},
        {"data_key_id": "dk_2"},
        {"ciphertext": row.ciphertext[:-1]},
        {"ciphertext": b""},
    ):
        desk.world.vault.rows[token] = row
        desk.change(token, **changes)
        with pytest.raises(PermanentError, match="seal_broken"):
            desk.open([token])


def test_the_pans_that_come_out_show_in_no_repr(desk: Desk) -> None:
    pans = detokenize(desk.tokens, desk, desk.world.data_keys, desk)
    assert len(pans) == 4
    assert not any(pan.decode() in repr(pans) for pan in PANS)
