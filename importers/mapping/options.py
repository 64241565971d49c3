"""What a mapping says about the file it is for: format, dialect, and which texts mean that nothing is there."""

from typing import Final, Literal

import msgspec

from importers.mapping.document import Node, hint

Format = Literal["csv", "parquet", "jsonl"]
Groups = Literal["adjacent", "scattered"]


class Options(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How a file is read.

    Attributes:
        format: by default told by the file's name.
        encoding: of CSV and JSON Lines, as Python names it.
        delimiter: between the cells of CSV.
        quote: around cells of CSV; empty: none.
        escape: before a quote inside a cell; empty: a quote is doubled.
        skip_spaces: spaces behind a delimiter are no part of the cell.
        header: true: the first row names the columns; or their names.
        skip_lines: lines before the header.
        nulls: texts that mean nothing is there (cells, values at the top of an object); by default the empty one for CSV, else none.
        optional: columns that the mapping reads and a file may lack.
    """

    format: Format | None = None
    encoding: str = "utf-8"
    delimiter: str = ","
    quote: str = '"'
    escape: str = ""
    skip_spaces: bool = False
    header: bool | list[str] = True
    skip_lines: int = 0
    nulls: list[str] | None = None
    optional: list[str] = []


DEFAULT: Final = Options()


def compile_options(node: Node) -> Options:
    """Read `input:`.

    Raises:
        MappingError: a field is unknown or does not hold what it should.
    """
    fields = node.fields(Options.__struct_fields__)
    for name, field in fields.items():
        try:
            options = msgspec.convert({name: field.plain()}, Options)
        except msgspec.ValidationError as error:
            raise field.error(str(error).partition(" - at ")[0]) from error
        _check(name, field, options)
    return msgspec.convert(node.plain(), Options)


def _check(name: str, node: Node, options: Options) -> None:
    if name == "delimiter" and len(options.delimiter) != 1:
        raise node.error('one character, e.g. ";" or "\\t"')
    if name in ("quote", "escape") and len(getattr(options, name)) > 1:
        raise node.error("one character or none")
    if name == "header" and options.header is False:
        raise node.error("without a header the columns need names: header: [order_id, ...]")
    if name == "header" and isinstance(options.header, list) and len(set(options.header)) < len(options.header):
        raise node.error("a name is there twice")
    if name == "skip_lines" and not 0 <= options.skip_lines <= 1000:
        raise node.error("0 to 1000 lines")
    if name == "encoding":
        try:
            "".encode(options.encoding)
        except LookupError as error:
            near = hint(options.encoding, ["utf-8", "utf-16", "latin-1", "cp1252", "cp1250", "gb18030", "shift_jis"])
            raise node.error(f"there is no encoding `{options.encoding}`{near}") from error
