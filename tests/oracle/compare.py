"""Where a published profile differs from what it should be."""

import math
from collections.abc import Mapping
from typing import Any

TOLERANCE = 1e-9
# The store's own fields, and the fingerprint of the rules, which names a configuration and measures nothing.
STORE_FIELDS = frozenset({"_v", "_at", "rules_version"})


def differences(
    expected: Mapping[str, Any], published: Mapping[str, Any], ignore: frozenset[str] = STORE_FIELDS
) -> dict[str, tuple[Any, Any]]:
    """Field -> (expected, published) where they differ; a field that is on one side only differs from `missing`.

    Integers, text and lists must be equal; numbers with a fraction may differ by rounding (1e-9, relative or absolute).
    """
    names = (expected.keys() | published.keys()) - ignore
    pairs = {name: (expected.get(name, "missing"), published.get(name, "missing")) for name in sorted(names)}
    return {name: pair for name, pair in pairs.items() if not _equal(*pair)}


def _equal(a: Any, b: Any) -> bool:
    if isinstance(a, float) or isinstance(b, float):
        numbers = isinstance(a, int | float) and isinstance(b, int | float)
        return numbers and math.isclose(a, b, rel_tol=TOLERANCE, abs_tol=TOLERANCE)
    return bool(a == b)
