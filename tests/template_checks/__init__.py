"""What the template must hold to: each check takes a template and returns its findings."""

from collections.abc import Callable

from tests.template import Template
from tests.template_checks import access, api, buckets, functions, keys, queues, stack, tables

Check = Callable[[Template], list[str]]

CHECKS: tuple[Check, ...] = tuple(
    check
    for module in (access, keys, buckets, queues, tables, functions, api, stack)
    for name, check in sorted(vars(module).items())
    if name.startswith("check_")
)
