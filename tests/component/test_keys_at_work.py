"""The data key of a chunk and the fingerprint key of a warm worker: made late, kept for a while."""

from __future__ import annotations

import os
from datetime import datetime, timedelta

import pytest

from pipeline.core.envelope import MAX_SEALS_PER_DATA_KEY
from pipeline.core.keyring import begin_succession, close_scope
from pipeline.errors import PermanentError, TransientError
from pipeline.keys import (
    MAX_DATA_KEY_AGE,
    MAX_FINGERPRINT_KEY_AGE,
    ChunkDataKey,
    FingerprintKey,
)
from pipeline.model import DataKey, WrappedDataKey
from pipeline.testing import A_MOMENT, MemoryWorld

SECOND = timedelta(seconds=1)


class Watch:
    def __init__(self) -> None:
        self.now = A_MOMENT

    def __call__(self) -> datetime:
        return self.now


def _chunk_key(world: MemoryWorld, data_key_ids: list[str]) -> ChunkDataKey:
    return ChunkDataKey(
        world.keys,
        world.data_keys,
        Watch(),
        os.urandom,
        job_id="job_x",
        scope="shop",
        data_key_ids=data_key_ids,
    )


def test_a_chunk_makes_its_data_key_when_it_needs_one_and_keeps_to_it() -> None:
    world, data_key_ids = MemoryWorld(os.urandom), list[str]()
    chunk_key = _chunk_key(world, data_key_ids)
    assert world.keys.generated == 0
    first = chunk_key.for_seals(10)
    assert chunk_key.for_seals(1000) is first
    assert world.keys.generated == 1
    assert data_key_ids == [first.data_key_id]


def test_the_wrapped_form_is_stored_before_the_data_key_is_handed_out() -> None:
    world, data_key_ids = MemoryWorld(os.urandom), list[str]()

    def fail(_record: WrappedDataKey) -> None:
        raise TransientError("throttled")

    insert, world.data_keys.insert_if_absent = world.data_keys.insert_if_absent, fail  # type: ignore[method-assign]
    chunk_key = _chunk_key(world, data_key_ids)
    with pytest.raises(TransientError):
        chunk_key.for_seals(1)
    assert data_key_ids == []
    world.data_keys.insert_if_absent = insert  # type: ignore[method-assign]
    data_key = chunk_key.for_seals(1)
    record = world.data_keys.records[data_key.data_key_id]
    assert record.encryption_context == {
        "purpose": "vault",
        "job_id": "job_x",
        "scope": "shop",
        "data_key_id": data_key.data_key_id,
    }
    assert world.keys.unwrap(record) == data_key


def test_a_data_key_seals_as_often_as_its_nonces_allow_and_not_once_more() -> None:
    world, data_key_ids = MemoryWorld(os.urandom), list[str]()
    chunk_key = _chunk_key(world, data_key_ids)
    first = chunk_key.for_seals(MAX_SEALS_PER_DATA_KEY - 1)
    assert chunk_key.for_seals(1) is first
    second = chunk_key.for_seals(1)
    assert second.data_key_id != first.data_key_id
    assert chunk_key.for_seals(MAX_SEALS_PER_DATA_KEY - 1) is second
    assert data_key_ids == [first.data_key_id, second.data_key_id]


def test_a_data_key_that_has_grown_old_seals_no_more() -> None:
    world, watch, data_key_ids = MemoryWorld(os.urandom), Watch(), list[str]()
    chunk_key = ChunkDataKey(
        world.keys,
        world.data_keys,
        watch,
        os.urandom,
        job_id="job_x",
        scope="shop",
        data_key_ids=data_key_ids,
    )
    first = chunk_key.for_seals(1)
    watch.now += MAX_DATA_KEY_AGE
    assert chunk_key.for_seals(1) is first
    watch.now += SECOND
    second = chunk_key.for_seals(1)
    assert data_key_ids == [first.data_key_id, second.data_key_id]
    watch.now += MAX_DATA_KEY_AGE
    assert chunk_key.for_seals(1) is second


class CountingKeys:
    def __init__(self, world: MemoryWorld) -> None:
        self._keys = world.keys
        self.unwrapped = 0

    def unwrap(self, record: WrappedDataKey) -> DataKey:
        self.unwrapped += 1
        return self._keys.unwrap(record)


def test_a_warm_worker_asks_kms_again_once_its_fingerprint_key_is_too_old() -> None:
    world, watch = MemoryWorld(os.urandom), Watch()
    keys = CountingKeys(world)
    fingerprint_key = FingerprintKey(keys, world.data_keys, watch)  # type: ignore[arg-type]
    assert keys.unwrapped == 0
    first = fingerprint_key.fingerprinter()
    watch.now += MAX_FINGERPRINT_KEY_AGE
    assert fingerprint_key.fingerprinter() is first
    watch.now += SECOND
    second = fingerprint_key.fingerprinter()
    assert keys.unwrapped == 2
    assert second.fingerprints([b"4111111111111111"], "x") == first.fingerprints(
        [b"4111111111111111"], "x"
    )
    watch.now += MAX_FINGERPRINT_KEY_AGE
    assert fingerprint_key.fingerprinter() is second


def test_a_fingerprint_key_that_kms_withholds_is_not_used_beyond_its_age() -> None:
    world, watch = MemoryWorld(os.urandom), Watch()
    fingerprint_key = FingerprintKey(world.keys, world.data_keys, watch)
    fingerprint_key.fingerprinter()
    world.data_keys.records.clear()
    watch.now += MAX_FINGERPRINT_KEY_AGE + SECOND
    for _ in range(2):
        with pytest.raises(PermanentError, match="data_key_missing"):
            fingerprint_key.fingerprinter()


def test_a_warm_worker_hears_of_a_closed_scope_and_of_a_new_version_within_the_hour() -> None:
    world, watch = MemoryWorld(os.urandom), Watch()
    keys = CountingKeys(world)
    fingerprint_key = FingerprintKey(keys, world.data_keys, watch)  # type: ignore[arg-type]
    (before,) = fingerprint_key.fingerprinter().fingerprints([b"4111111111111111"], "shop")
    context = {"purpose": "fingerprint", "data_key_id": "fingerprint-2"}
    _, record = world.keys.generate_data_key("fingerprint-2", context, "now")
    world.data_keys.insert_if_absent(record)
    ring = begin_succession(world.data_keys.ring, watch.now)
    world.data_keys.ring = close_scope(ring, "bank", watch.now, timedelta(days=1))
    watch.now += MAX_FINGERPRINT_KEY_AGE
    assert fingerprint_key.fingerprinter().fingerprints([b"4111111111111111"], "bank")
    watch.now += SECOND
    (both,) = fingerprint_key.fingerprinter().fingerprints([b"4111111111111111"], "shop")
    assert (both[:33], both[33], len(both)) == (before, 2, 66)
    assert keys.unwrapped == 3
    with pytest.raises(PermanentError, match="scope_closed"):
        fingerprint_key.fingerprinter().fingerprints([b"4111111111111111"], "bank")
