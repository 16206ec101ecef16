"""The local stack: the same template as on AWS, on an engine in a process of this machine."""

from pipeline.local.errors import EngineDiedError, LocalStackError
from pipeline.local.lifecycle import Report, Stopped, down, up
from pipeline.local.stack import LocalStack, function_logs
from pipeline.local.state import default_state_dir
from pipeline.local.status import Status, find, status

__all__ = [
    "EngineDiedError",
    "LocalStack",
    "LocalStackError",
    "Report",
    "Status",
    "Stopped",
    "default_state_dir",
    "down",
    "find",
    "function_logs",
    "status",
    "up",
]
