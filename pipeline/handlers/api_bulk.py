"""The routes of bulk jobs."""

from __future__ import annotations

import base64
from collections.abc import Callable

from aws_lambda_powertools.event_handler import APIGatewayRestResolver
from aws_lambda_powertools.metrics import MetricUnit

from pipeline.access import Request
from pipeline.bulk import Bulk, Slice
from pipeline.core.bulk import BulkJob, bulk_job
from pipeline.handlers.api_edge import caller_of, metrics
from pipeline.handlers.api_models import (
    BulkJobDescription,
    BulkJobDocument,
    BulkJobEnd,
    BulkJobEnded,
    BulkJobRequest,
    SliceRequest,
    SliceResponse,
)
from pipeline.handlers.api_responses import responses


def add_bulk(app: APIGatewayRestResolver, service: Callable[[], Bulk]) -> APIGatewayRestResolver:
    """Adds the routes that describe, open and end a bulk job."""

    @app.post(
        "/bulk-jobs",
        summary="Describe a bulk job",
        description="Somebody else approves what is answered; see the guide.",
        operation_id="describeBulkJob",
        responses=responses("The job, to be approved.", BulkJobDocument),
    )
    def describe(body: BulkJobRequest) -> BulkJobDocument:
        request = Request(caller_of(app), "bulk", 1, body.purpose, "full")
        job, wrapped_key = service().describe(request, body.rows, body.tokens_root, body.public_key)
        return BulkJobDocument(
            job=BulkJobDescription.model_validate(job.encryption_context),
            wrapped_key=base64.b64encode(wrapped_key).decode(),
        )

    @app.post(
        "/bulk-jobs/slices",
        summary="Open a slice of an approved bulk job",
        description="What comes of it is sealed to the requester's key.",
        operation_id="openSlice",
        responses=responses("The sealed slice.", SliceResponse),
    )
    def open_slice(body: SliceRequest) -> SliceResponse:
        job = _job(body.document)
        request = Request(
            caller_of(app), "bulk", len(body.tokens), job.reason, "full", job_id=job.job_id
        )
        proof = [bytes.fromhex(each) for each in body.proof]
        opened = service().open(
            request, job, _wrapped_key(body.document), Slice(body.number, body.tokens, proof)
        )
        metrics.add_metric("TokensDetokenizedInBulk", MetricUnit.Count, opened.opened)
        sealed = base64.b64encode(opened.sealed).decode()
        return SliceResponse(sealed=sealed, opened=opened.opened, errors=opened.errors)

    @app.post(
        "/bulk-jobs/end",
        summary="End a bulk job",
        description="Retires its approval.",
        operation_id="endBulkJob",
        responses=responses("It is over.", BulkJobEnded),
    )
    def end(body: BulkJobEnd) -> BulkJobEnded:
        job = _job(body.document)
        request = Request(caller_of(app), "bulk", 1, job.reason, "full", job_id=job.job_id)
        service().end(request, job)
        return BulkJobEnded(job_id=job.job_id)

    return app


def _job(document: BulkJobDocument) -> BulkJob:
    return bulk_job(document.job.model_dump())


def _wrapped_key(document: BulkJobDocument) -> bytes:
    return base64.b64decode(document.wrapped_key)
