"""Arrow's columns as lists of values that JSON has; what has no such value is told apart, one value at a time.

Arrow's own way to Python objects ends at the first time that Python's calendar lacks. So times are read as the whole numbers that they are
stored as, at any depth, and made text here.
"""

import base64
import math
import uuid
from collections.abc import Callable
from typing import Any

import numpy as np
import pyarrow as pa

from importers.files import arrow_times
from importers.mapping.decimals import as_json

Convert = Callable[[Any], Any]


class NoJson:
    """Stands where JSON has nothing for a value.

    Attributes:
        rule: what was expected.
        shown: the value as it is stored, as text.
        path: from the column's value to the part that is wrong: `.lines[3].at`.
    """

    def __init__(self, rule: str, shown: str, path: str = "") -> None:
        self.rule, self.shown, self.path = rule, shown, path


class _Unfit(ValueError):
    """A value that JSON lacks, on its way up from where it is nested."""

    def __init__(self, rule: str, path: str = "") -> None:
        super().__init__(rule)
        self.path = path


def plain_column(column: Any, *, is_uuid: bool = False, has_old_times: bool = False) -> list[Any]:
    """The values of a column as JSON has them, `NoJson` where it has none.

    Times without a zone are ISO 8601 without an offset, with one they have the zone's offset. Bytes of variable length are text where they
    are UTF-8 and base64 elsewhere, those of fixed length base64. Decimals are numbers where a number holds all their digits, else text.
    Durations are seconds, maps with keys of text are objects, NaN is null.

    Args:
        column: an array of Arrow.
        is_uuid: bytes that are UUIDs become their text.
        has_old_times: its times came out of 96 bits (Parquet's INT96), in microseconds.
    """
    kind = column.type
    if pa.types.is_dictionary(kind):
        column = column.dictionary_decode()
        kind = column.type
    if (pa.types.is_integer(kind) or pa.types.is_boolean(kind)) and not column.null_count:
        plain: list[Any] = column.to_numpy(zero_copy_only=False).tolist()
        return plain
    if _is_string(kind):
        try:
            texts: list[Any] = column.to_numpy(zero_copy_only=False).tolist()
            return texts
        except (UnicodeDecodeError, pa.ArrowException):
            pass  # one of them is not UTF-8: below they are read as bytes, one by one
    convert = _uuid if is_uuid and pa.types.is_fixed_size_binary(kind) else _converter(kind, has_old_times=has_old_times)
    return [_converted(value, convert) for value in column.view(_stored(kind)).to_pylist()]


def _converted(value: Any, convert: Convert) -> Any:
    if value is None:
        return None
    try:
        return convert(value)
    except _Unfit as unfit:
        return NoJson(str(unfit), str(value), unfit.path)


def _is_string(kind: Any) -> bool:
    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind))


def _stored(kind: Any) -> Any:
    """The type under which a column's stored form can be read: whole numbers for times, bytes for text."""
    types = pa.types
    if types.is_date32(kind) or types.is_time32(kind):
        return pa.int32()
    if types.is_temporal(kind):
        return pa.int64()
    if types.is_string(kind):
        return pa.binary()
    if types.is_large_string(kind):
        return pa.large_binary()
    if types.is_struct(kind):
        return pa.struct([pa.field(field.name, _stored(field.type)) for field in kind])
    if types.is_list(kind):
        return pa.list_(_stored(kind.value_type))
    if types.is_large_list(kind):
        return pa.large_list(_stored(kind.value_type))
    if types.is_fixed_size_list(kind):
        return pa.list_(_stored(kind.value_type), kind.list_size)
    if types.is_map(kind):
        return pa.map_(_stored(kind.key_type), _stored(kind.item_type))
    return kind


def _converter(kind: Any, *, has_old_times: bool) -> Convert:
    """The function that makes a stored value one of JSON."""
    types = pa.types
    if types.is_temporal(kind):
        convert = arrow_times.converter(kind)
        return _of_time(arrow_times.certain(convert) if has_old_times and types.is_timestamp(kind) else convert)
    if types.is_decimal(kind):
        return as_json
    if types.is_floating(kind):
        return _float if types.is_float64(kind) else _short_float(16 if types.is_float16(kind) else 32)
    if _is_string(kind):
        return _text
    if types.is_fixed_size_binary(kind):
        return _base64
    if types.is_binary(kind) or types.is_large_binary(kind):
        return _bytes
    if types.is_struct(kind):
        return _struct({field.name: _converter(field.type, has_old_times=has_old_times) for field in kind})
    if types.is_list(kind) or types.is_large_list(kind) or types.is_fixed_size_list(kind):
        return _list(_converter(kind.value_type, has_old_times=has_old_times))
    if types.is_map(kind):
        return _map(*(_converter(one, has_old_times=has_old_times) for one in (kind.key_type, kind.item_type)))
    if types.is_dictionary(kind) and not _is_string(kind.value_type):
        return _converter(kind.value_type, has_old_times=has_old_times)
    return _as_it_is


def _as_it_is(value: Any) -> Any:
    if isinstance(value, bool | int | str):
        return value
    raise _Unfit(f"a value that JSON can hold, not {type(value).__name__}")


def _of_time(convert: Callable[[int], Any]) -> Convert:
    def converted(value: Any) -> Any:
        try:
            return convert(value)
        except (OverflowError, ValueError) as error:
            raise _Unfit(str(error)) from error

    return converted


def _float(value: Any) -> float | None:
    number = float(value)  # of 16 bits they are NumPy's
    if math.isinf(number):
        raise _Unfit("a finite number")
    return None if math.isnan(number) else number


def _short_float(bits: int) -> Convert:
    """Numbers of 16 or 32 bits as the shortest decimal that they stand for: 19.99 is stored as 19.989999771118164."""
    precise, most = (np.float16, 2**11) if bits == 16 else (np.float32, 2**24)

    def converted(value: Any) -> float | None:
        number = _float(value)
        if number is None:
            return None
        if abs(number) >= most:
            raise _Unfit(
                f"a number with all its digits: {bits} bits have lost some from {most:,} on; write the column as whole or wider numbers"
            )
        return float(str(precise(number)))

    return converted


def _text(value: bytes) -> str:
    try:
        return value.decode()
    except UnicodeDecodeError:
        raise _Unfit("text in UTF-8") from None


def _bytes(value: bytes) -> str:
    try:
        return value.decode()
    except UnicodeDecodeError:
        return _base64(value)


def _base64(value: bytes) -> str:
    return base64.b64encode(value).decode()


def _uuid(value: bytes) -> str:
    return str(uuid.UUID(bytes=value))


def _struct(fields: dict[str, Convert]) -> Convert:
    return lambda value: {name: _inside(value[name], convert, f".{name}") for name, convert in fields.items()}


def _list(convert: Convert) -> Convert:
    return lambda value: [_inside(one, convert, f"[{at}]") for at, one in enumerate(value)]


def _map(of_key: Convert, of_item: Convert) -> Convert:
    def converted(value: Any) -> dict[str, Any]:
        pairs = [(str(_inside(key, of_key, ".key")), item) for key, item in value]
        if len({key for key, _ in pairs}) < len(pairs):
            raise _Unfit("a map that has each key once")
        return {key: _inside(item, of_item, f".{key}") for key, item in pairs}

    return converted


def _inside(value: Any, convert: Convert, step: str) -> Any:
    if value is None:
        return None
    try:
        return convert(value)
    except _Unfit as unfit:
        raise _Unfit(str(unfit), step + unfit.path) from unfit
