"""The vault in its keepers' hands: audited, cards forgotten, scopes shredded; in memory."""

from __future__ import annotations

import contextlib
import io
import os
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from pipeline.core.keyring import GRACE, begin_succession
from pipeline.detokenize import detokenize
from pipeline.errors import PermanentError, TransientError
from pipeline.job import Worker, run_job
from pipeline.keys import FingerprintKey
from pipeline.model import SealedPan
from pipeline.samples.cards import synthetic_pans
from pipeline.testing import A_MOMENT, MemoryLayouts, MemoryWorld
from pipeline.testing.care import (
    MemoryFingerprintStore,
    MemoryKeyStore,
    MemoryRenewal,
    MemoryTrail,
    MemoryVaultStore,
)
from pipeline.vault_care import shred, spill, succession
from pipeline.vault_care.audit import MIN_ORPHAN_AGE, Audit, AuditReport
from pipeline.vault_care.forget import Forgetting
from pipeline.vault_care.passes import Progress
from pipeline.vault_care.ports import Claim, Page
from pipeline.vault_care.reindex import Reindexing

CARDS = synthetic_pans(60, seed=31)
KEY_ARN = "arn:aws:kms:us-east-1:000000000000:key/memory"
DAY = timedelta(days=1)


def _layout(name: str, scope: str, options: str = "") -> str:
    return f'name = "{name}"\nscope = "{scope}"\n[columns.card]\nrole = "pan"\n{options}'


class House:
    """A vault that a worker fills, and its keeper."""

    def __init__(self, folder: Path) -> None:
        layouts = MemoryLayouts(
            _layout("shop", "shop"),
            _layout("bank", "bank"),
            _layout("once", "shop", '[options]\ntoken_mode = "one_time"'),
        )
        self.world = MemoryWorld(os.urandom, layouts)
        self.now = A_MOMENT
        self.folder = folder
        self.vault = MemoryVaultStore(self.world.vault)
        self.fingerprints = MemoryFingerprintStore(self.world.fingerprints)
        self.keys = MemoryKeyStore(self.world.data_keys)
        self.trail = MemoryTrail()

    def clock(self) -> Any:
        return self.now

    def tokenize(self, pans: Sequence[str], scope: str = "shop") -> list[str]:
        ports = replace(self.world.ports(), clock=self.clock)
        key = FingerprintKey(ports.key_service, ports.data_key_records, self.clock)
        body = "\n".join(["card", *pans]).encode()
        upload = self.world.quarantine.put(f"incoming/{scope}/a.csv", body)
        receipt = run_job(upload, Worker(ports, key.fingerprinter, 1.0), lambda: 900.0)
        assert receipt is not None
        (output,) = receipt["outputs"]
        table = pq.read_table(io.BytesIO(self.world.tokenized.objects[output["uri"]]))
        tokens: list[str] = table["card_token"].to_pylist()
        return tokens

    def get(self, tokens: Sequence[str]) -> Mapping[str, SealedPan]:
        return self.vault.get(tokens)

    def opened(self, tokens: Sequence[str]) -> list[str]:
        pans = detokenize(tokens, self, self.world.data_keys, self.world.keys)
        return [pan.decode() for pan in pans.digits]

    def audit(self, samples: int = 20, **wanted: bool) -> AuditReport:
        audit = Audit(self.vault, self.fingerprints, self.keys, self.clock, self.folder)
        return audit.run(samples, self.world.keys, **wanted)

    @property
    def forgetting(self) -> Forgetting:
        return Forgetting(
            self.vault,
            self.fingerprints,
            self.keys,
            self.world.keys,
            self.trail,
            self.clock,
            "arn:aws:iam::1:role/keeper",
            "erasure",
        )

    def reindexing(self, progress: Progress) -> Reindexing:
        return Reindexing(
            self.vault, self.fingerprints, self.keys, self.world.keys, self.clock, progress
        )

    def lose(self, token: str) -> Claim:
        """As if a worker had died between storing and claiming."""
        tokens = self.world.fingerprints.tokens
        (fingerprint,) = [each for each, held in tokens.items() if held == token]
        return Claim(fingerprint, tokens.pop(fingerprint))


@pytest.fixture
def house(tmp_path: Path) -> House:
    return House(tmp_path / "audit")


# Audit


