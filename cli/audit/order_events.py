"""The events of orders, taken out of the clean topics and folded."""

from collections.abc import Mapping

from cli.audit.fold import NAMES, Fold
from config.platform import Tenant
from schemas import clean as codec
from schemas import json_text


class OrderEvents:
    """Takes the events of orders out of the clean topics as they are read.

    Args:
        tenants: by name.

    Attributes:
        fold: what they add up to.
        odd: events whose properties are not written as the platform writes them: readers may understand them differently.
    """

    def __init__(self, tenants: Mapping[str, Tenant]) -> None:
        self.fold = Fold({name: tenant.minor_units for name, tenant in tenants.items()})
        self.odd: dict[str, list[str]] = {}
        self.count = 0

    def take(self, name: str, message: bytes) -> None:
        """See `CleanEvidence.on_event`."""
        if name not in NAMES:
            return
        self.count += 1
        record = codec.decode(message)
        place = f"{record['source']}/{record['partition']}@{record['offset']}"
        try:
            properties = json_text.read_object(record["properties"])
            if json_text.written(properties) != record["properties"]:
                self.odd.setdefault(record["tenant"], []).append(f"event of {place}: properties are not canonical JSON")
            self.fold.take(record, properties)
        except (json_text.JsonTextError, KeyError, TypeError) as error:
            self.odd.setdefault(record["tenant"], []).append(f"event of {place}: cannot be folded ({type(error).__name__})")
