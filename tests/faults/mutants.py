"""Bugs, planted on purpose: the sweep must find each of them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from itertools import count
from typing import Any
from unittest import mock

from pipeline.aws.dynamodb_ledger import DynamoDBLedger
from pipeline.chunking import ChunkChain
from pipeline.core import envelope
from pipeline.errors import PermanentError
from pipeline.job import _Attempt
from pipeline.minting import Mint
from pipeline.model import Decision, SealedPans
from pipeline.readers import redaction
from pipeline.staging import RejectsFile
from tests.faults.schedules import single_faults


@contextmanager
def claim_before_vault_insert() -> Iterator[None]:
    """The fingerprint is claimed first, its vault row comes later."""

    async def claim_first(
        mint: Any, places: Any, sealed: SealedPans, fingerprints: Sequence[bytes]
    ) -> Any:
        winners = await mint._claim(fingerprints, sealed.tokens)
        await mint._store(places, sealed)
        return places, winners

    with mock.patch.object(Mint, "_store_and_claim", claim_first):
        yield


@contextmanager
def numeric_add_for_completion() -> Iterator[None]:
    """Rows that are done are added up in a number, which a lost reply adds to twice."""
    record, put_together = DynamoDBLedger.record_chunk, ChunkChain.put_together

    def add_up(
        ledger: DynamoDBLedger, job_id: str, name: str, document: Mapping[str, Any]
    ) -> Mapping[str, Any]:
        rows = document.get("tally", {}).get("rows_read", 0)
        added = {":rows": {"N": str(rows)}}
        ledger._items.update(
            f"{job_id}/rows", "ADD #rows_read :rows", added, "attribute_not_exists(#uri)"
        )
        return record(ledger, job_id, name, document)

    def counted(chain: ChunkChain, recorded: Sequence[Any], *rest: Any) -> Any:
        whole = put_together(chain, recorded, *rest)
        if whole is not None:
            item = chain._ledger._items.get(f"{chain.job_id}/rows")  # type: ignore[attr-defined]
            whole.tally.rows_read = int(item["rows_read"]["N"])
        return whole

    with (
        mock.patch.object(DynamoDBLedger, "record_chunk", add_up),
        mock.patch.object(ChunkChain, "put_together", counted),
    ):
        yield


@contextmanager
def receipt_before_parts() -> Iterator[None]:
    """The receipt is written first, its parts are published later."""

    def carried_out(attempt: Any, decision: Decision, *, is_committed: bool) -> Mapping[str, Any]:
        if not is_committed:
            attempt._ports.tokenized.put_receipt(decision.receipt)
            for staged_uri, uri in decision.parts:
                attempt._ports.tokenized.publish(staged_uri, uri)
            attempt._ports.quarantine.mark_tokenized(
                attempt._upload.key, attempt._upload.version_id
            )
            attempt._ports.ledger.commit(attempt._job_id)
        return decision.receipt

    with mock.patch.object(_Attempt, "_carried_out", carried_out):
        yield


@contextmanager
def rejects_that_get_lost() -> Iterator[None]:
    """Every third line of a rejects file is not written."""
    write, lines = RejectsFile.write, count()

    def write_most(rejects: RejectsFile, line: bytes) -> None:
        if next(lines) % 3 < 2:
            write(rejects, line)

    with mock.patch.object(RejectsFile, "write", write_most):
        yield


@contextmanager
def duplicates_all_refused() -> Iterator[None]:
    """Content that may come once is refused whenever it comes."""

    def refuse(attempt: Any, _whole: Any, _name: str, layout: Any) -> None:
        if layout.options.duplicates == "refuse":
            raise PermanentError("duplicate_content", "the same content as another")

    with mock.patch.object(_Attempt, "_claim_content", refuse):
        yield


def sensitive_data_kept() -> AbstractContextManager[Any]:
    """No column is taken for one of sensitive authentication data."""
    return mock.patch.object(redaction, "is_sensitive_name", return_value=False)


def seals_that_bind_nothing() -> AbstractContextManager[Any]:
    """A sealed PAN opens in any row."""
    return mock.patch.object(envelope, "_binder", return_value=lambda _token: b"")


# Bugs that need no fault, each with a scenario in which an invariant must show it.
FLAWS = {
    "rejects that get lost": (rejects_that_get_lost, "a file"),
    "duplicates all refused": (duplicates_all_refused, "a file and two that may come once"),
    "sensitive data kept": (sensitive_data_kept, "a file"),
    "seals that bind nothing": (seals_that_bind_nothing, "a file"),
}

# Each with the scenario and the kind of fault in which it shows itself.
MUTANTS = {
    "claim before vault insert": (claim_before_vault_insert, "a file", "killed after"),
    "numeric ADD for completion": (
        numeric_add_for_completion,
        "a file in chunks",
        "reply lost once",
    ),
    "receipt before parts": (receipt_before_parts, "a file", "killed after"),
}


def caught_after(mutant: str) -> int | None:
    """How many schedules it takes to see that the bug is there; None if none of them shows it."""
    plant, scenario, kind = MUTANTS[mutant]
    schedules = single_faults(scenario, [kind])
    with plant():
        for count, schedule in enumerate(schedules, start=1):
            if schedule.run():
                return count
    return None
