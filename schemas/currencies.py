"""How many decimals a currency has (ISO 4217): what its minor unit is."""

from typing import Final

_DECIMALS: Final = {
    **dict.fromkeys(
        ("BIF", "CLP", "DJF", "GNF", "ISK", "JPY", "KMF", "KRW", "PYG", "RWF", "UGX", "UYI", "VND", "VUV", "XAF", "XOF", "XPF"), 0
    ),
    **dict.fromkeys(("BHD", "IQD", "JOD", "KWD", "LYD", "OMR", "TND"), 3),
    **dict.fromkeys(("CLF", "UYW"), 4),
}
MOST: Final = 2


def decimals(currency: str) -> int:
    """Decimals of a currency: 0 for JPY, 3 for KWD, 2 for most, and for what ISO 4217 does not know."""
    return _DECIMALS.get(currency, MOST)


def exceptions() -> dict[int, list[str]]:
    """Currencies that do not have two decimals, by the number they have."""
    found: dict[int, list[str]] = {}
    for currency, number in _DECIMALS.items():
        found.setdefault(number, []).append(currency)
    return found
