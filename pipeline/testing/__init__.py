"""The world outside, in memory, for our tests and for a user's; and events as AWS sends them.

Each class keeps the promises of its Protocol in `ports.py`; the same contract suite runs on these
and on the AWS adapters.
"""

from pipeline.testing.access import MemoryApprovals, MemoryAuditLog, MemoryGrants, MemoryUsages
from pipeline.testing.buckets import A_MOMENT, MemoryQuarantine, MemoryTokenized
from pipeline.testing.events import api_event, s3_event, sqs_event
from pipeline.testing.keys import MemoryDataKeys, MemoryDecryptionKeys, MemoryKeys
from pipeline.testing.layouts import MemoryLayouts
from pipeline.testing.ledger import MemoryLedger
from pipeline.testing.queues import MemoryDeadLetters, MemoryWorkQueue
from pipeline.testing.steps import InTurn, result_of
from pipeline.testing.vault import MemoryFingerprints, MemoryVault, MemoryVaultReader
from pipeline.testing.world import MemoryWorld, NoCalls

__all__ = [
    "A_MOMENT",
    "InTurn",
    "MemoryApprovals",
    "MemoryAuditLog",
    "MemoryDataKeys",
    "MemoryDeadLetters",
    "MemoryDecryptionKeys",
    "MemoryFingerprints",
    "MemoryGrants",
    "MemoryKeys",
    "MemoryLayouts",
    "MemoryLedger",
    "MemoryQuarantine",
    "MemoryTokenized",
    "MemoryUsages",
    "MemoryVault",
    "MemoryVaultReader",
    "MemoryWorkQueue",
    "MemoryWorld",
    "NoCalls",
    "api_event",
    "result_of",
    "s3_event",
    "sqs_event",
]
