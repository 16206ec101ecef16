"""All ports of a worker, in memory."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from pipeline.core.envelope import Entropy
from pipeline.keys import FINGERPRINT_KEY_VERSION, fingerprint_data_key_id
from pipeline.ports import Ports
from pipeline.succession import SuccessiveFingerprints
from pipeline.testing.buckets import A_MOMENT, MemoryQuarantine, MemoryTokenized
from pipeline.testing.keys import MemoryDataKeys, MemoryDecryptionKeys, MemoryKeys
from pipeline.testing.layouts import MemoryLayouts
from pipeline.testing.ledger import MemoryLedger
from pipeline.testing.queues import MemoryDeadLetters, MemoryWorkQueue
from pipeline.testing.steps import InTurn
from pipeline.testing.vault import MemoryFingerprints, MemoryVault


class NoCalls:
    """Nothing here calls AWS."""

    def snapshot(self) -> Mapping[str, Mapping[str, int]]:
        """Empty."""
        return {}


@dataclass
class MemoryWorld:
    """All ports in memory, with a fingerprint key in place."""

    entropy: Entropy
    layouts: MemoryLayouts = field(default_factory=MemoryLayouts)
    vault: MemoryVault = field(default_factory=MemoryVault)
    fingerprints: MemoryFingerprints = field(default_factory=MemoryFingerprints)
    data_keys: MemoryDataKeys = field(default_factory=MemoryDataKeys)
    quarantine: MemoryQuarantine = field(default_factory=MemoryQuarantine)
    tokenized: MemoryTokenized = field(default_factory=MemoryTokenized)
    ledger: MemoryLedger = field(default_factory=MemoryLedger)
    work_queue: MemoryWorkQueue = field(default_factory=MemoryWorkQueue)
    dead_letters: MemoryDeadLetters = field(default_factory=MemoryDeadLetters)
    decryption_keys: MemoryDecryptionKeys = field(default_factory=MemoryDecryptionKeys)
    keys: MemoryKeys = field(init=False)

    def __post_init__(self) -> None:
        self.keys = MemoryKeys(self.entropy)
        data_key_id = fingerprint_data_key_id(FINGERPRINT_KEY_VERSION)
        context = {"purpose": "fingerprint", "data_key_id": data_key_id}
        _, record = self.keys.generate_data_key(data_key_id, context, A_MOMENT.isoformat())
        self.keys.generated = 0
        self.data_keys.insert_if_absent(record)

    def ports(self) -> Ports:
        """The bundle that a worker takes."""
        return Ports(
            quarantine=self.quarantine,
            tokenized=self.tokenized,
            crew=InTurn(),
            vault=self.vault,
            fingerprints=SuccessiveFingerprints(self.fingerprints),
            data_key_records=self.data_keys,
            key_service=self.keys,
            ledger=self.ledger,
            layouts=self.layouts,
            work_queue=self.work_queue,
            dead_letters=self.dead_letters,
            calls=NoCalls(),
            clock=lambda: A_MOMENT,
            entropy=self.entropy,
            decryption_keys=self.decryption_keys,
        )
