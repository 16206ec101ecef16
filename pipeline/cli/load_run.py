"""A load test as a whole: drive, gather, compare."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime

from pipeline.cli.load_driver import LoadDriver
from pipeline.cli.load_evidence import (
    Receipts,
    attempts_of,
    check_rows,
    letters_of,
    parts_of,
    receipts_of,
)
from pipeline.cli.session import Deployment
from pipeline.core.receipts import iso_time
from pipeline.loadtest.balance import balance
from pipeline.loadtest.figures import figures_of
from pipeline.loadtest.plan import ExpectedCounts, Load, expected_counts
from pipeline.loadtest.reconcile import Evidence, Finding, RowCheck, TokenBook, check_file
from pipeline.loadtest.report import Outcome
from pipeline.loadtest.tracking import Course


class LoadTest:
    """One load test of a deployment, from its first upload to what it came to."""

    def __init__(
        self, target: Deployment, load: Load, driver: LoadDriver, concurrency: int
    ) -> None:
        self._target = target
        self._load = load
        self._driver = driver
        self._concurrency = concurrency
        self._tokens = TokenBook()
        self._rows_in_parquet = 0

    def outcome(self) -> Outcome:
        """Drives, gathers, compares."""
        started_at = datetime.now(UTC)
        self._driver.upload_and_follow(self._concurrency)
        courses = list(self._driver.tracker.courses.values())
        samples = list(self._driver.tracker.samples)
        found = self._gather(courses)
        receipts = [each.receipt for each in found if each.receipt is not None]
        letters = [letter for each in found for letter in each.letters]
        expected = [expected_counts(self._load, number) for number in range(self._load.files)]
        findings = [*self._unfinished(courses), *self._findings(found, expected)]
        findings += self._tokens.findings(sum(each["tokens_new"] for each in receipts))
        lines = balance(
            self._load, expected, receipts, self._rows_in_parquet, self._tokens, len(letters)
        )
        return Outcome(
            load=self._load,
            deployment=self._target.name,
            started_at=iso_time(started_at),
            concurrency=self._concurrency,
            lines=lines,
            findings=findings,
            figures=figures_of(
                self._driver.tracker.started_at, courses, samples, receipts, letters
            ),
            courses=courses,
        )

    def _gather(self, courses: Sequence[Course]) -> list[Evidence]:
        """What the deployment shows before and behind the late duplicate events."""
        job_ids = [each.upload.job_id for each in courses]
        receipts, attempts = self._receipts(job_ids), attempts_of(self._target, job_ids)
        self._driver.repeat_events()
        later, attempts_later = self._receipts(job_ids), attempts_of(self._target, job_ids)
        letters = letters_of(self._target, job_ids, self._load.poison)
        parts = parts_of(self._target, courses, receipts, self._concurrency)
        return [
            Evidence(
                file=each.file,
                job_id=job_id,
                receipt=receipts[job_id],
                receipt_after=later[job_id],
                attempts=attempts.get(job_id, 0),
                attempts_after=attempts_later.get(job_id, 0),
                parts=parts[job_id],
                letters=letters.get(job_id, ()),
            )
            for job_id, each in zip(job_ids, courses, strict=True)
        ]

    def _receipts(self, job_ids: Sequence[str]) -> Receipts:
        return receipts_of(self._target, job_ids, self._concurrency)

    def _unfinished(self, courses: Sequence[Course]) -> Iterator[Finding]:
        missing = self._load.files + self._load.poison - len(courses)
        if missing:
            yield Finding("uploads", f"{missing} files were not uploaded in time")
        for each in courses:
            if each.ended_at is None:
                yield Finding(each.file.name, f"is still {each.status}: the time was up")

    def _findings(
        self, found: Sequence[Evidence], expected: Sequence[ExpectedCounts]
    ) -> Iterator[Finding]:
        for each in found:
            is_good = each.file.poison is None
            yield from check_file(each, expected[each.file.number] if is_good else None)
            if is_good and each.receipt is not None and each.receipt["status"] == "committed":
                check = RowCheck(self._load, each.file, self._tokens)
                yield from check_rows(self._target, check, each.receipt)
                self._rows_in_parquet += check.rows
