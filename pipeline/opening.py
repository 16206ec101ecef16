"""Tokens back to PANs for callers: each item by itself, recorded before it goes out."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from pipeline.access import Door, RefusedError, Request
from pipeline.core.audit import AuditedItem
from pipeline.core.envelope import TOKEN_PATTERN, open_sealed
from pipeline.core.grants import Grant
from pipeline.detokenize import VaultReader
from pipeline.errors import PermanentError
from pipeline.model import DataKey, SealedPan
from pipeline.ports import Clock, DataKeyRecords, KeyService

MAX_DATA_KEY_AGE = timedelta(minutes=5)  # after that, KMS is asked again and may say no
MAX_DATA_KEY_USES = 10_000
MAX_DATA_KEYS = 256
MASKING = "*" * 12


@dataclass(frozen=True, slots=True)
class OpenedItem:
    """What becomes of one token: the PAN, masked or not, or the code of what is wrong with it.

    `token` is None for what has not the form of a token: it may be a PAN, and is not repeated.
    """

    token: str | None
    pan: str | None = field(default=None, repr=False)
    error: str | None = None


@dataclass(slots=True)
class _HeldKey:
    data_key: DataKey
    unwrapped_by: str
    unwrapped_at: datetime
    uses: int = 0


class HeldDataKeys:
    """Unwrapped data keys of a warm process, within limits of age, uses and number.

    `last_request_id` tells which KMS request has just been made.
    """

    def __init__(
        self,
        key_service: KeyService,
        records: DataKeyRecords,
        clock: Clock,
        last_request_id: Callable[[], str],
    ) -> None:
        self._key_service = key_service
        self._records = records
        self._clock = clock
        self._last_request_id = last_request_id
        self._held: OrderedDict[str, _HeldKey] = OrderedDict()

    def get(self, data_key_id: str) -> tuple[DataKey, str]:
        """The data key and the id of the KMS request that unwrapped it."""
        held = self._held.get(data_key_id)
        if held is None or self._has_exceeded_limits(held):
            data_key = self._key_service.unwrap(self._records.get(data_key_id))
            held = _HeldKey(data_key, self._last_request_id(), self._clock())
            self._held[data_key_id] = held
            self._held.move_to_end(data_key_id)
            if len(self._held) > MAX_DATA_KEYS:
                self._held.popitem(last=False)
        held.uses += 1
        return held.data_key, held.unwrapped_by

    def _has_exceeded_limits(self, held: _HeldKey) -> bool:
        age = self._clock() - held.unwrapped_at
        return age > MAX_DATA_KEY_AGE or held.uses >= MAX_DATA_KEY_USES


class Opening:
    """Answers who may see a PAN, or what is known of a token."""

    def __init__(self, door: Door, vault: VaultReader, data_keys: HeldDataKeys) -> None:
        self._door = door
        self._vault = vault
        self._data_keys = data_keys

    def open(self, request: Request, tokens: Sequence[str]) -> list[OpenedItem]:
        """One item for each token, in order, once the access is recorded.

        A masked view shows last4 of the vault's metadata: nothing is unwrapped or opened for it.
        Raises `RefusedError`, or `TransientError` when AWS or the audit log fails.
        """
        wanted = well_formed(tokens)
        request = replace(request, tokens=wanted)
        grant = self._door.admit(request)
        rows = self._vault.get(wanted)
        opened = [self._item(token, rows, grant, request) for token in tokens]
        audited = [each for _, each in opened]
        self._door.note_unknown(request, grant, audited)
        self._door.record_answer(request, grant, audited)
        return [item for item, _ in opened]

    def describe(self, request: Request, token: str) -> SealedPan:
        """The row of a token, for its metadata.

        Raises `RefusedError` `unknown_token` too, for a token of a scope that is not granted as
        for one that is not there.
        """
        wanted = well_formed([token])
        request = replace(request, tokens=wanted)
        grant = self._door.admit(request)
        row = self._vault.get(wanted).get(token)
        item = AuditedItem(token, "described") if row else _unknown(token)
        self._door.note_unknown(request, grant, [item])
        if row is None or row.metadata["scope"] not in grant.scopes:
            self._door.record_refusal(request, grant, "unknown_token", [item])
            raise RefusedError("unknown_token")
        self._door.record_answer(request, grant, [item])
        return row

    def _item(
        self, token: str, rows: Mapping[str, SealedPan], grant: Grant, request: Request
    ) -> tuple[OpenedItem, AuditedItem]:
        row = rows.get(token)
        if row is None:
            audited = _unknown(token)
        elif row.metadata["scope"] not in grant.scopes:
            audited = AuditedItem(token, "scope_not_granted", row.data_key_id)
        elif request.view == "masked":
            masked = MASKING + row.metadata["last4"]
            return OpenedItem(token, masked), AuditedItem(token, "masked", row.data_key_id)
        else:
            return self._opened(row)
        return OpenedItem(audited.token, error=audited.outcome), audited

    def _opened(self, row: SealedPan) -> tuple[OpenedItem, AuditedItem]:
        try:
            data_key, unwrapped_by = self._data_keys.get(row.data_key_id)
            pan = open_sealed(row.ciphertext, row.token, row.metadata["scope"], data_key)
        except PermanentError as error:
            audited = AuditedItem(row.token, error.code, row.data_key_id)
            return OpenedItem(row.token, error=error.code), audited
        audited = AuditedItem(row.token, "opened", row.data_key_id, unwrapped_by)
        return OpenedItem(row.token, pan.decode("ascii")), audited


def well_formed(tokens: Sequence[str]) -> list[str]:
    """Those that have the form of a token, each once: whatever has not may be a PAN."""
    return list(dict.fromkeys(token for token in tokens if TOKEN_PATTERN.fullmatch(token)))


def _unknown(token: str) -> AuditedItem:
    if TOKEN_PATTERN.fullmatch(token):
        return AuditedItem(token, "unknown_token")
    return AuditedItem(None, "not_a_token")
