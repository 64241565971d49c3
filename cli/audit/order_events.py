"""The events of objects, taken out of the clean topics and folded."""

from collections.abc import Iterable, Mapping
from typing import Any

from cli.audit.fold import LEDGER, NAMES, Fold
from config import loader
from config.platform import Tenant
from schemas import clean as codec
from schemas import contracts, json_text


class OrderEvents:
    """Takes the events of objects out of the clean topics as they are read.

    Args:
        tenants: by name.
        namespaces: from the strongest to the weakest; by default those of `config/identity.yaml`.
        kinds: of objects; by default those that contracts name.

    Attributes:
        fold: what they add up to.
        count: how many of them were versions, refunds and cancellations of orders.
        odd: events whose properties are not written as the platform writes them: readers may understand them differently.
    """

    def __init__(self, tenants: Mapping[str, Tenant], namespaces: Iterable[str] | None = None, kinds: Iterable[str] | None = None) -> None:
        named = [namespace.name for namespace in loader.identity().namespaces] if namespaces is None else list(namespaces)
        found = {kind for contract in contracts.load().values() for kind in contract.object} if kinds is None else {*kinds}
        self.begins = (*LEDGER, *(f"{kind}|" for kind in found))
        # Most events concern no object: a look at their bytes spares decoding them.
        self._marks = [begin.encode() for begin in {*self.begins}]
        self.fold = Fold({name: tenant.minor_units for name, tenant in tenants.items()}, named)
        self.odd: dict[str, list[str]] = {}
        self.count = 0

    def take(self, name: str, message: bytes) -> None:
        """See `CleanEvidence.on_event`."""
        if name not in NAMES and not any(mark in message for mark in self._marks):
            return
        record = codec.decode(message)
        if name in NAMES:
            self._of_the_ledger(record)
        elif record["object"].startswith(self.begins):
            self.fold.take(record, {})

    def _of_the_ledger(self, record: Mapping[str, Any]) -> None:
        self.count += 1
        place = f"{record['source']}/{record['partition']}@{record['offset']}"
        try:
            properties = json_text.read_object(record["properties"])
            if json_text.written(properties) != record["properties"]:
                self.odd.setdefault(record["tenant"], []).append(f"event of {place}: properties are not canonical JSON")
            self.fold.take(record, properties)
        except (json_text.JsonTextError, KeyError, TypeError) as error:
            self.odd.setdefault(record["tenant"], []).append(f"event of {place}: cannot be folded ({type(error).__name__})")
