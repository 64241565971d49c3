"""The characters written out for numbers are those that Unicode puts into their categories."""

import sys
import unicodedata

from importers.mapping import characters


def test_the_written_categories_are_pythons() -> None:
    found: dict[str, set[str]] = {"Zs": set(), "Cf": set(), "Sc": set()}
    for code in range(sys.maxunicode + 1):
        found.setdefault(unicodedata.category(chr(code)), set()).add(chr(code))
    assert set(characters.SPACES) == found["Zs"]
    assert set(characters.FORMATS) == found["Cf"]
    assert set(characters.CURRENCY_SIGNS) == found["Sc"]
