"""The vendored data set as invoices: UCI Online Retail, see `data/README.md`."""

from datetime import UTC, datetime
from decimal import ROUND_FLOOR, Decimal
from functools import cache
from pathlib import Path
from typing import Final, NamedTuple

import pyarrow.parquet as pq

DAY_MS: Final = 86_400_000
FILE: Final = Path(__file__).parent.parent / "data" / "online_retail.parquet"
HALF: Final = Decimal("0.5")


class Line(NamedTuple):
    """One line of an invoice, signs as in the file (returns and write-offs have a negative quantity)."""

    product_id: str
    name: str
    quantity: int
    price: str

    def minor_units(self, quantity: int) -> int:
        """Amount of `quantity` pieces in pence, half a penny rounded up."""
        return int((Decimal(self.price) * quantity * 100 + HALF).to_integral_value(ROUND_FLOOR))


class Invoice(NamedTuple):
    """An invoice: `number` as in the file, `customer` empty when unknown, `time_ms` its smallest date (UTC)."""

    number: str
    customer: str
    country: str
    time_ms: int
    lines: list[Line]

    @property
    def is_refund(self) -> bool:
        """Whether it takes goods back (number starts with C)."""
        return self.number.startswith("C")

    @property
    def is_sale(self) -> bool:
        """Whether goods were sold: neither a refund nor a stock write-off (negative quantities) nor bad debt."""
        return self.number.isdigit() and self.lines[0].quantity > 0


class Dataset(NamedTuple):
    """All invoices by time (then file order), and the catalogue of everything sold, in order of first sale."""

    invoices: list[Invoice]
    catalogue: list[Line]


def _time_ms(text: str) -> int:
    return int(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp()) * 1000


@cache
def load(path: Path = FILE) -> Dataset:
    """Read the data set.

    Args:
        path: the parquet file; all columns are strings.

    Returns:
        Invoices in order of time and the catalogue.
    """
    table = pq.read_table(path)
    columns = {name: table.column(name).to_pylist() for name in table.column_names}
    times = {text: _time_ms(text) for text in set(columns["InvoiceDate"])}
    invoices: dict[str, Invoice] = {}
    catalogue: dict[str, Line] = {}
    rows = zip(
        *(
            columns[name]
            for name in ("InvoiceNo", "StockCode", "Description", "Quantity", "InvoiceDate", "UnitPrice", "CustomerID", "Country")
        ),
        strict=True,
    )
    for number, code, name, quantity, date, price, customer, country in rows:
        line = Line(code, name.strip(), int(quantity), price)
        invoice = invoices.get(number)
        if invoice is None:
            invoices[number] = Invoice(number, customer, country, times[date], [line])
        else:
            invoice.lines.append(line)
            if times[date] < invoice.time_ms:
                invoices[number] = invoice._replace(time_ms=times[date])
        if code not in catalogue and line.quantity > 0 and line.name and float(price) > 0:
            catalogue[code] = line
    ordered = sorted(invoices.values(), key=lambda invoice: invoice.time_ms)
    return Dataset(ordered, list(catalogue.values()))
