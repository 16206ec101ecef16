"""The vault held against its fingerprints and data keys: what belongs together is there together.

The vault is read first and its fingerprints afterwards. A row that was old enough to have been
claimed when it was read, and whose token no fingerprint has, is an orphan: a worker died between
storing and claiming, or lost the race for the card; nobody has ever seen its token.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path

from pipeline.core.keyring import KeyRing
from pipeline.core.receipts import iso_time
from pipeline.errors import PermanentError
from pipeline.model import SealedPan
from pipeline.ports import Clock, KeyService
from pipeline.vault_care.forget import must_be_settled
from pipeline.vault_care.opening import Opener, is_one_time
from pipeline.vault_care.passes import Pass, Progress
from pipeline.vault_care.ports import Claim, DataKeyStore, FingerprintStore, VaultStore
from pipeline.vault_care.removal import Removal, chunks
from pipeline.vault_care.spill import Spill, missing, smallest

MIN_ORPHAN_AGE = timedelta(hours=1)  # a worker claims within its invocation: 15 minutes
DEFAULT_ORPHAN_AGE = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class AuditReport:
    """What an audit came to.

    `recent` rows are too young to be judged. `dangling` fingerprints lead to a token without a row,
    `retired` ones are under a version of the key that is in use no more. `shredded` rows belong to
    a scope whose keys were destroyed. `samples_failed` counts codes of rows that would not open.
    """

    rows: int
    one_time: int
    recent: int
    shredded: int
    without_data_key: int
    orphans: int
    fingerprints_by_version: dict[int, int]
    retired: int
    dangling: int
    data_keys: int
    unused_data_keys: int
    samples_opened: int
    samples_failed: dict[str, int]
    removed_orphans: int = 0
    removed_shredded: int = 0
    removed_fingerprints: int = 0

    @property
    def is_sound(self) -> bool:
        """Whether nothing is wrong that time or a removal would not put right."""
        return not (self.without_data_key or self.dangling or self.samples_failed)


@dataclass
class Audit:
    """One audit, whose passes can be cut off and taken up again in the same folder."""

    vault: VaultStore
    fingerprints: FingerprintStore
    data_keys: DataKeyStore
    clock: Clock
    folder: Path
    orphan_age: timedelta = DEFAULT_ORPHAN_AGE
    on_rows: Callable[[int], None] = lambda _rows: None
    on_fingerprints: Callable[[int], None] = lambda _fingerprints: None
    _counts: Counter[str] = field(default_factory=Counter)
    _used: set[str] = field(default_factory=set)

    def __post_init__(self) -> None:
        if self.orphan_age < MIN_ORPHAN_AGE:
            raise PermanentError("too_early", f"a claim may be in flight for {MIN_ORPHAN_AGE}")
        self._progress = Progress(self.folder)
        self._ring: KeyRing = self.data_keys.key_ring()
        names = ("rows", "candidates", "shredded", "claimed")
        self._spills = {name: Spill(self.folder / f"{name}.tokens") for name in names}
        self._used_file = self.folder / "data-keys.used"

    def run(
        self,
        samples: int = 0,
        key_service: KeyService | None = None,
        *,
        removes_orphans: bool = False,
        removes_dangling: bool = False,
    ) -> AuditReport:
        """Reads both tables, compares them, opens samples and removes what is wanted.

        Opening samples and removing orphans take a key service that may decrypt. Raises
        `PermanentError` `succession_under_way` when something is to be removed too early.
        """
        if removes_orphans or removes_dangling:
            must_be_settled(self._ring, self.clock())
        key_ids = {kept.record.data_key_id for kept in self.data_keys.all()}
        vault_key_ids = {each for each in key_ids if not each.startswith("fingerprint-")}
        self._read(vault_key_ids)
        orphans = list(missing(self._spills["candidates"], self._spills["claimed"]))
        dangling = self._dangling()
        opened, failed = self._open_samples(samples, key_service)
        removal = Removal(self.vault, self.fingerprints, self.data_keys, self._ring)
        shredded = set(self._spills["shredded"]) if removes_orphans else set[str]()
        if removes_orphans and key_service is not None:
            removal.orphans(orphans, key_service)
        if removes_orphans or removes_dangling:
            useless = shredded.union(dangling if removes_dangling else ())
            removal.fingerprints_of(useless, also_retired=removes_orphans)
        removal.rows(shredded)
        removed = removal.removed
        report = self._report(vault_key_ids, orphans, dangling, opened, failed, removed)
        self._forget()
        return report

    def _report(
        self,
        key_ids: set[str],
        orphans: Sequence[str],
        dangling: Sequence[str],
        opened: int,
        failed: Counter[str],
        removed: Counter[str],
    ) -> AuditReport:
        by_version = {
            int(name.removeprefix("version ")): count
            for name, count in sorted(self._counts.items())
            if name.startswith("version ")
        }
        return AuditReport(
            rows=self._counts["rows"],
            one_time=self._counts["one_time"],
            recent=self._counts["recent"],
            shredded=self._counts["shredded"],
            without_data_key=self._counts["without_data_key"],
            orphans=len(orphans),
            fingerprints_by_version=by_version,
            retired=sum(n for version, n in by_version.items() if self._ring.is_retired(version)),
            dangling=len(dangling),
            data_keys=len(key_ids),
            unused_data_keys=len(key_ids - self._used),
            samples_opened=opened,
            samples_failed=dict(failed),
            removed_orphans=removed["orphans"],
            removed_shredded=removed["shredded"],
            removed_fingerprints=removed["fingerprints"],
        )

    # Reading

    def _read(self, key_ids: set[str]) -> None:
        begun_at = self._progress.begun_at(self.clock(), self._ring.generation)
        self._counts = Counter(self._progress.counts)
        if not self._counts:
            self._forget_files()
        if self._used_file.exists():
            self._used = set(self._used_file.read_text().split())
        old_enough = iso_time(begun_at - self.orphan_age)
        for rows in Pass(self.vault.page, self._progress, "vault").pages():
            self._take_rows(rows, key_ids, old_enough)
            self._progress.counts = self._counts
            self.on_rows(len(rows))
        for claims in Pass(self.fingerprints.page, self._progress, "fingerprints").pages():
            self._take_claims(claims)
            self._progress.counts = self._counts
            self.on_fingerprints(len(claims))

    def _take_rows(self, rows: Sequence[SealedPan], key_ids: set[str], old_enough: str) -> None:
        present: list[str] = []
        candidates: list[str] = []
        shredded: list[str] = []
        for row in rows:
            self._counts["rows"] += 1
            has_data_key = row.data_key_id in key_ids
            if not has_data_key and self._ring.is_shredded(row.metadata["scope"]):
                shredded.append(row.token)
                continue
            present.append(row.token)
            self._counts["without_data_key"] += not has_data_key and row.created_at < old_enough
            if is_one_time(row):
                self._counts["one_time"] += 1
            elif row.created_at >= old_enough:
                self._counts["recent"] += 1
            else:
                candidates.append(row.token)
        self._counts["shredded"] += len(shredded)
        self._spills["rows"].add(present)
        self._spills["candidates"].add(candidates)
        self._spills["shredded"].add(shredded)
        self._note_used({row.data_key_id for row in rows})

    def _take_claims(self, claims: Sequence[Claim]) -> None:
        self._counts.update(f"version {claim.fingerprint[0]}" for claim in claims)
        in_use = [c.token for c in claims if not self._ring.is_retired(c.fingerprint[0])]
        self._spills["claimed"].add(in_use)

    def _note_used(self, key_ids: set[str]) -> None:
        with self._used_file.open("a") as sink:
            sink.writelines(f"{each}\n" for each in sorted(key_ids - self._used))
        self._used |= key_ids

    # Comparing

    def _dangling(self) -> list[str]:
        """Tokens that fingerprints lead to and that have no row, not even one made meanwhile."""
        lost = missing(self._spills["claimed"], self._spills["rows"])
        return [
            token
            for some in chunks(lost)
            for rows in [self.vault.get(some)]
            for token in some
            if token not in rows
        ]

    def _open_samples(self, count: int, key_service: KeyService | None) -> tuple[int, Counter[str]]:
        failed = Counter[str]()
        if not count or key_service is None:
            return 0, failed
        opener, opened = Opener(self.data_keys, key_service), 0
        for row in self.vault.get(smallest(self._spills["rows"], count)).values():
            try:
                opener.open(row)
            except PermanentError as error:
                failed[error.code] += 1
            else:
                opened += 1
        return opened, failed

    def _forget(self) -> None:
        self._progress.forget()
        self._forget_files()

    def _forget_files(self) -> None:
        for spill in self._spills.values():
            spill.clear()
        self._used_file.unlink(missing_ok=True)
