"""What each stage of the line costs, per row of a card-present file."""

from __future__ import annotations

import io
import os
import statistics
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pyarrow as pa
from botocore.credentials import ReadOnlyCredentials

from pipeline.aws.dynamodb_vault import DynamoDBVault
from pipeline.aws.signing import Signer, Target
from pipeline.core.envelope import mint_tokens, seal
from pipeline.core.fingerprints import Fingerprinter
from pipeline.core.gather import gather
from pipeline.core.known_pans import KnownPans
from pipeline.core.layout_documents import parse_layout
from pipeline.core.output import digits_of, find_in_text, guard_columns, output_schema, scrubbed
from pipeline.core.pans import scheme_of
from pipeline.core.parts import PartWriter
from pipeline.core.rows import check_rows
from pipeline.model import DataKey, SealedPans
from pipeline.readers.delimited import read_delimited
from pipeline.samples.settlement import write_settlement_csv
from pipeline.testing import A_MOMENT

LAYOUT = Path(__file__).resolve().parents[1] / "pipeline/layouts_builtin/card-present.toml"
ROUNDS = 5
CALLS: Any = None  # nothing is sent
TARGET = Target("dynamodb", "us-east-1", "127.0.0.1", "/", (("x-amz-target", "x"),))


def stage_costs(rows: int, cards: int) -> dict[str, float]:
    """CPU nanoseconds per row by stage, medians of five rounds."""
    stream = io.BytesIO()
    write_settlement_csv(stream, rows, cards, seed=5)
    rounds = [_one_round(stream.getvalue(), rows) for _ in range(ROUNDS)]
    return {stage: statistics.median(each[stage] for each in rounds) for stage in rounds[0]}


def _one_round(body: bytes, rows: int) -> dict[str, float]:
    layout = parse_layout(LAYOUT.read_bytes())
    costs: dict[str, float] = {}

    def timed(stage: str, work: Callable[..., Any], *arguments: Any) -> Any:
        started = time.process_time()
        result = work(*arguments)
        costs[stage] = costs.get(stage, 0.0) + (time.process_time() - started) * 1e9 / rows
        return result

    fingerprinter = Fingerprinter(os.urandom(32), 1)
    data_key = DataKey("dk_benchmark", os.urandom(32))
    sink = io.BytesIO()
    writer: PartWriter | None = None
    batches = read_delimited(io.BytesIO(body), layout)
    while (batch := timed("read", next, batches, None)) is not None:
        checked = timed("normalise and cast", check_rows, batch.columns, layout)
        known = KnownPans(checked.known_pans)
        hits = timed("search text", find_in_text, checked, layout, known)
        found = timed("distinct", partial(gather, one_time=False), checked, digits_of(hits))
        pans = found.digits.cast(pa.binary()).to_pylist()
        timed("fingerprint", fingerprinter.fingerprints, pans, layout.scope)
        tokens = timed("mint", mint_tokens, len(pans), os.urandom)
        sealed = timed("seal", seal, pans, tokens, layout.scope, data_key, os.urandom)
        timed("build requests", _requests, pans, tokens, sealed)
        schema = output_schema(batch.file_columns, layout)
        table = timed("scrub", scrubbed, checked, found, hits, pa.array(tokens), schema)
        timed("guard", guard_columns, table, layout, known)
        writer = writer or PartWriter(sink, table)
        timed("Parquet", writer.write, table)
    if writer is not None:
        timed("Parquet", writer.finish)
    return costs


def _requests(pans: list[bytes], tokens: list[str], ciphertexts: list[bytes]) -> int:
    sealed = SealedPans(
        tokens=tokens,
        ciphertexts=ciphertexts,
        last4s=[pan[-4:].decode() for pan in pans],
        schemes=list(map(scheme_of, pans)),
        customer_ids=[None] * len(pans),
        data_key_id="dk_benchmark",
        created_at="2026-11-23T12:00:00.000Z",
        scope="default",
        job_id="job_x",
    )
    statements = DynamoDBVault(CALLS, "vault").statements(sealed)
    bodies = [b",".join(statements[at : at + 25]) for at in range(0, len(statements), 25)]
    signer = Signer(TARGET, lambda: ReadOnlyCredentials("bench", "bench", None), lambda: A_MOMENT)
    return sum(len(signer.headers(body)) for body in bodies)
