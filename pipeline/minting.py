"""Tokens for PANs: the known one, or a fresh one, sealed, stored and claimed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import pyarrow as pa

from pipeline.core.envelope import mint_tokens, seal
from pipeline.core.gather import GatheredPans
from pipeline.core.layouts import Layout
from pipeline.core.pans import LAST4_DIGITS, scheme_of
from pipeline.core.receipts import Tally, iso_time
from pipeline.core.rows import CheckedRows
from pipeline.keys import ChunkDataKey
from pipeline.model import Claim, SealedPan
from pipeline.ports import Ports

# Stored, then claimed, so many at a time: a worker that dies leaves no more of them unclaimed.
MINTED_AT_ONCE = 500


class Mint:
    """Gives the PANs of a job their tokens, in the scope of its layout."""

    def __init__(
        self,
        job_id: str,
        layout: Layout,
        ports: Ports,
        tally: Tally,
    ) -> None:
        self._job_id = job_id
        self._layout = layout
        self._ports = ports
        self._tally = tally
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
        held = dict(self._ports.fingerprints.look_up(fingerprints))
        self._tally.items_looked_up += len(fingerprints)
        unknown = [at for at, fingerprint in enumerate(fingerprints) if fingerprint not in held]
        for start in range(0, len(unknown), MINTED_AT_ONCE):
            some = unknown[start : start + MINTED_AT_ONCE]
            minted = mint_tokens(len(some), self._ports.entropy)
            self._store(some, minted, gathered, checked)
            held |= self._claimed([fingerprints[at] for at in some], minted)
        return [held[fingerprint] for fingerprint in fingerprints]

    def _one_time(self, gathered: GatheredPans, checked: CheckedRows) -> list[str]:
        tokens = mint_tokens(len(gathered.pans), self._ports.entropy)
        self._store(range(len(tokens)), tokens, gathered, checked)
        self._tally.tokens_new += len(tokens)
        return tokens

    def _claimed(self, fingerprints: Sequence[bytes], tokens: Sequence[str]) -> Mapping[bytes, str]:
        """The token that each fingerprint has from now on: ours, or that of a faster worker."""
        claims = [Claim(*pair) for pair in zip(fingerprints, tokens, strict=True)]
        winners = self._ports.fingerprints.claim(claims)
        self._tally.items_written += len(claims)
        self._tally.tokens_new += sum(winners[each.fingerprint] == each.token for each in claims)
        return winners

    def _store(
        self,
        wanted: Sequence[int],
        tokens: Sequence[str],
        gathered: GatheredPans,
        checked: CheckedRows,
    ) -> None:
        """Seals the wanted PANs under the chunk's data key and inserts them into the vault."""
        pans = [gathered.pans.digits[at] for at in wanted]
        data_key = self._data_key.for_seals(len(pans))
        ciphertexts = seal(pans, tokens, self._layout.scope, data_key, self._ports.entropy)
        customer_ids = _customer_ids(wanted, gathered, checked)
        created_at = iso_time(self._ports.clock())
        rows = zip(pans, tokens, ciphertexts, customer_ids, strict=True)
        sealed = [
            SealedPan(
                token=token,
                ciphertext=ciphertext,
                data_key_id=data_key.data_key_id,
                created_at=created_at,
                metadata=self._metadata(pan, customer_id),
            )
            for pan, token, ciphertext, customer_id in rows
        ]
        self._ports.vault.insert_if_absent(sealed)
        self._tally.items_written += len(sealed)

    def _metadata(self, pan: bytes, customer_id: str | None) -> dict[str, str]:
        metadata = {
            "last4": pan[-LAST4_DIGITS:].decode("ascii"),
            "scheme": scheme_of(pan),
            "scope": self._layout.scope,
            "job_id": self._job_id,
        }
        if self._layout.options.token_mode == "one_time":
            metadata["token_mode"] = "one_time"  # no fingerprint leads to it, and none is missing
        return metadata | {"customer_id": customer_id} if customer_id else metadata


def _customer_ids(
    wanted: Sequence[int], gathered: GatheredPans, checked: CheckedRows
) -> Sequence[str | None]:
    """The customer id of the row where each PAN was seen first."""
    if checked.customer_ids is None:
        return [None] * len(wanted)
    rows = pa.array(gathered.first_rows(wanted), pa.int64())
    ids: list[str | None] = checked.customer_ids.take(rows).to_pylist()
    return ids
