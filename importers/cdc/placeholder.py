"""What Debezium sends in place of a large column that an update did not touch (TOAST), in all its dresses.

By type of the column: the text itself; in base64 or hex (bytea); a list of it (arrays of text and of bytes); a list of its bytes as numbers
(arrays of integers); a UUID made of it (arrays of UUIDs); a map of it to itself (hstore), as an object or as text. Shapes of the Postgres
connector 3.6.
"""

import base64
import hashlib
import uuid
from typing import Any, Final

from config.sources import UNAVAILABLE
from schemas import json_text

_HEX: Final = "hex:"
_JSON_BEGINS: Final = ("{", "[", '"')


class Placeholder:
    """Recognises the placeholder of a connector.

    Args:
        told: the connector's `unavailable.value.placeholder`; with `hex:` in front its bytes in hex.

    Raises:
        ValueError: it is empty, or no hex.
    """

    def __init__(self, told: str = UNAVAILABLE) -> None:
        raw = bytes.fromhex(told.removeprefix(_HEX)) if told.startswith(_HEX) else told.encode()
        if not raw:
            raise ValueError("the placeholder of values that were not sent must not be empty")
        self._text = raw.decode(errors="replace")
        digest = uuid.UUID(bytes=hashlib.md5(raw, usedforsecurity=False).digest(), version=3)  # as Java names a UUID by bytes
        coded = [base64.b64encode(raw).decode(), base64.urlsafe_b64encode(raw).decode()]
        self._texts = frozenset([self._text, *coded, *(one.rstrip("=") for one in coded), raw.hex(), raw.hex().upper(), str(digest)])
        self._numbers = [byte - 256 if byte > 127 else byte for byte in raw]

    def stands_in(self, value: Any) -> bool:
        """Whether a value is the placeholder, or has it anywhere inside."""
        if isinstance(value, str):
            return value in self._texts or (self._text in value and self._is_in_json(value))
        if isinstance(value, list):
            return value == self._numbers or any(self.stands_in(one) for one in value)
        if isinstance(value, dict):
            return any(name in self._texts or self.stands_in(one) for name, one in value.items())
        return False

    def _is_in_json(self, text: str) -> bool:
        """Whether text is JSON that has the placeholder as one of its values or names: a sentence that speaks of it is data."""
        if not text.lstrip().startswith(_JSON_BEGINS):
            return False
        try:
            read = json_text.read(text, wide=True)
        except json_text.JsonTextError:
            return False
        return read != text and self.stands_in(read)
