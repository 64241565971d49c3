"""Characters that stand in and around numbers, by their category in Unicode.

Written out, because to look through all characters costs a tenth of a second in every process. A test compares them with `unicodedata`.
"""

from typing import Final


def _each(*ranges: str) -> str:
    """The characters of ranges like `2000-200a`, in hexadecimal."""
    bounds = ([int(end, 16) for end in found.split("-")] for found in ranges)
    return "".join(chr(code) for bound in bounds for code in range(bound[0], bound[-1] + 1))


SPACES: Final = _each("20", "a0", "1680", "2000-200a", "202f", "205f", "3000")
"""Category Zs."""

FORMATS: Final = _each(
    "ad", "600-605", "61c", "6dd", "70f", "890-891", "8e2", "180e", "200b-200f", "202a-202e", "2060-2064", "2066-206f", "feff", "fff9-fffb",
    "110bd", "110cd", "13430-13438", "1bca0-1bca3", "1d173-1d17a", "e0001", "e0020-e007f",
)  # fmt: skip
"""Category Cf: marks of direction, zero-width spaces and the like, which nobody sees."""

CURRENCY_SIGNS: Final = _each(
    "24", "a2-a5", "58f", "60b", "7fe-7ff", "9f2-9f3", "9fb", "af1", "bf9", "e3f", "17db", "20a0-20c0", "a838", "fdfc", "fe69", "ff04",
    "ffe0-ffe1", "ffe5-ffe6", "11fdd-11fe0", "1e2ff", "1ecb0",
)  # fmt: skip
"""Category Sc."""
