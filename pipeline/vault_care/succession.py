"""The steps by which one version of the fingerprint key succeeds another."""

from __future__ import annotations

from datetime import datetime

from pipeline.core.keyring import KeyRing, begin_succession, finish_succession
from pipeline.core.receipts import iso_time
from pipeline.errors import PermanentError
from pipeline.keys import fingerprint_data_key_id
from pipeline.vault_care.ports import DataKeyStore, KeyRenewal


def begin(store: DataKeyStore, renewal: KeyRenewal, key_arn: str, now: datetime) -> KeyRing:
    """Makes the next version and puts it beside the current one.

    The wrapped key is durable before the key ring names it. One that an earlier try left behind is
    taken as it is.
    """
    ring = begin_succession(store.key_ring(), now)
    data_key_id = fingerprint_data_key_id(ring.current)
    context = {"purpose": "fingerprint", "data_key_id": data_key_id}
    record = renewal.generate_wrapped(data_key_id, context, key_arn, iso_time(now))
    store.insert_if_absent(record)
    store.save_key_ring(ring)
    return ring


def finish(store: DataKeyStore, now: datetime) -> KeyRing:
    """Leaves the new version alone; the old one's fingerprints are of no use from then on."""
    ring = finish_succession(store.key_ring(), now)
    store.save_key_ring(ring)
    return ring


def destroy_retired(store: DataKeyStore, now: datetime) -> list[str]:
    """Destroys the wrapped keys of versions that no worker uses any more, and names them.

    Raises `PermanentError` `too_early` while a worker may still use one.
    """
    ring = store.key_ring()
    if not ring.is_known_to_all(now):
        raise PermanentError("too_early", "a worker may still use the version before")
    names = {fingerprint_data_key_id(version) for version in range(1, ring.versions[0])}
    retired = [kept.record for kept in store.all() if kept.record.data_key_id in names]
    for record in retired:
        store.destroy(record)
    return [record.data_key_id for record in retired]
