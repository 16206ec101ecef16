"""The API in process: its real handlers before a vault in memory."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from types import SimpleNamespace
from typing import Any

from aws_lambda_powertools.event_handler import APIGatewayRestResolver

from pipeline.access import Door
from pipeline.bulk import Bulk
from pipeline.handlers.api_bulk import add_bulk
from pipeline.handlers.api_edge import answer, resolver
from pipeline.handlers.api_routes import add_opening
from pipeline.handlers.api_tokenizing import add_tokenizing
from pipeline.keys import FingerprintKey
from pipeline.opening import HeldDataKeys, Opening
from pipeline.succession import SuccessiveFingerprints
from pipeline.testing import (
    A_MOMENT,
    InTurn,
    MemoryApprovals,
    MemoryAuditLog,
    MemoryGrants,
    MemoryUsages,
    MemoryVaultReader,
    MemoryWorld,
    api_event,
)
from pipeline.tokenize_api import MintingPorts, Tokenizing
from tests.grants import grant

SOMEONE = "arn:aws:iam::000000000000:user/someone"
CLERK = "arn:aws:sts::000000000000:assumed-role/clerk/monday"
STRANGER = "arn:aws:iam::000000000000:user/stranger"
KMS_REQUEST = "9c1a6a5e-0000-4000-8000-00000000000f"

GRANTS = "\n".join(
    (
        grant(
            "everything",
            [SOMEONE],
            ["tokenize", "detokenize", "describe"],
            ["chargeback", "fraud-review"],
            scopes=["default", "europe"],
            view="full",
            per_day=1500,
        ),
        grant(
            "desk",
            ["arn:aws:iam::000000000000:role/cl*"],
            ["detokenize", "describe"],
            ["chargeback"],
            per_minute=5,
            per_day=8,
        ),
        grant(
            "bulk",
            [SOMEONE],
            ["bulk"],
            ["chargeback"],
            per_minute=10_000,
            per_day=20_000,
            rows_per_job=500,
        ),
    )
)


@dataclass
class Answer:
    status: int
    headers: dict[str, str]
    document: Any
    raw: dict[str, Any] = field(repr=False)


class Api:
    """Both functions as one, their world in memory, their clock in the test's hand."""

    def __init__(self, grants: str = GRANTS) -> None:
        self.now = A_MOMENT
        self.world = MemoryWorld(os.urandom)
        self.grants = MemoryGrants(grants)
        self.usages = MemoryUsages()
        self.audit = MemoryAuditLog()
        self.door = Door(self.grants, self.usages, self.audit, self.clock)
        self.approvals = MemoryApprovals()
        self.app: APIGatewayRestResolver = add_bulk(
            add_opening(add_tokenizing(resolver(), lambda: self.tokenizing), lambda: self.opening),
            lambda: self.bulk,
        )
        keys, records = self.world.keys, self.world.data_keys
        self.held_keys = HeldDataKeys(keys, records, self.clock, lambda: KMS_REQUEST)
        reader = MemoryVaultReader(self.world.vault)
        self.opening = Opening(self.door, reader, self.held_keys)
        self.bulk = Bulk(self.door, self.opening, self.approvals, self.clock, os.urandom)
        ports = MintingPorts(
            InTurn(),
            self.world.vault,
            SuccessiveFingerprints(self.world.fingerprints),
            records,
            keys,
            self.clock,
            os.urandom,
        )
        fingerprint_key = FingerprintKey(keys, records, self.clock)
        self.tokenizing = Tokenizing(self.door, ports, fingerprint_key.fingerprinter)

    def clock(self) -> datetime:
        return self.now

    def wait(self, **time: float) -> None:
        self.now += timedelta(**time)

    def send(self, event: dict[str, Any]) -> Answer:
        raw = answer(self.app, event, SimpleNamespace())
        headers = {name: ", ".join(values) for name, values in raw["multiValueHeaders"].items()}
        return Answer(raw["statusCode"], headers, json.loads(raw["body"]), raw)

    def call(
        self, method: str, path: str, document: Any = None, *, by: str | None = SOMEONE
    ) -> Answer:
        body = None if document is None else json.dumps(document)
        return self.send(api_event(method, path, body, user_arn=by))

    def tokenize(self, *pans: str, by: str = SOMEONE, **more: Any) -> Answer:
        items = [{"pan": pan} for pan in pans]
        return self.call("POST", "/tokenize", {"items": items, **more}, by=by)

    def tokens_of(self, *pans: str) -> list[str]:
        results = self.tokenize(*pans).document["results"]
        self.audit.lines.clear()
        return [result["token"] for result in results]

    def detokenize(
        self, tokens: Sequence[str], *, purpose: str = "chargeback", by: str = SOMEONE, **more: Any
    ) -> Answer:
        document = {"tokens": list(tokens), "purpose": purpose, **more}
        return self.call("POST", "/detokenize", document, by=by)
