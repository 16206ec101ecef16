"""Puts a planned load on a deployment and watches it until all is quiet."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor

from pipeline.aws.faults import translated
from pipeline.cli.session import Deployment
from pipeline.loadtest.contents import Contents
from pipeline.loadtest.events import another_event, repeated_event
from pipeline.loadtest.plan import (
    DuplicateEvent,
    Load,
    PlannedFile,
    planned_duplicates,
    planned_files,
)
from pipeline.loadtest.tracking import QueueDepth, Sample, Tracker
from pipeline.model import Upload

SAMPLE_SECONDS = 0.5
OTHERS_WORK_SECONDS = 60.0  # how long a queue is waited for that others keep busy

_Uploaded = tuple[PlannedFile, Upload, float]


class LoadDriver:
    """Uploads from some threads; looks at ledger and queue from its own.

    `show` is told each sample. Nothing is deleted, and only what the driver uploaded is followed.
    """

    def __init__(
        self,
        target: Deployment,
        load: Load,
        *,
        settle_seconds: float,
        timeout_seconds: float,
        show: Callable[[Sample], None],
    ) -> None:
        self._bucket = target.outputs["QuarantineBucket"]
        self._s3 = target.client("s3")
        self._ledger, self._work_queue = target.ledger, target.work_queue
        self._load, self._contents = load, Contents(load)
        self._duplicates = planned_duplicates(load)
        self._settle_seconds = settle_seconds
        self._show = show
        self._uploading: list[Future[_Uploaded]] = []
        self._deadline = time.monotonic() + timeout_seconds
        self.tracker = Tracker(time.time())

    def upload_and_follow(self, concurrency: int) -> None:
        """Uploads everything, with the early duplicate events; returns when all is quiet."""
        with ThreadPoolExecutor(concurrency) as pool:
            files = planned_files(self._load)
            self._uploading = [pool.submit(self._upload, file) for file in files]
            try:
                self._until_quiet()
            finally:
                pool.shutdown(cancel_futures=True)

    def repeat_events(self) -> None:
        """Sends the late duplicate events, and returns when all is quiet again."""
        late = [each for each in self._duplicates if not each.is_early]
        uploads = {
            each.file.number: each.upload
            for each in self.tracker.courses.values()
            if each.file.poison is None
        }
        for each in late:
            if each.file_number in uploads:
                self._repeat(each, uploads[each.file_number])
        if late:
            self._until_quiet()

    def _upload(self, file: PlannedFile) -> _Uploaded:
        with tempfile.TemporaryFile() as stream:
            self._contents.write(file, stream)
            stream.seek(0)
            with translated("s3:PutObject"):
                answer = self._s3.put_object(Bucket=self._bucket, Key=file.key, Body=stream)
        uploaded_at = time.time()
        upload = Upload(self._bucket, file.key, answer.get("VersionId", "null"))
        for each in self._early_duplicates(file):
            self._repeat(each, upload)
        return file, upload, uploaded_at

    def _early_duplicates(self, file: PlannedFile) -> Sequence[DuplicateEvent]:
        if file.poison is not None:
            return ()
        return [e for e in self._duplicates if e.is_early and e.file_number == file.number]

    def _repeat(self, duplicate: DuplicateEvent, upload: Upload) -> None:
        event = (
            another_event(upload, time.time())
            if duplicate.is_reannounced
            else repeated_event(upload)
        )
        self._work_queue.send_all([event])

    def _until_quiet(self) -> None:
        """Until all files have ended and the queue has been empty for a while.

        A queue that others keep busy is not waited for without end.
        """
        ended_at: float | None = None
        empty_since: float | None = None
        while (now := time.monotonic()) < self._deadline:
            sample = self._look()
            is_ended = not self._uploading and not self.tracker.open_jobs
            ended_at = (ended_at or now) if is_ended else None
            empty_since = (empty_since or now) if is_ended and sample.depth.is_empty else None
            if empty_since is not None and now - empty_since >= self._settle_seconds:
                return
            if ended_at is not None and now - ended_at >= OTHERS_WORK_SECONDS:
                return
            time.sleep(SAMPLE_SECONDS)

    def _look(self) -> Sample:
        done = [each for each in self._uploading if each.done()]
        self._uploading = [each for each in self._uploading if each not in done]
        for each in done:
            self.tracker.uploaded(*each.result())
        depth = QueueDepth(*self._work_queue.depth())
        items = self._ledger.get_all(self.tracker.open_jobs)
        sample = self.tracker.see(items, depth, time.time())
        self._show(sample)
        return sample