def test_a_vault_in_order_is_sound_and_its_figures_are_told(house: House) -> None:
    house.tokenize(CARDS[:40])
    house.tokenize(CARDS[:10], "once")
    house.now += 2 * DAY
    report = house.audit()
    assert report.is_sound
    assert (report.rows, report.one_time, report.recent) == (50, 10, 0)
    assert report.fingerprints_by_version == {1: 40}
    assert (report.data_keys, report.unused_data_keys, report.orphans) == (2, 0, 0)
    assert (report.samples_opened, report.samples_failed) == (20, {})


def test_an_orphan_is_counted_and_removed_once_it_cannot_be_claimed_any_more(house: House) -> None:
    tokens = house.tokenize(CARDS[:20])
    claim = house.lose(tokens[3])
    young = house.audit(removes_orphans=True)
    assert (young.recent, young.orphans, young.removed_orphans) == (20, 0, 0)
    house.now += 2 * DAY
    assert house.audit().orphans == 1
    assert tokens[3] in house.world.vault.rows
    report = house.audit(removes_orphans=True)
    assert (report.orphans, report.removed_orphans, report.is_sound) == (1, 1, True)
    assert tokens[3] not in house.world.vault.rows
    assert house.audit().orphans == 0
    assert claim.fingerprint not in house.world.fingerprints.tokens


def test_an_orphan_of_a_lost_race_goes_and_the_winner_stays(house: House) -> None:
    tokens = house.tokenize(CARDS[:5])
    lost = house.lose(tokens[0])
    (winner,) = house.tokenize(CARDS[:1])
    house.now += 2 * DAY
    assert house.audit(removes_orphans=True).removed_orphans == 1
    assert lost.token not in house.world.vault.rows
    assert house.opened([winner]) == [CARDS[0]]


def test_what_is_claimed_while_the_audit_reads_is_not_removed(house: House) -> None:
    tokens = house.tokenize(CARDS[:5])
    claim = house.lose(tokens[0])
    house.now += 2 * DAY

    class Late(MemoryFingerprintStore):
        def page(self, segment: int, segments: int, position: str | None) -> Page[Claim]:
            page = super().page(segment, segments, position)
            if segment == segments - 1:
                house.world.fingerprints.tokens[claim.fingerprint] = claim.token
            return Page([each for each in page.items if each != claim], page.next_position)

    house.fingerprints = Late(house.world.fingerprints)
    report = house.audit(removes_orphans=True)
    assert (report.orphans, report.removed_orphans) == (1, 0)
    assert house.opened([tokens[0]]) == [CARDS[0]]


def test_a_claim_may_be_in_flight_for_an_hour(house: House) -> None:
    for age, is_refused in ((MIN_ORPHAN_AGE, False), (MIN_ORPHAN_AGE - timedelta(seconds=1), True)):
        try:
            Audit(house.vault, house.fingerprints, house.keys, house.clock, house.folder, age)
        except PermanentError as error:
            assert (error.code, is_refused) == ("too_early", True)
        else:
            assert not is_refused


def test_rows_fingerprints_and_keys_that_are_missing_are_found(house: House) -> None:
    tokens = house.tokenize(CARDS[:10])
    others = house.tokenize(CARDS[10:20], "bank")
    house.now += 2 * DAY
    house.world.vault.rows.pop(tokens[0])
    record = house.world.data_keys.get(house.world.vault.rows[others[0]].data_key_id)
    house.keys.destroy(record)
    report = house.audit(samples=100)
    assert not report.is_sound
    assert (report.dangling, report.without_data_key, report.shredded) == (1, 10, 0)
    assert (report.samples_opened, report.samples_failed) == (9, {"data_key_missing": 10})
    assert house.audit(removes_dangling=True).removed_fingerprints == 1
    assert house.audit().dangling == 0


def test_a_swapped_ciphertext_is_found_by_a_sample(house: House) -> None:
    first, second = house.tokenize(CARDS[:2])
    house.now += 2 * DAY
    rows = house.world.vault.rows
    rows[first] = replace(rows[first], ciphertext=rows[second].ciphertext)
    report = house.audit()
    assert (report.is_sound, report.samples_failed) == (False, {"seal_broken": 1})


