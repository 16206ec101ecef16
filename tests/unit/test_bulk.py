"""Bulk jobs: a slice is proved to belong to its file, and a result opens for its requester alone."""

from __future__ import annotations

import base64

import pytest
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from hypothesis import given
from hypothesis import strategies as st

from pipeline.core.bulk import BulkJob, HashTree, belongs, bulk_job, leaf_of, slices_of
from pipeline.core.result_seal import open_result, seal_result
from pipeline.errors import PermanentError

JOB = BulkJob("bulk_1", "arn", "chargeback", "250", "00" * 32, "key", "now")


def test_a_job_is_its_encryption_context() -> None:
    context = JOB.encryption_context
    assert len(context) == 8
    assert bulk_job(context) == JOB
    assert JOB.slices == 3


@pytest.mark.parametrize(
    "changes", [{"purpose": "vault"}, {"more": "x"}, {"rows": None}, {"job_id": None}]
)
def test_what_is_no_jobs_context_is_refused(changes: dict[str, str | None]) -> None:
    context = {**JOB.encryption_context, **changes}
    context = {name: value for name, value in context.items() if value is not None}
    with pytest.raises(PermanentError, match="not_a_bulk_job"):
        bulk_job(context)


@given(st.integers(1, 40), st.data())
def test_each_slice_is_proved_and_nothing_else_is(count: int, data: st.DataObject) -> None:
    slices = [[f"tok_{number}_{at}" for at in range(2)] for number in range(count)]
    tree = HashTree([leaf_of(each) for each in slices])
    number = data.draw(st.integers(0, count - 1))
    proof = tree.proof(number)

    assert belongs(slices[number], number, count, proof, tree.root)

    assert not belongs([*slices[number], "more"], number, count, proof, tree.root)
    assert not belongs(slices[number][:1], number, count, proof, tree.root)
    assert not belongs(slices[number], number, count, [*proof, b"x" * 32], tree.root)
    assert not belongs(slices[number], number, count, proof, b"x" * 32)
    assert not belongs(slices[number], count, count, proof, tree.root)
    assert not belongs(slices[number], -1, count, proof, tree.root)
    if count > 1:
        other = (number + 1) % count
        assert not belongs(slices[number], other, count, proof, tree.root)
        assert not belongs(slices[number], number, count, proof[:-1], tree.root)
        assert not belongs(slices[number], number, count, tree.proof(other), tree.root)


@given(st.integers(1, 450))
def test_slices_are_hundreds_in_order(count: int) -> None:
    tokens = [str(number) for number in range(count)]
    found = list(slices_of(tokens))
    assert [token for each in found for token in each] == tokens
    assert {len(each) for each in found[:-1]} <= {100}
    assert len(found) == -(-count // 100)


# Results


PRIVATE_KEY = X25519PrivateKey.from_private_bytes(b"k" * 32)
PUBLIC_KEY = base64.b64encode(PRIVATE_KEY.public_key().public_bytes_raw()).decode()


def test_a_result_opens_for_the_requester() -> None:
    sealed = seal_result(b"card numbers", PUBLIC_KEY, "bulk_1", 7)
    assert b"card" not in sealed
    assert sealed != seal_result(b"card numbers", PUBLIC_KEY, "bulk_1", 7)
    assert open_result(sealed, PRIVATE_KEY, "bulk_1", 7) == b"card numbers"


def test_a_result_opens_for_nobody_else_and_in_no_other_place() -> None:
    sealed = seal_result(b"card numbers", PUBLIC_KEY, "bulk_1", 7)
    stranger = X25519PrivateKey.generate()
    for arguments in (
        (sealed, stranger, "bulk_1", 7),
        (sealed, PRIVATE_KEY, "bulk_2", 7),
        (sealed, PRIVATE_KEY, "bulk_1", 8),
        (sealed[:-1] + bytes([sealed[-1] ^ 1]), PRIVATE_KEY, "bulk_1", 7),
        (sealed[:20], PRIVATE_KEY, "bulk_1", 7),
        (b"", PRIVATE_KEY, "bulk_1", 7),
    ):
        with pytest.raises(PermanentError, match="result_broken"):
            open_result(*arguments)


@pytest.mark.parametrize(
    "key", ["", "x", "AAAA", PUBLIC_KEY[:-4], base64.b64encode(bytes(32)).decode()]
)
def test_a_key_that_nothing_can_be_sealed_to_is_refused(key: str) -> None:
    with pytest.raises(PermanentError, match="invalid_public_key"):
        seal_result(b"x", key, "bulk_1", 0)
