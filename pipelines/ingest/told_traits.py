"""What a call says of somebody by its traits: each trait in one spelling, personal ones sealed (docs/traits.md)."""

from typing import Any, Final

import orjson

from config.identity import Identity, PersonalNames
from config.traits import Traits
from pipelines.ingest.sealing import Sealer
from pipelines.wire import Word

TRAITS_FLAG: Final = "limit:traits"
"""Some traits, or groups, are not kept; `limit:` as in docs/features.md, "Limits"."""
MAX_NAME: Final = 64
MAX_VALUE: Final = 1_024
_WHOLE: Final = 2.0**64
"""Whole floats below are written as whole numbers, as those who wrote them so have meant."""


class TraitReader:
    """Reads the traits of `identify` and `group` calls.

    Args:
        traits: rules; which trait tells that another is verified.
        identity: which traits are personal.
        sealer: encrypts those.
    """

    def __init__(self, traits: Traits, identity: Identity, sealer: Sealer) -> None:
        self._traits = traits
        self._is_personal = PersonalNames(identity.pii_traits)
        self._is_personal_of_group = PersonalNames(identity.pii_properties)
        self._sealer = sealer

    def words(self, tenant: str, traits: dict[str, Any], *, of_group: bool = False) -> tuple[list[Word], bool]:
        """What a call says.

        Args:
            tenant: owner.
            traits: as JSON reads them.
            of_group: they are a group's: its `name` is nobody's, so what is personal in properties is personal.

        Returns:
            A word for each trait, and whether some had to be left out because their name or value is too long.
        """
        words = []
        is_personal = self._is_personal_of_group if of_group else self._is_personal
        for name, value in traits.items():
            text = canonical(value)
            if not 1 <= len(name) <= MAX_NAME or len(text) > MAX_VALUE:
                continue  # characters: what their bytes come to is bounded by node, see `claims.MAX_PACKED`
            verified_by = self._traits.of(tenant, name).verified_by
            is_verified = bool(verified_by) and traits.get(verified_by) is True
            length = len(value.strip()) if isinstance(value, str) else len(text)
            if text and is_personal.cover(name, value):
                text = self._sealer.seal(tenant, name, text)
            words.append(Word(name, text, length, is_verified))
        return words, len(words) < len(traits)


def canonical(value: Any) -> str:
    """The JSON text that stands for a value and all its spellings; empty for one that says nothing (null, blanks)."""
    if isinstance(value, str):
        value = value.strip()
    if value is None or value == "":
        return ""
    return orjson.dumps(_plain(value), option=orjson.OPT_SORT_KEYS).decode()


def _plain(value: Any) -> Any:
    if isinstance(value, float) and value.is_integer() and abs(value) < _WHOLE:
        return int(value)
    if isinstance(value, list):
        return [_plain(one) for one in value]
    if isinstance(value, dict):
        return {name: _plain(one) for name, one in value.items()}
    return value