def test_an_audit_that_was_cut_off_goes_on_and_comes_to_the_same(house: House) -> None:
    tokens = house.tokenize(CARDS)
    house.lose(tokens[7])
    house.now += 2 * DAY
    expected = house.audit()
    for pages in range(20):
        left = [pages]

        def stop(_rows: int, left: list[int] = left) -> None:
            left[0] -= 1
            if left[0] < 0:
                raise KeyboardInterrupt

        audit = Audit(
            house.vault, house.fingerprints, house.keys, house.clock, house.folder, DAY, stop, stop
        )
        try:
            report = audit.run(20, house.world.keys)
        except KeyboardInterrupt:
            report = house.audit()
        assert report == expected


def test_sets_larger_than_memory_are_compared_in_parts(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    tokens = house.tokenize(CARDS)
    for token in tokens[:5]:
        house.lose(token)
    house.now += 2 * DAY
    monkeypatch.setattr(spill, "TOKENS_IN_A_PART", 10)
    monkeypatch.setattr(spill, "READ_TOKENS", 7)
    report = house.audit(samples=0)
    assert (report.rows, report.orphans, report.dangling) == (60, 5, 0)


# Forgetting


def test_a_forgotten_card_is_gone_and_that_it_was_forgotten_is_kept(house: House) -> None:
    tokens = house.tokenize(CARDS[:3])
    (entry,) = house.forgetting.forget([tokens[1]])
    assert (entry.token, entry.purpose) == (tokens[1], "erasure")
    assert house.trail.entries == {tokens[1]: entry}
    assert tokens[1] not in house.world.vault.rows
    assert tokens[1] not in house.world.fingerprints.tokens.values()
    assert house.opened([tokens[0], tokens[2]]) == [CARDS[0], CARDS[2]]
    assert CARDS[1] not in repr(entry)
    assert house.forgetting.forget([tokens[1]]) == [entry], "once more changes nothing"
    (again,) = house.tokenize([CARDS[1]])
    assert again != tokens[1]
    house.now += 2 * DAY
    assert house.audit().is_sound


def test_what_is_no_token_is_told_by_its_place_alone(house: House) -> None:
    (token,) = house.tokenize(CARDS[:1])
    with pytest.raises(PermanentError, match="unknown_token: number 2 of those given"):
        house.forgetting.forget([token, CARDS[0]])


def test_a_one_time_token_is_forgotten_without_a_fingerprint(house: House) -> None:
    (kept,) = house.tokenize(CARDS[:1])
    (once,) = house.tokenize(CARDS[:1], "once")
    house.forgetting.forget([once])
    assert house.opened([kept]) == [CARDS[0]]
    assert house.tokenize(CARDS[:1]) == [kept]


@pytest.mark.parametrize("steps", range(6))
def test_forgetting_that_was_cut_off_leaves_the_card_new_or_known_and_is_repeated(
    house: House, steps: int
) -> None:
    (token,) = house.tokenize(CARDS[:1])
    left = [steps]

    def killed(destroy: Any) -> Any:
        def destroying(what: Any) -> None:
            if left[0] == 0:
                raise TransientError("killed")
            left[0] -= 1
            destroy(what)

        return destroying

    whole = house.vault.destroy, house.fingerprints.destroy
    house.vault.destroy, house.fingerprints.destroy = map(killed, whole)  # type: ignore[method-assign]
    with contextlib.suppress(TransientError):
        house.forgetting.forget([token])
    house.vault.destroy, house.fingerprints.destroy = whole  # type: ignore[method-assign]
    (meanwhile,) = house.tokenize(CARDS[:1])
    assert house.opened([meanwhile]) == [CARDS[0]], "no card leads to a token that does not open"
    house.forgetting.forget([token])
    assert token not in house.world.vault.rows
    assert (house.tokenize(CARDS[:1]) == [meanwhile]) == (meanwhile != token)


def test_nothing_is_forgotten_while_a_worker_may_know_two_versions(house: House) -> None:
    (token,) = house.tokenize(CARDS[:1])
    house.keys.save_key_ring(begin_succession(house.keys.key_ring(), house.now))
    house.now += 2 * GRACE
    with pytest.raises(PermanentError, match="succession_under_way"):
        house.forgetting.forget([token])
    with pytest.raises(PermanentError, match="succession_under_way"):
        house.audit(removes_orphans=True)
    assert house.audit().rows == 1


def test_retention_forgets_what_is_old_in_its_scope_alone(house: House) -> None:
    old, others = house.tokenize(CARDS[:15]), house.tokenize(CARDS[:5], "bank")
    house.now += 30 * DAY
    young = house.tokenize(CARDS[20:25])

    def expire(*, is_dry_run: bool) -> int:
        pages = house.forgetting.expire("shop", 20 * DAY, Progress(), is_dry_run=is_dry_run)
        return sum(expired for _, expired in pages)

    assert expire(is_dry_run=True) == 15
    assert house.opened(old) == CARDS[:15]
    assert expire(is_dry_run=False) == 15
    assert set(house.world.vault.rows) == {*others, *young}
    assert set(house.world.fingerprints.tokens.values()) == {*others, *young}
    assert set(house.trail.entries) == set(old)
    assert expire(is_dry_run=False) == 0


def test_retention_stops_when_a_succession_begins_meanwhile(house: House) -> None:
    """What a worker claims under the new version would lead to a token that opens no more."""
    old = house.tokenize(CARDS[:30])
    house.now += 30 * DAY
    pages = house.forgetting.expire("shop", 20 * DAY, Progress(), is_dry_run=False)
    next(pages)
    _begin(house)
    left = {
        token: card
        for token, card in zip(old, CARDS, strict=False)
        if token in house.world.vault.rows
    }
    assert house.tokenize(list(left.values())) == list(left)

    with pytest.raises(PermanentError, match="succession_under_way"):
        list(pages)

    assert house.opened(list(left)) == list(left.values())
    assert set(house.world.fingerprints.tokens.values()) == set(left)


# Shredding


def test_a_shredded_scope_opens_no_more_and_all_others_do(house: House) -> None:
    shop, bank = house.tokenize(CARDS[:30]), house.tokenize(CARDS[:30], "bank")
    more = house.tokenize(CARDS[30:40])
    assert shred.figures(house.keys, "shop").data_keys == 2
    shred.close(house.keys, "shop", house.now, 7 * DAY)
    with pytest.raises(PermanentError, match="scope_closed"):
        house.tokenize(CARDS[:1])
    assert house.opened(shop) == CARDS[:30], "until it is shredded"
    with pytest.raises(PermanentError, match="too_early"):
        shred.shred(house.keys, "shop", house.now + 6 * DAY)
    house.now += 7 * DAY
    assert shred.shred(house.keys, "shop", house.now) == 2
    assert shred.shred(house.keys, "shop", house.now) == 0, "once more changes nothing"
    for token in (*shop, *more):
        with pytest.raises(PermanentError, match="data_key_missing"):
            house.opened([token])
    assert house.opened(bank) == CARDS[:30]
    assert house.tokenize(CARDS[:30], "bank") == bank
    with pytest.raises(PermanentError, match="scope_closed"):
        house.tokenize(CARDS[:1])


def test_what_shredding_leaves_is_told_apart_and_removed(house: House) -> None:
    shop, bank = house.tokenize(CARDS[:30]), house.tokenize(CARDS[:30], "bank")
    shred.close(house.keys, "shop", house.now, 7 * DAY)
    house.now += 7 * DAY
    shred.shred(house.keys, "shop", house.now)
    report = house.audit(samples=100)
    assert (report.is_sound, report.shredded, report.without_data_key) == (True, 30, 0)
    report = house.audit(removes_orphans=True)
    assert (report.removed_shredded, report.removed_fingerprints) == (30, 30)
    assert not set(shop) & house.world.vault.rows.keys()
    assert set(house.world.fingerprints.tokens.values()) == set(bank)
    assert house.audit().is_sound


def test_a_closed_scope_that_is_opened_again_goes_on_with_its_tokens(house: House) -> None:
    tokens = house.tokenize(CARDS[:5])
    shred.close(house.keys, "shop", house.now, DAY)
    shred.reopen(house.keys, "shop")
    assert house.tokenize(CARDS[:5]) == tokens


# Re-indexing


def _begin(house: House) -> None:
    succession.begin(house.keys, MemoryRenewal(house.world.keys, house.clock), KEY_ARN, house.now)
    house.now += GRACE + timedelta(seconds=1)


def test_a_re_indexing_tells_what_it_found(house: House) -> None:
    tokens = house.tokenize(CARDS[:30])
    house.lose(tokens[0])
    house.tokenize(CARDS[:3], "once")
    house.tokenize(CARDS[:4], "bank")
    shred.close(house.keys, "bank", house.now, DAY)
    house.now += DAY
    shred.shred(house.keys, "bank", house.now)
    _begin(house)
    again = house.tokenize(CARDS[10:20])
    assert again == tokens[10:20]
    counts = house.reindexing(Progress()).run()
    assert vars(counts) == {
        "rows": 37,
        "claimed": 19,
        "already": 10,
        "orphans": 1,
        "one_time": 3,
        "unreadable": 0,
        "shredded": 4,
        "differing": 0,
    }
    assert succession.finish(house.keys, house.now).versions == (2,)
    assert house.tokenize(CARDS[1:30]) == tokens[1:]


def test_a_re_indexing_that_cannot_open_a_row_does_not_count(house: House) -> None:
    (token, _) = house.tokenize(CARDS[:2])
    _begin(house)
    row = house.world.vault.rows[token]
    house.world.vault.rows[token] = replace(row, ciphertext=row.ciphertext[:-1] + b"x")
    with pytest.raises(PermanentError, match="rows_unreadable: 1 rows"):
        house.reindexing(Progress()).run()
    with pytest.raises(PermanentError, match="not_reindexed"):
        succession.finish(house.keys, house.now)


def test_a_re_indexing_that_was_cut_off_goes_on(house: House, tmp_path: Path) -> None:
    house.tokenize(CARDS)
    _begin(house)
    seen: list[int] = []

    def stop(rows: int) -> None:
        seen.append(rows)
        if len(seen) == 4:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        replace(house.reindexing(Progress(tmp_path / "r")), on_page=stop).run()
    begun_at, house.now = house.now, house.now + DAY
    counts = replace(house.reindexing(Progress(tmp_path / "r")), on_page=seen.append).run()
    assert (counts.rows, counts.claimed + counts.already) == (60, 60)
    assert sum(seen) == 60 + seen[3]
    assert house.keys.key_ring().reindexed_from == begun_at.isoformat(
        timespec="milliseconds"
    ).replace("+00:00", "Z")


def test_fingerprints_of_a_retired_key_are_removed_and_its_wrapped_key_too(house: House) -> None:
    tokens = house.tokenize(CARDS[:20])
    _begin(house)
    house.reindexing(Progress()).run()
    succession.finish(house.keys, house.now)
    with pytest.raises(PermanentError, match="too_early"):
        succession.destroy_retired(house.keys, house.now)
    house.now += GRACE + timedelta(seconds=1)
    assert house.audit().retired == 20
    assert house.audit(removes_orphans=True).removed_fingerprints == 20
    assert succession.destroy_retired(house.keys, house.now) == ["fingerprint-1"]
    assert {each[0] for each in house.world.fingerprints.tokens} == {2}
    assert house.tokenize(CARDS[:20]) == tokens
    assert "fingerprint-1" not in house.world.data_keys.records


# Restored copies


def test_fingerprints_of_an_earlier_moment_than_the_vault_leave_orphans_at_worst(
    house: House,
) -> None:
    tokens = house.tokenize(CARDS[:10])
    copy = dict(house.world.fingerprints.tokens)
    house.tokenize(CARDS[10:15])
    house.world.fingerprints.tokens.clear()
    house.world.fingerprints.tokens.update(copy)
    house.now += 2 * DAY
    report = house.audit()
    assert (report.is_sound, report.orphans, report.dangling) == (True, 5, 0)
    assert house.tokenize(CARDS[:10]) == tokens


def test_fingerprints_of_a_later_moment_than_the_vault_are_told_to_dangle(house: House) -> None:
    house.tokenize(CARDS[:10])
    copy = dict(house.world.vault.rows)
    house.tokenize(CARDS[10:15])
    house.world.vault.rows.clear()
    house.world.vault.rows.update(copy)
    house.now += 2 * DAY
    report = house.audit()
    assert (report.is_sound, report.orphans, report.dangling) == (False, 0, 5)
    assert house.audit(removes_dangling=True).removed_fingerprints == 5
    again = house.tokenize(CARDS[10:15])
    assert house.opened(again) == CARDS[10:15]


def test_data_keys_of_an_earlier_moment_than_the_vault_leave_rows_that_do_not_open(
    house: House,
) -> None:
    house.tokenize(CARDS[:10])
    copy = dict(house.world.data_keys.records)
    house.tokenize(CARDS[10:15])
    house.world.data_keys.records.clear()
    house.world.data_keys.records.update(copy)
    house.now += 2 * DAY
    report = house.audit(samples=0)
    assert (report.is_sound, report.without_data_key) == (False, 5)
