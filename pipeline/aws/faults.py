"""AWS errors in the pipeline's own terms."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from botocore.exceptions import BotoCoreError, ClientError

from pipeline.errors import TransientError

MAX_TRIES = 8
FIRST_PAUSE_SECONDS = 0.05
LONGEST_PAUSE_SECONDS = 5.0

_THROTTLES = frozenset(
    {
        "ProvisionedThroughputExceeded",
        "ProvisionedThroughputExceededException",
        "RequestLimitExceeded",
        "ThrottlingError",
        "ThrottlingException",
        "Throttling",
        "SlowDown",
        "TooManyRequestsException",
    }
)
_DENIALS = frozenset({"AccessDenied", "AccessDeniedException", "403"})


def is_throttle(aws_code: str) -> bool:
    """Whether AWS asks for fewer requests."""
    return aws_code in _THROTTLES


def longest_pause_seconds(tries: int) -> float:
    """How long to wait at most after so many tries that came to nothing."""
    return min(FIRST_PAUSE_SECONDS * 2.0 ** min(tries - 1, 16), LONGEST_PAUSE_SECONDS)


def error_code(error: ClientError) -> str:
    """AWS's code for the error."""
    return str(error.response.get("Error", {}).get("Code", "unknown"))


def transient(operation: str, aws_code: str) -> TransientError:
    """The error for an AWS code; AWS's message stays behind, it may repeat what was sent."""
    if is_throttle(aws_code):
        return TransientError("throttled", operation)
    if aws_code in _DENIALS:
        return TransientError("access_denied", operation)
    return TransientError("aws_error", f"{operation}: {aws_code}")


@contextmanager
def translated(operation: str) -> Iterator[None]:
    """Raises what AWS's client raises as `TransientError`: `throttled`, `access_denied`, …."""
    try:
        yield
    except ClientError as error:
        raise transient(operation, error_code(error)) from None
    except BotoCoreError as error:
        raise TransientError("aws_unreachable", f"{operation}: {type(error).__name__}") from None


def pauses(sleep: Callable[[float], None] = time.sleep) -> Iterator[None]:
    """Yields for each try but the last; pauses between them, longer each time, with full jitter."""
    for tries in range(1, MAX_TRIES):
        yield
        sleep(random.uniform(0, longest_pause_seconds(tries)))
    yield
