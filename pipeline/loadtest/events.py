"""Events about one upload, as S3 would send them."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from pipeline.core.messages import upload_message
from pipeline.core.receipts import iso_time
from pipeline.model import Upload


def repeated_event(upload: Upload) -> dict[str, Any]:
    """The event that was sent for it, once more."""
    return upload_message(upload)


def another_event(upload: Upload, at_seconds: float) -> dict[str, Any]:
    """An event of its own for the same object: another name, another moment, another place in the
    sequence.
    """
    message = upload_message(upload)
    record = message["Records"][0]
    record |= {
        "eventVersion": "2.3",
        "eventName": "ObjectCreated:CompleteMultipartUpload",
        "eventTime": iso_time(datetime.fromtimestamp(at_seconds, UTC)),
    }
    record["s3"] |= {"s3SchemaVersion": "1.0"}
    record["s3"]["object"]["sequencer"] = f"{int(at_seconds * 1e6):018X}"
    return message
