"""What must hold after any fault, held against everything that there is in the cloud."""

from __future__ import annotations

import gzip
import hashlib
import io
import json
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from itertools import pairwise
from typing import Any

import pyarrow.parquet as pq

from pipeline.aws.dynamodb_vault import DynamoDBDataKeys
from pipeline.aws.kms_keys import KMSKeys
from pipeline.core.decoding import views
from pipeline.core.leaks import LeakScanner
from pipeline.detokenize import detokenize
from pipeline.errors import PantokError
from pipeline.model import SealedPan, Upload
from tests.faults.cloud import QUARANTINE, TABLES, TOKENIZED, Cloud

SENSITIVE = "cvv-7319"  # in a column that says what it is; nobody may keep it
SWAPPED_ROWS = 3


@dataclass(frozen=True)
class Expected:
    """What is to become of one upload."""

    upload: Upload
    pans: Sequence[str]  # of the rows that go through, in order
    pans_distinct: int  # of all rows that are not rejected for their PANs
    rows_read: int
    reason: str | None = None  # why it fails; None if it is committed
    is_exclusive: bool = False  # of those with the same content, one gets through
    may_be_missing: bool = False  # because it was deleted meanwhile
    repairs: str | None = None  # the job whose rejected rows these are; one upload gets through

    @property
    def reasons(self) -> set[str | None]:
        """Why it may fail."""
        reasons = {self.reason}
        if self.is_exclusive:
            reasons.add("duplicate_content")
        if self.may_be_missing:
            reasons.add("source_missing")
        if self.repairs:
            reasons.add("already_repaired")
        return reasons


@dataclass
class View:
    """Everything that is to be seen, read once."""

    cloud: Cloud
    objects: Mapping[str, bytes] = field(init=False)
    items: Mapping[str, list[dict[str, Any]]] = field(init=False)

    def __post_init__(self) -> None:
        self.objects = self.cloud.objects(TOKENIZED)
        self.items = {table: self.cloud.items(table) for table in TABLES}

    @property
    def receipts(self) -> Iterator[Mapping[str, Any]]:
        for key, body in self.objects.items():
            if key.startswith("receipts/"):
                yield json.loads(body)

    @property
    def vault(self) -> dict[str, SealedPan]:
        return {
            item["token"]["S"]: SealedPan(
                token=item["token"]["S"],
                ciphertext=item["ciphertext"]["B"],
                data_key_id=item["data_key_id"]["S"],
                created_at=item["created_at"]["S"],
                metadata={name: value["S"] for name, value in item["metadata"]["M"].items()},
            )
            for item in self.items["vault"]
        }

    @property
    def claims(self) -> dict[bytes, str]:
        return {
            bytes(item["fingerprint"]["B"]): item["token"]["S"]
            for item in self.items["fingerprints"]
        }

    @property
    def data_key_ids(self) -> set[str]:
        return {item["data_key_id"]["S"] for item in self.items["data-keys"]}

    def rejects(self, uri: str) -> bytes | None:
        """A rejects file; they are the only ones in quarantine that the worker makes to stay."""
        return self.cloud.object(QUARANTINE, uri.removeprefix(f"s3://{QUARANTINE}/"))

    def tokens_of(self, output: Mapping[str, Any]) -> list[str]:
        body = self.objects[_key(output["uri"])]
        tokens: list[str] = pq.read_table(io.BytesIO(body))["card_token"].to_pylist()
        return tokens


def _key(uri: str) -> str:
    return uri.removeprefix(f"s3://{TOKENIZED}/")


def at_any_time(view: View) -> Iterator[str]:
    """Violations that not even a crash excuses."""
    vault, data_key_ids = view.vault, view.data_key_ids
    if len(set(view.claims.values())) < len(view.claims):
        yield "a token stands for two PANs"
    for token in view.claims.values():
        if token not in vault:
            yield "a claim without its vault row"
    for row in vault.values():
        if row.data_key_id not in data_key_ids:
            yield "a vault row without its data key"
    for receipt in view.receipts:
        yield from _of_receipt(receipt, view, vault)


