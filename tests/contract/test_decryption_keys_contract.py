"""What the store of private keys promises: in memory and on moto."""

from __future__ import annotations

import base64
import json
import os
from collections.abc import Iterator
from typing import Any, Protocol

import boto3
import pytest
from moto import mock_aws

from pipeline.aws.decryption_keys import AwsDecryptionKeys, wrapped_private_key
from pipeline.errors import PermanentError, TransientError
from pipeline.model import PrivateKey
from pipeline.ports import DecryptionKeys, NoDecryptionKeys
from pipeline.testing import MemoryDecryptionKeys

KEY = "-----BEGIN PGP PRIVATE KEY BLOCK-----\nsecret material\n"
REGION = "us-east-1"


class Store(Protocol):
    """Keys, and a way to put one there."""

    keys: DecryptionKeys

    def put(self, name: str, material: str, passphrase: str | None = None) -> str: ...


class InMemory:
    def __init__(self) -> None:
        self.keys = MemoryDecryptionKeys()

    def put(self, name: str, material: str, passphrase: str | None = None) -> str:
        uri = f"secretsmanager:{name}"
        self.keys.keys[uri] = PrivateKey(material.encode(), passphrase)
        return uri


class Aws:
    def __init__(self) -> None:
        self.secrets = boto3.client("secretsmanager", region_name=REGION)
        self.s3 = boto3.client("s3", region_name=REGION)
        self.kms = boto3.client("kms", region_name=REGION)
        self.key_arn = self.kms.create_key()["KeyMetadata"]["Arn"]
        self.s3.create_bucket(Bucket="keys")
        self.made = 0
        self.keys = AwsDecryptionKeys(self._client, self.s3, self.kms)

    def _client(self) -> Any:
        self.made += 1
        return self.secrets


class InSecretsManager(Aws):
    def put(self, name: str, material: str, passphrase: str | None = None) -> str:
        text = material
        if passphrase is not None:
            text = json.dumps({"private_key": material, "passphrase": passphrase})
        self.secrets.create_secret(Name=name, SecretString=text)
        return f"secretsmanager:{name}"


class InBucket(Aws):
    def put(self, name: str, material: str, passphrase: str | None = None) -> str:
        text = material
        if passphrase is not None:
            text = json.dumps({"private_key": material, "passphrase": passphrase})
        body = wrapped_private_key(text.encode(), self.kms, self.key_arn, os.urandom)
        assert material.encode() not in body
        self.s3.put_object(Bucket="keys", Key=name, Body=body)
        return f"s3+kms:s3://keys/{name}"


@pytest.fixture(params=[InMemory, InSecretsManager, InBucket])
def store(request: pytest.FixtureRequest) -> Iterator[Store]:
    with mock_aws():
        yield request.param()


@pytest.fixture
def bucket() -> Iterator[InBucket]:
    with mock_aws():
        yield InBucket()


@pytest.fixture
def secrets() -> Iterator[InSecretsManager]:
    with mock_aws():
        yield InSecretsManager()


def test_a_key_is_what_was_put_there(store: Store) -> None:
    assert store.keys.get(store.put("drops/a", KEY)) == PrivateKey(KEY.encode())


def test_a_key_may_come_with_its_passphrase(store: Store) -> None:
    uri = store.put("drops/b", KEY, "open sesame")
    assert store.keys.get(uri) == PrivateKey(KEY.encode(), "open sesame")


def test_a_key_that_is_not_there_is_missing(store: Store) -> None:
    uri = store.put("drops/a", KEY)
    with pytest.raises(PermanentError, match="decryption_key_missing"):
        store.keys.get(uri + "x")


def test_no_other_place_is_asked(store: Store) -> None:
    for uri in ("file:/etc/key", "s3://keys/a", ""):
        with pytest.raises(PermanentError, match="decryption_key_missing"):
            store.keys.get(uri)
    with pytest.raises(PermanentError, match="decryption_key_missing"):
        NoDecryptionKeys().get("secretsmanager:a")


def test_a_binary_secret_is_a_key_too(secrets: InSecretsManager) -> None:
    secrets.secrets.create_secret(Name="binary", SecretBinary=b"\xc5\x58\x04")
    assert secrets.keys.get("secretsmanager:binary") == PrivateKey(b"\xc5\x58\x04")


def test_a_worker_that_decrypts_nothing_makes_no_client_for_secrets(
    secrets: InSecretsManager,
) -> None:
    assert secrets.made == 0
    secrets.keys.get(secrets.put("a", KEY))
    assert secrets.made == 1


@pytest.mark.parametrize(
    "text", ["{", "{}", '{"private_key": 1}', '{"private_key": "a", "passphrase": 1}']
)
def test_a_secret_of_another_shape_is_unusable_and_not_repeated(
    secrets: InSecretsManager, text: str
) -> None:
    secrets.secrets.create_secret(Name="odd", SecretString=text)
    with pytest.raises(PermanentError, match="decryption_key_unusable") as error:
        secrets.keys.get("secretsmanager:odd")
    assert error.value.detail == "secretsmanager:odd does not hold a private key"


def test_an_object_that_was_changed_is_unusable(bucket: InBucket) -> None:
    uri = bucket.put("a", KEY)
    body = json.loads(bucket.s3.get_object(Bucket="keys", Key="a")["Body"].read())
    for name in ("wrapped_key", "nonce", "ciphertext"):
        changed = dict(body) | {name: ("A" if body[name][0] != "A" else "B") + body[name][1:]}
        bucket.s3.put_object(Bucket="keys", Key="a", Body=json.dumps(changed).encode())
        with pytest.raises((PermanentError, TransientError)) as error:
            bucket.keys.get(uri)
        assert KEY[:10] not in f"{error.value!r}"
    for content in (b"", b"no JSON", b"[]", b'{"key_arn": "x"}'):
        bucket.s3.put_object(Bucket="keys", Key="a", Body=content)
        with pytest.raises(PermanentError, match="decryption_key_unusable"):
            bucket.keys.get(uri)


def test_a_key_that_was_wrapped_for_another_purpose_does_not_open(bucket: InBucket) -> None:
    uri = bucket.put("a", KEY)
    body = json.loads(bucket.s3.get_object(Bucket="keys", Key="a")["Body"].read())
    other = bucket.kms.generate_data_key(
        KeyId=bucket.key_arn, NumberOfBytes=32, EncryptionContext={"purpose": "vault"}
    )["CiphertextBlob"]
    body["wrapped_key"] = base64.b64encode(other).decode()
    bucket.s3.put_object(Bucket="keys", Key="a", Body=json.dumps(body).encode())
    with pytest.raises(PermanentError, match="decryption_key_unusable"):
        bucket.keys.get(uri)
