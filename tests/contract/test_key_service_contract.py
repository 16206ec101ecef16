"""What the key service promises: in memory and on moto, which has real cryptography."""

from __future__ import annotations

import dataclasses
import json
import os
from collections.abc import Iterator
from typing import Any

import boto3
import pytest
from moto import mock_aws

from pipeline.aws.kms_keys import KMSKeys
from pipeline.errors import PermanentError
from pipeline.ports import KeyService
from pipeline.testing import MemoryKeys

CONTEXT = {"purpose": "vault", "data_key_id": "dk_1", "job_id": "job_1", "scope": "default"}


@pytest.fixture(params=["memory", "moto"])
def keys(request: pytest.FixtureRequest) -> Iterator[KeyService]:
    if request.param == "memory":
        yield MemoryKeys(os.urandom)
    else:
        with mock_aws():
            kms = boto3.client("kms")
            yield KMSKeys(kms, kms.create_key()["KeyMetadata"]["Arn"])


def test_a_data_key_comes_with_all_that_is_needed_to_unwrap_it(keys: KeyService) -> None:
    data_key, record = keys.generate_data_key("dk_1", CONTEXT, "now")
    assert (record.data_key_id, record.purpose, record.created_at) == ("dk_1", "vault", "now")
    assert record.encryption_context == CONTEXT
    assert record.key_arn.startswith("arn:aws:kms:")
    assert len(data_key.plaintext) == 32
    assert keys.unwrap(record) == data_key


def test_no_two_data_keys_are_the_same(keys: KeyService) -> None:
    made = [keys.generate_data_key("dk_1", CONTEXT, "now") for _ in range(3)]
    assert len({data_key.plaintext for data_key, _ in made}) == 3
    assert len({record.wrapped_key for _, record in made}) == 3


WRONG_CONTEXTS: list[dict[str, str]] = [
    *({**CONTEXT, name: "other"} for name in CONTEXT),
    *({name: CONTEXT[name] for name in CONTEXT if name != left_out} for left_out in CONTEXT),
    {**CONTEXT, "more": "x"},
    {},
]


@pytest.mark.parametrize("context", WRONG_CONTEXTS, ids=json.dumps)
def test_no_other_context_unwraps(keys: KeyService, context: dict[str, str]) -> None:
    _, record = keys.generate_data_key("dk_1", CONTEXT, "now")
    with pytest.raises(PermanentError, match="data_key_broken: dk_1"):
        keys.unwrap(dataclasses.replace(record, encryption_context=context))


def test_a_wrapped_key_with_any_of_its_last_bytes_changed_does_not_unwrap(keys: KeyService) -> None:
    _, record = keys.generate_data_key("dk_1", CONTEXT, "now")
    for at in range(1, 33):
        changed = bytearray(record.wrapped_key)
        changed[-at] ^= 1
        with pytest.raises(PermanentError, match="data_key_broken"):
            keys.unwrap(dataclasses.replace(record, wrapped_key=bytes(changed)))


def test_the_plaintext_shows_in_no_repr_of_what_is_handed_out(keys: KeyService) -> None:
    data_key, record = keys.generate_data_key("dk_1", CONTEXT, "now")
    shown = repr((data_key, record, [data_key], {"key": data_key}))
    assert "dk_1" in shown
    for form in (repr(data_key.plaintext), data_key.plaintext.hex(), "plaintext"):
        assert form not in shown


def test_kms_is_given_the_context_and_nothing_else_to_show_in_its_trail() -> None:
    requests: list[dict[str, Any]] = []

    def note(request: Any, **_: object) -> None:
        requests.append(json.loads(request.body))

    with mock_aws():
        kms = boto3.client("kms")
        arn = kms.create_key()["KeyMetadata"]["Arn"]
        kms.meta.events.register("before-send.kms", note)
        _, record = KMSKeys(kms, arn).generate_data_key("dk_1", CONTEXT, "now")
        KMSKeys(kms, arn).unwrap(record)
    generate, decrypt = requests
    assert generate == {"KeyId": arn, "KeySpec": "AES_256", "EncryptionContext": CONTEXT}
    assert set(decrypt) == {"KeyId", "CiphertextBlob", "EncryptionContext"}
    assert (decrypt["KeyId"], decrypt["EncryptionContext"]) == (arn, CONTEXT)
