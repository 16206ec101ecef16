"""What the watching template must hold to: each check takes a template and returns its findings."""

from collections.abc import Callable

from tests.template import Template
from tests.template_checks import access, buckets, keys, stack
from tests.watch_checks import alarms, queries, trail

Check = Callable[[Template], list[str]]

CHECKS: tuple[Check, ...] = (
    access.check_nobody_is_everybody,
    buckets.check_buckets_refuse_requests_without_tls,
    buckets.check_buckets_are_closed_to_the_public,
    buckets.check_buckets_keep_versions,
    buckets.check_incomplete_uploads_are_dropped,
    keys.check_administrators_touch_no_plaintext,
    keys.check_keys_rotate,
    stack.check_parameters_are_explained_and_bounded,
    *(
        check
        for module in (trail, alarms, queries)
        for name, check in sorted(vars(module).items())
        if name.startswith("check_")
    ),
)