def _of_receipt(
    receipt: Mapping[str, Any], view: View, vault: Mapping[str, SealedPan]
) -> Iterator[str]:
    if receipt["rows_read"] != receipt["rows_written"] + receipt["rows_rejected"]:
        yield "a receipt that does not add up"
    if receipt["rows_written"] != sum(output["rows"] for output in receipt["outputs"]):
        yield "a receipt whose parts do not add up"
    if receipt["status"] == "committed" and _rejected(receipt, view) != receipt["rejected_rows"]:
        yield "rejects that are not the receipt's"
    for output in receipt["outputs"]:
        body = view.objects.get(_key(output["uri"]))
        if body is None:
            yield "a receipt without its parts"
        elif hashlib.sha256(body).hexdigest() != output["sha256"]:
            yield "a part that is not the receipt's"
        else:
            tokens = view.tokens_of(output)
            if len(tokens) != output["rows"]:
                yield "a part of another length"
            if not set(tokens) <= vault.keys():
                yield "a token in an output without its vault row"


def _rejected(receipt: Mapping[str, Any], view: View) -> Mapping[str, Sequence[int]] | None:
    """The numbers of the rejected rows by reason, as the rejects files have them."""
    numbers: dict[str, list[int]] = defaultdict(list)
    for uri in receipt["rejects_uris"]:
        body = view.rejects(uri)
        if body is None:
            return None
        for line in gzip.decompress(body).splitlines():
            row = json.loads(line)
            if "row" in row:
                numbers[row["reason"]].append(row["row"])
    return numbers


def once_it_is_quiet(
    view: View, expected: Sequence[Expected], dead_letters: Sequence[str]
) -> Iterator[str]:
    """Violations once every message is worked off."""
    yield from at_any_time(view)
    receipts = {receipt["job_id"]: receipt for receipt in view.receipts}
    letters = [json.loads(body) for body in dead_letters]
    if any("reason" not in letter for letter in letters):
        yield "a dead letter without a reason"
    buried = {letter.get("job_id"): letter for letter in letters}
    published: set[str] = set()
    for each in expected:
        receipt = receipts.get(each.upload.job_id)
        if receipt is None:
            yield "a file without a receipt"
            continue
        if receipt["status"] == "committed":
            if each.reason is not None:
                yield "a file that should have failed"
            yield from _of_file(each, receipt)
            published |= {_key(output["uri"]) for output in receipt["outputs"]}
        else:
            if receipt["reason"] not in each.reasons:
                yield f"a file that failed: {receipt['reason']}"
            if each.upload.job_id not in buried:
                yield "a failed file without a dead letter"
    yield from _of_duplicates(expected, receipts)
    yield from _of_repairs(expected, receipts)
    visible = {key for key in view.objects if key.startswith("data/")}
    if visible != published:
        yield "a part that no receipt names"
    yield from _of_tokens(view, expected, receipts)
    yield from _of_seals(view)


def _of_file(each: Expected, receipt: Mapping[str, Any]) -> Iterator[str]:
    if receipt["rows_read"] != each.rows_read:
        yield "rows lost or doubled"
    if receipt["rows_written"] != len(each.pans):
        yield "rows lost or doubled between reading and writing"
    if receipt["pans_distinct"] != each.pans_distinct:
        yield "PANs lost or doubled"


def _of_duplicates(
    expected: Sequence[Expected], receipts: Mapping[str, Mapping[str, Any]]
) -> Iterator[str]:
    """Of the files that may come once, one of each content gets through."""
    contents: dict[Sequence[str], list[Expected]] = defaultdict(list)
    for each in expected:
        if each.is_exclusive:
            contents[tuple(each.pans)].append(each)
    for same in contents.values():
        found = [receipts.get(each.upload.job_id, {}) for each in same]
        through = sum(receipt.get("status") == "committed" for receipt in found)
        if through > 1 or (through == 0 and not any(each.may_be_missing for each in same)):
            yield f"{through} of {len(same)} duplicates got through"


