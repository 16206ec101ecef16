"""The fingerprint key is replaced, scopes are closed: callers and files are told the same."""

from __future__ import annotations

import io
import json
from dataclasses import replace

import boto3
import pyarrow.parquet as pq
import pytest

from pipeline.aws.session import CountedSession
from pipeline.core.keyring import DEFAULT_SHRED_WAIT, GRACE, close_scope
from pipeline.job import Worker, run_job
from pipeline.keys import FingerprintKey
from pipeline.samples.cards import synthetic_pans
from pipeline.settings import ApiSettings, Settings
from pipeline.succession import SuccessiveFingerprints
from pipeline.testing import MemoryLayouts
from pipeline.testing.care import (
    MemoryFingerprintStore,
    MemoryKeyStore,
    MemoryRenewal,
    MemoryVaultStore,
)
from pipeline.tokenize_wiring import tokenizing_of
from pipeline.vault_care import succession
from pipeline.vault_care.passes import Progress
from pipeline.vault_care.reindex import Reindexing
from pipeline.wiring import ports_of
from tests.api import Api

LAYOUT = 'name = "x"\nscope = "default"\n[columns.card]\nrole = "pan"\n'
KEY_ARN = "arn:aws:kms:us-east-1:000000000000:key/memory"
CARDS = synthetic_pans(6, seed=31)


@pytest.fixture
def api() -> Api:
    return Api()


def _tokens_by_file(api: Api, pans: list[str]) -> list[str]:
    """Those that a file gets whose worker has just started."""
    api.world.layouts = MemoryLayouts(LAYOUT)
    ports = replace(api.world.ports(), clock=api.clock)
    key = FingerprintKey(ports.key_service, ports.data_key_records, api.clock)
    upload = api.world.quarantine.put("incoming/x/a.csv", "\n".join(["card", *pans]).encode())
    receipt = run_job(upload, Worker(ports, key.fingerprinter, 1.0), lambda: 900.0)
    assert receipt is not None
    (output,) = receipt["outputs"]
    table = pq.read_table(io.BytesIO(api.world.tokenized.objects[output["uri"]]))
    tokens: list[str] = table["card_token"].to_pylist()
    return tokens


def test_callers_and_files_agree_on_tokens_at_every_step_of_a_succession(api: Api) -> None:
    """In each step new cards come by file and by call, and the other way gives them the same."""
    store, given = MemoryKeyStore(api.world.data_keys), dict[str, str]()

    def both_ways(by_file: str, by_call: str) -> None:
        given[by_file] = _tokens_by_file(api, [by_file])[0]
        given[by_call] = api.tokens_of(by_call)[0]
        assert api.tokens_of(*given) == list(given.values())
        assert _tokens_by_file(api, list(given)) == list(given.values())

    both_ways(*CARDS[:2])
    succession.begin(store, MemoryRenewal(api.world.keys, api.clock), KEY_ARN, api.now)
    both_ways(*CARDS[2:4])
    api.now += 2 * GRACE
    both_ways(*CARDS[4:])
    Reindexing(
        MemoryVaultStore(api.world.vault),
        MemoryFingerprintStore(api.world.fingerprints),
        store,
        api.world.keys,
        api.clock,
        Progress(),
    ).run()
    succession.finish(store, api.now)
    both_ways(CARDS[0], CARDS[1])
    api.now += 2 * GRACE
    both_ways(CARDS[2], CARDS[3])
    assert api.world.data_keys.ring.versions == (2,)
    assert len(set(given.values())) == len(CARDS)


def test_what_is_wired_for_files_and_for_callers_knows_of_successions() -> None:
    session = CountedSession(boto3.session.Session("k", "s", region_name="us-east-1"))
    of_files = Settings(*"abcdefgh", "arn:aws:kms:us-east-1:0:key/v", "s3://bucket/layouts")
    of_callers = ApiSettings(*"abcdef", fingerprints_table="g")
    for ports in (ports_of(of_files, session), tokenizing_of(of_callers, session)._ports):
        assert isinstance(ports.fingerprints, SuccessiveFingerprints)


def test_nothing_is_tokenized_in_a_closed_scope_and_the_caller_is_told(api: Api) -> None:
    (token,) = api.tokens_of(CARDS[0])
    ring = api.world.data_keys.ring
    api.world.data_keys.ring = close_scope(ring, "default", api.now, DEFAULT_SHRED_WAIT)
    api.now += GRACE
    answer = api.tokenize(CARDS[0])
    assert (answer.status, answer.document["code"]) == (403, "scope_closed")
    record = json.loads(api.audit.lines[-1])
    assert "scope_closed" in json.dumps(record)
    assert CARDS[0] not in json.dumps(record)
    assert api.tokenize(CARDS[0], scope="europe").status == 200
    assert api.detokenize([token]).status == 200
