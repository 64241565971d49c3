"""Fix files: the one place that knows which kinds there are."""

import hashlib
from pathlib import Path
from typing import Any

import yaml

from importers.mapping import Mapped, MappingError, Skipped, load
from pipelines.rejected.fixes import FixError, FixFileError, LoadedFix, is_patch, patch


def load_fix(path: Path) -> LoadedFix:
    """Read a fix file.

    Raises:
        FixFileError: it is missing, or does not say what it should; the message names file and entry.
    """
    try:
        content = path.read_bytes()
        loaded = yaml.safe_load(content)
    except OSError as error:
        raise FixFileError(f"{path}: cannot be read ({error.strerror})") from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise FixFileError(f"{path}: not YAML: {error}") from error
    if isinstance(loaded, dict) and "events" in loaded:
        return _mapping(path, content)
    if not is_patch(loaded):
        raise FixFileError(f"{path}: neither a patch (rename, set, text, unset) nor a mapping (events); see docs/rejected.md")
    try:
        return patch(loaded, content)
    except FixFileError as error:
        raise FixFileError(f"{path}: {error}") from error


def _mapping(path: Path, content: bytes) -> LoadedFix:
    """A mapping that makes another event of the record, as importers use it. The record's own message id and times are kept."""
    try:
        rules = load(path)
    except MappingError as error:
        raise FixFileError(str(error)) from error

    def apply(record: dict[str, Any]) -> dict[str, Any]:
        outcome = rules.apply(record)
        if isinstance(outcome, Skipped):
            raise FixError(f"the mapping skips it: {outcome.reason}")
        if not isinstance(outcome, Mapped):
            raise FixError(f"{outcome.field or 'the record'}: {outcome.rule}")
        if len(outcome.events) != 1:
            raise FixError(f"the mapping makes {len(outcome.events)} events of it; a replayed record stays one")
        kept = {name: record[name] for name in _KEPT if name in record}
        return {**kept, **outcome.events[0].envelope}

    return LoadedFix(f"{path.stem}@{hashlib.sha256(content).hexdigest()[:8]}", apply)


_KEPT = ("messageId", "tenant", "timestamp", "originalTimestamp", "sentAt", "receivedAt", "context")
