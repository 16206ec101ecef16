"""Tokens for PANs: the known one, or a fresh one, sealed, stored and claimed."""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Iterator, Sequence
from typing import Any

import pyarrow as pa

from pipeline.core.envelope import mint_tokens, seal
from pipeline.core.gather import GatheredPans
from pipeline.core.layouts import Layout
from pipeline.core.pans import LAST4_DIGITS, scheme_of
from pipeline.core.receipts import Tally, iso_time
from pipeline.core.rows import CheckedRows
from pipeline.keys import ChunkDataKey
from pipeline.model import SealedPans
from pipeline.ports import Ports

LOOKED_UP_AT_ONCE = 100  # what a call takes at most: ports say so, DynamoDB's limits are these
STORED_AT_ONCE = 25
SEALED_AT_ONCE = 500  # ahead of what is stored

Minted = tuple[Sequence[int], Sequence[str]]


class Mint:
    """Gives the PANs of a job their tokens, in the scope of its layout.

    Calls are under way side by side, but each PAN's vault row is durable before its fingerprint is
    claimed. `has_time` says whether there is time to wait for a table that throttles.
    """

    def __init__(
        self,
        job_id: str,
        layout: Layout,
        ports: Ports,
        tally: Tally,
        has_time: Callable[[], bool],
    ) -> None:
        self._job_id = job_id
        self._layout = layout
        self._ports = ports
        self._tally = tally
        self._has_time = has_time
        self._data_key = ChunkDataKey(
            ports.key_service,
            ports.data_key_records,
            ports.clock,
            ports.entropy,
            job_id=job_id,
            scope=layout.scope,
            data_key_ids=tally.data_key_ids,
        )

    def tokens(
        self, gathered: GatheredPans, fingerprints: Sequence[bytes], checked: CheckedRows
    ) -> list[str]:
        """A token for each gathered PAN and its fingerprint, in order, durable on return."""
        if not fingerprints:
            return []
        if self._layout.options.token_mode == "one_time":
            return self._one_time(gathered, checked)
        held = self._looked_up(fingerprints)
        unknown = [at for at, token in enumerate(held) if token is None]
        for places, tokens in self._run(self._claims(unknown, fingerprints, gathered, checked)):
            for at, token in zip(places, tokens, strict=True):
                held[at] = token
        return [token for token in held if token is not None]

    def _looked_up(self, fingerprints: Sequence[bytes]) -> list[str | None]:
        """The tokens that are known, in order."""
        self._tally.items_looked_up += len(fingerprints)
        found = self._ports.crew.run(
            (
                self._look_up(fingerprints[start : start + LOOKED_UP_AT_ONCE])
                for start in range(0, len(fingerprints), LOOKED_UP_AT_ONCE)
            ),
            self._has_time,
        )
        return [token for some in found for token in some]

    async def _look_up(self, fingerprints: Sequence[bytes]) -> Sequence[str | None]:
        return await self._ports.fingerprints.look_up(fingerprints)

    def _run(self, steps: Iterator[Coroutine[Any, Any, Minted]]) -> list[Minted]:
        return self._ports.crew.run(steps, self._has_time)

    def _one_time(self, gathered: GatheredPans, checked: CheckedRows) -> list[str]:
        places = range(len(gathered.pans))
        stored = self._run(
            self._store(some, sealed) for some, sealed in self._sealed(places, gathered, checked)
        )
        self._tally.tokens_new += len(places)
        return [token for _, tokens in stored for token in tokens]

    def _claims(
        self,
        unknown: Sequence[int],
        fingerprints: Sequence[bytes],
        gathered: GatheredPans,
        checked: CheckedRows,
    ) -> Iterator[Coroutine[Any, Any, Minted]]:
        for places, sealed in self._sealed(unknown, gathered, checked):
            yield self._store_and_claim(places, sealed, [fingerprints[at] for at in places])

    async def _store_and_claim(
        self, places: Sequence[int], sealed: SealedPans, fingerprints: Sequence[bytes]
    ) -> Minted:
        """The token that each has from now on: ours, or that of a faster worker."""
        await self._store(places, sealed)
        tokens = await self._ports.fingerprints.claim(fingerprints, sealed.tokens)
        self._tally.items_written += len(tokens)
        self._tally.tokens_new += sum(map(str.__eq__, tokens, sealed.tokens))
        return places, tokens

    async def _store(self, places: Sequence[int], sealed: SealedPans) -> Minted:
        await self._ports.vault.insert_if_absent(sealed)
        self._tally.items_written += len(sealed)
        return places, sealed.tokens

    def _sealed(
        self, places: Sequence[int], gathered: GatheredPans, checked: CheckedRows
    ) -> Iterator[tuple[Sequence[int], SealedPans]]:
        """The PANs at these places, sealed under the chunk's data key, as many as are stored at
        once.
        """
        for start in range(0, len(places), SEALED_AT_ONCE):
            some = places[start : start + SEALED_AT_ONCE]
            sealed = self._seal(some, gathered, checked)
            for at in range(0, len(some), STORED_AT_ONCE):
                yield some[at : at + STORED_AT_ONCE], sealed.part(at, STORED_AT_ONCE)

    def _seal(
        self, places: Sequence[int], gathered: GatheredPans, checked: CheckedRows
    ) -> SealedPans:
        pans = [gathered.pans.digits[at] for at in places]
        tokens = mint_tokens(len(pans), self._ports.entropy)
        data_key = self._data_key.for_seals(len(pans))
        return SealedPans(
            tokens=tokens,
            ciphertexts=seal(pans, tokens, self._layout.scope, data_key, self._ports.entropy),
            last4s=[pan[-LAST4_DIGITS:].decode("ascii") for pan in pans],
            schemes=list(map(scheme_of, pans)),
            customer_ids=_customer_ids(places, gathered, checked),
            data_key_id=data_key.data_key_id,
            created_at=iso_time(self._ports.clock()),
            scope=self._layout.scope,
            job_id=self._job_id,
        )


def _customer_ids(
    wanted: Sequence[int], gathered: GatheredPans, checked: CheckedRows
) -> Sequence[str | None]:
    """The customer id of the row where each PAN was seen first."""
    if checked.customer_ids is None:
        return [None] * len(wanted)
    rows = pa.array(gathered.first_rows(wanted), pa.int64())
    ids: list[str | None] = checked.customer_ids.take(rows).to_pylist()
    return ids
