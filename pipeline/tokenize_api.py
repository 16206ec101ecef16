"""PANs to tokens for callers: each item by itself, through the same steps as the rows of a file."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import cast

import pyarrow as pa

from pipeline.access import Door, RefusedError, Request
from pipeline.core.audit import AuditedItem
from pipeline.core.columns import Column
from pipeline.core.envelope import Entropy
from pipeline.core.fingerprints import Fingerprinter, ScopeClosedError
from pipeline.core.gather import GatheredPans, gather
from pipeline.core.layouts import Layout, Options
from pipeline.core.pans import LAST4_DIGITS, passes_luhn, scheme_of
from pipeline.core.receipts import Tally
from pipeline.core.rows import CheckedRows, check_rows
from pipeline.keys import random_id
from pipeline.minting import Mint, PansToMint
from pipeline.ports import Clock, Crew, DataKeyRecords, Fingerprints, KeyService, Ports, Vault

MAX_MINT_AGE = timedelta(minutes=15)  # so long is one data key used for new PANs of a scope

MAX_WAIT = timedelta(seconds=20)  # for tables that throttle; API Gateway waits 29 s


@dataclass(frozen=True, slots=True)
class MintingPorts:
    """As much of a worker's ports as minting takes."""

    crew: Crew
    vault: Vault
    fingerprints: Fingerprints
    data_key_records: DataKeyRecords
    key_service: KeyService
    clock: Clock
    entropy: Entropy


@dataclass(frozen=True, slots=True)
class Card:
    """A PAN as a caller wrote it, and whose it is, if the caller says so."""

    pan: str = field(repr=False)
    customer_id: str | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True)
class TokenizedItem:
    """What becomes of one PAN: its token, or the code of what is wrong with it."""

    token: str | None = None
    last4: str | None = None
    scheme: str | None = None
    passes_luhn: bool | None = None
    error: str | None = None


_IS_TOKEN = TokenizedItem(error="pan_is_token")


class Tokenizing:
    """Gives callers' PANs their tokens."""

    def __init__(
        self, door: Door, ports: MintingPorts, fingerprinter: Callable[[], Fingerprinter]
    ) -> None:
        self._door = door
        self._ports = ports
        self._fingerprinter = fingerprinter
        self._mints: dict[str, tuple[Mint, datetime]] = {}
        self._began_at = datetime.min.replace(tzinfo=UTC)

    def tokenize(self, request: Request, cards: Sequence[Card], scope: str) -> list[TokenizedItem]:
        """One item for each card, in order; tokens are durable and the access is recorded.

        The same PAN gets the same token, however often it is sent. Raises `RefusedError`
        (`scope_closed` too), or `TransientError` when AWS or the audit log fails.
        """
        self._began_at = self._ports.clock()
        grant = self._door.admit(request)
        layout = _layout(scope)
        checked = check_rows(_columns(cards), layout)
        try:
            items = self._items(checked, layout, len(cards))
        except ScopeClosedError:
            self._door.record_refusal(request, grant, "scope_closed")
            raise RefusedError("scope_closed") from None
        audited = [AuditedItem(item.token, item.error or "tokenized") for item in items]
        self._door.record_answer(request, grant, audited)
        return items

    def _items(self, checked: CheckedRows, layout: Layout, count: int) -> list[TokenizedItem]:
        gathered = gather(checked, (), one_time=False)
        to_mint = _to_mint(gathered, checked)
        pans = to_mint.digits
        fingerprints = self._fingerprinter().fingerprints(pans, layout.scope)
        tokens = self._mint(layout).tokens(to_mint, fingerprints) if pans else []
        items = [TokenizedItem()] * count
        places = gathered.indices["pan"].to_pylist()
        for row, at in zip(checked.index.to_pylist(), places, strict=True):
            items[row] = _item(pans[at], tokens[at]) if at is not None else _IS_TOKEN
        for fault in checked.faults:
            items[fault.index] = TokenizedItem(error=fault.reason)
        return items

    def _mint(self, layout: Layout) -> Mint:
        """The mint of a scope, with a data key of its own, renewed when it has grown too old."""
        now = self._ports.clock()
        held = self._mints.get(layout.scope)
        if held is None or now - held[1] > MAX_MINT_AGE:
            job_id = random_id("api_", self._ports.entropy)
            # Of the ports it uses those above and no other.
            mint = Mint(job_id, layout, cast(Ports, self._ports), Tally(), self._has_time)
            held = self._mints[layout.scope] = (mint, now)
        return held[0]

    def _has_time(self) -> bool:
        return self._ports.clock() - self._began_at < MAX_WAIT


def _to_mint(gathered: GatheredPans, checked: CheckedRows) -> PansToMint:
    """Each PAN once, with the customer id of the item where it stands first."""
    digits: list[bytes] = gathered.digits.cast(pa.binary()).to_pylist()
    ids: list[str | None] = [None] * len(digits)
    if digits and checked.customer_ids is not None:
        first = gathered.first_rows(pa.array(range(len(digits)), pa.int64()))
        ids = checked.customer_ids.take(first).to_pylist()
    return PansToMint(digits, ids)


def _layout(scope: str) -> Layout:
    columns = {"pan": Column(role="pan"), "customer_id": Column(role="drop")}
    return Layout(
        name="api", scope=scope, columns=columns, options=Options(customer_id="customer_id")
    )


def _columns(cards: Sequence[Card]) -> pa.RecordBatch:
    columns = {
        "pan": [card.pan for card in cards],
        "customer_id": [card.customer_id for card in cards],
    }
    schema = pa.schema({"pan": pa.string(), "customer_id": pa.string()})
    return pa.RecordBatch.from_pydict(columns, schema)


def _item(pan: bytes, token: str) -> TokenizedItem:
    last4 = pan[-LAST4_DIGITS:].decode("ascii")
    return TokenizedItem(token, last4, scheme_of(pan), passes_luhn(pan))
