"""Tokens for PANs: the known one, or a fresh one, sealed, stored and claimed."""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Iterator, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from pipeline.core.envelope import mint_tokens, seal
from pipeline.core.pans import LAST4_DIGITS, scheme_of
from pipeline.core.receipts import Tally, iso_time
from pipeline.keys import ChunkDataKey
from pipeline.model import SealedPans
from pipeline.ports import Ports

if TYPE_CHECKING:
    from pipeline.core.layouts import Layout

LOOKED_UP_AT_ONCE = 100  # what a call takes at most: ports say so, DynamoDB's limits are these
STORED_AT_ONCE = 25
SEALED_AT_ONCE = 500  # ahead of what is stored

Minted = tuple[Sequence[int], Sequence[str]]


@dataclass(frozen=True, slots=True)
class PansToMint:
    """Different PANs, and the customer of each, None where there is none."""

    digits: Sequence[bytes] = field(repr=False)
    customer_ids: Sequence[str | None] = field(repr=False)

    def __len__(self) -> int:
        return len(self.digits)


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

    def tokens(self, pans: PansToMint, fingerprints: Sequence[bytes]) -> list[str]:
        """A token for each PAN and its fingerprint, in order, durable on return."""
        held = self._looked_up(fingerprints)
        unknown = [at for at, token in enumerate(held) if token is None]
        for places, tokens in self._run(self._claims(unknown, fingerprints, pans)):
            for at, token in zip(places, tokens, strict=True):
                held[at] = token
        return [token for token in held if token is not None]

    def one_time_tokens(self, pans: PansToMint) -> list[str]:
        """A fresh token for each PAN, in order, durable on return."""
        sealed = self._sealed(range(len(pans)), pans)
        stored = self._run(self._store(places, some) for places, some in sealed)
        self._tally.tokens_new += len(pans)
        return [token for _, tokens in stored for token in tokens]

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

    def _claims(
        self, unknown: Sequence[int], fingerprints: Sequence[bytes], pans: PansToMint
    ) -> Iterator[Coroutine[Any, Any, Minted]]:
        for places, sealed in self._sealed(unknown, pans):
            yield self._store_and_claim(places, sealed, [fingerprints[at] for at in places])

    async def _store_and_claim(
        self, places: Sequence[int], sealed: SealedPans, fingerprints: Sequence[bytes]
    ) -> Minted:
        await self._store(places, sealed)
        return places, await self._claim(fingerprints, sealed.tokens)

    async def _claim(self, fingerprints: Sequence[bytes], tokens: Sequence[str]) -> Sequence[str]:
        """The token that each has from now on: ours, or that of a faster worker."""
        winners = await self._ports.fingerprints.claim(fingerprints, tokens)
        self._tally.items_written += len(winners)
        self._tally.tokens_new += sum(map(str.__eq__, winners, tokens))
        return winners

    async def _store(self, places: Sequence[int], sealed: SealedPans) -> Minted:
        await self._ports.vault.insert_if_absent(sealed)
        self._tally.items_written += len(sealed)
        return places, sealed.tokens

    def _sealed(
        self, places: Sequence[int], pans: PansToMint
    ) -> Iterator[tuple[Sequence[int], SealedPans]]:
        """The PANs at these places, sealed under the chunk's data key, as many as are stored at
        once.
        """
        for start in range(0, len(places), SEALED_AT_ONCE):
            some = places[start : start + SEALED_AT_ONCE]
            sealed = self._seal(some, pans)
            for at in range(0, len(some), STORED_AT_ONCE):
                yield some[at : at + STORED_AT_ONCE], sealed.part(at, STORED_AT_ONCE)

    def _seal(self, places: Sequence[int], wanted: PansToMint) -> SealedPans:
        pans = [wanted.digits[at] for at in places]
        tokens = mint_tokens(len(pans), self._ports.entropy)
        data_key = self._data_key.for_seals(len(pans))
        return SealedPans(
            tokens=tokens,
            ciphertexts=seal(pans, tokens, self._layout.scope, data_key, self._ports.entropy),
            last4s=[pan[-LAST4_DIGITS:].decode("ascii") for pan in pans],
            schemes=list(map(scheme_of, pans)),
            customer_ids=[wanted.customer_ids[at] for at in places],
            data_key_id=data_key.data_key_id,
            created_at=iso_time(self._ports.clock()),
            scope=self._layout.scope,
            job_id=self._job_id,
            one_time=self._layout.options.token_mode == "one_time",
        )