def _of_repairs(
    expected: Sequence[Expected], receipts: Mapping[str, Mapping[str, Any]]
) -> Iterator[str]:
    """A job's rejected rows are repaired once, and both add up."""
    for job_id in {each.repairs for each in expected if each.repairs}:
        tried = [receipts.get(each.upload.job_id) for each in expected if each.repairs == job_id]
        through = [each for each in tried if each and each["status"] == "committed"]
        if not through and any(each.may_be_missing for each in expected):
            continue
        if len(through) != 1:
            yield f"{len(through)} repairs went through"
        elif through[0]["rows_read"] != receipts[job_id]["rows_rejected"]:
            yield "a job and its repair that do not add up"


def _of_tokens(
    view: View, expected: Sequence[Expected], receipts: Mapping[str, Mapping[str, Any]]
) -> Iterator[str]:
    """Every token of every output opens to the PAN of its row, and a PAN has one token."""
    vault = view.vault
    tokens_of: dict[str, set[str]] = defaultdict(set)
    for each in expected:
        receipt = receipts.get(each.upload.job_id, {"outputs": []})
        staged = [token for output in receipt["outputs"] for token in view.tokens_of(output)]
        tokens = [token for token in staged if token in vault]
        opened = _opened(view.cloud, vault, tokens)
        if opened != list(each.pans)[: len(opened)]:
            yield "a token that opens to another PAN"
        for pan, token in zip(opened, tokens, strict=True):
            tokens_of[pan].add(token)
    if any(len(tokens) > 1 for tokens in tokens_of.values()):
        yield "a PAN with two tokens"
    if not {token for tokens in tokens_of.values() for token in tokens} <= set(
        view.claims.values()
    ):
        yield "a token in an output that nobody has claimed"


def _of_seals(view: View) -> Iterator[str]:
    """A sealed PAN opens under its own token, scope and data key only."""
    rows = sorted(view.vault.values(), key=lambda row: row.token)[:SWAPPED_ROWS]
    for one, other in pairwise(rows):
        scope = dict(one.metadata) | {"scope": "another"}
        forged = [
            replace(one, ciphertext=other.ciphertext, data_key_id=other.data_key_id),
            replace(one, metadata=scope),
        ]
        for row in forged:
            with suppress(PantokError):
                _opened(view.cloud, {row.token: row}, [row.token])
                yield "a sealed PAN opens where it does not belong"


def _opened(cloud: Cloud, vault: Mapping[str, SealedPan], tokens: Sequence[str]) -> list[str]:
    records = DynamoDBDataKeys(cloud.client("dynamodb"), "data-keys")
    keys = KMSKeys(cloud.client("kms"), cloud.settings.vault_key_arn)
    pans = detokenize(tokens, _Rows(vault), records, keys)
    return [pan.decode() for pan in pans.digits]


@dataclass(frozen=True)
class _Rows:
    rows: Mapping[str, SealedPan]

    def get(self, tokens: Sequence[str]) -> Mapping[str, SealedPan]:
        return {token: self.rows[token] for token in tokens}


def leaks(view: View, pans: Sequence[str], said: str, dead_letters: Sequence[str]) -> Iterator[str]:
    """PANs anywhere outside quarantine and, sealed, the vault."""
    scanner = LeakScanner([pan.encode() for pan in pans], card_like=False)
    surfaces: dict[str, bytes] = {f"the object {key}": body for key, body in view.objects.items()}
    surfaces["object keys"] = "\n".join(view.objects).encode()
    for table, items in view.items.items():
        surfaces[f"the table {table}"] = json.dumps(items, default=_latin).encode()
    surfaces["the log"] = said.encode()
    surfaces["the dead letters"] = "\n".join(dead_letters).encode()
    for name, body in surfaces.items():
        if scanner.leaks_in(body):
            yield f"a PAN in {name}"
    surfaces |= {
        f"the rejects {key}": body
        for key, body in view.cloud.objects(QUARANTINE, "rejects/").items()
    }
    for name, body in surfaces.items():
        if any(SENSITIVE.encode() in content for _, _, content in views(body)):
            yield f"sensitive authentication data in {name}"


def _latin(value: Any) -> str:
    return bytes(value).decode("latin-1")
