"""What the shop sells: the best-selling products of the data set, with their real names and prices."""

from collections import Counter
from typing import Any, Final

from demo.dataset import Dataset, Line

SHOWN: Final = 48
MUST_FIT: Final = 14.0
"""No dearer than this, and nothing that is no product (postage, fees)."""
_DEPARTMENTS: Final = {
    "Bags": ("BAG", "BAGS", "PURSE"),
    "Kitchen": ("CAKE", "CAKECASES", "JAM", "TEA", "MUG", "BOWL", "PLATE", "PLATES", "TIN", "TINS", "LUNCH", "BAKING", "JAR", "BOTTLE"),
    "Light": ("LIGHT", "LIGHTS", "T-LIGHT", "LANTERN", "CANDLE", "CANDLES"),
    "Paper": ("PAPER", "CARD", "CARDS", "TAGS", "NAPKINS", "DOILIES", "WRAP", "TISSUES"),
    "Garden": ("GARDEN", "BIRD", "PARASOL", "FLOWER", "TREE"),
}


def catalogue(data: Dataset) -> list[dict[str, Any]]:
    """The shop's products.

    Args:
        data: the data set.

    Returns:
        `product_id, name, price, category`, best sellers first.
    """
    sold: Counter[str] = Counter()
    for invoice in data.invoices:
        if invoice.is_sale:
            sold.update({line.product_id: line.quantity for line in invoice.lines})
    by_id = {line.product_id: line for line in data.catalogue}
    fit = [by_id[product] for product, _ in sold.most_common() if product in by_id and _fits(by_id[product])]
    return [
        {"product_id": line.product_id, "name": _title(line.name), "price": float(line.price), "category": _department(line.name)}
        for line in fit[:SHOWN]
    ]


def names(data: Dataset) -> dict[str, str]:
    """Product id -> name, as it is shown, of everything that has one."""
    return {line.product_id: _title(line.name) for line in data.catalogue if line.name}


def _fits(line: Line) -> bool:
    return line.product_id[:1].isdigit() and bool(line.name) and 0.5 <= float(line.price) <= MUST_FIT


def _title(name: str) -> str:
    return " ".join(word.capitalize() for word in name.replace(".", "").replace(" ,", ",").split())


def _department(name: str) -> str:
    words = set(name.replace(",", " ").split())
    return next((department for department, signs in _DEPARTMENTS.items() if words.intersection(signs)), "Home")
