"""Rejected records as a file: one JSON object a line, the bytes as they came."""

import base64
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec

from cli.rejected.queries import described
from pipelines.rejected.record import Record


class ExportError(OSError):
    """The file cannot be written."""


def line(record: Record) -> dict[str, Any]:
    """A record with its bytes: as text in `original` where they are UTF-8, else in `original_base64`."""
    try:
        return {**described(record), "original": record.original.decode()}
    except UnicodeDecodeError:
        return {**described(record), "original_base64": base64.b64encode(record.original).decode()}


def write(target: Path, hand_over: Callable[[Callable[[Record], None]], None]) -> int:
    """Write a file that only its owner may read; it is there when it is complete.

    Args:
        target: must not be there yet.
        hand_over: calls its argument with each record.

    Returns:
        Number of records.

    Raises:
        ExportError: the file is there already, or cannot be written.
    """
    if target.exists():
        raise ExportError(f"{target} is there already; choose another name")
    part, count = target.with_name(target.name + ".part"), 0
    try:
        with os.fdopen(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:

            def take(record: Record) -> None:
                nonlocal count
                file.write(msgspec.json.encode(line(record)) + b"\n")
                count += 1

            hand_over(take)
        part.rename(target)
    except OSError as error:
        raise ExportError(f"{target} cannot be written: {error.strerror}") from error
    finally:
        part.unlink(missing_ok=True)
    return count
