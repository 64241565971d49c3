"""Personal traits in clear, for whoever holds the key of this installation."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

from pipelines.ingest.sealing import Sealer, SealError
from profile_store.lookup import Personal
from schemas import json_text

KEY_FILE = "CDP_PII_KEY_FILE"


class PersonalKeyError(Exception):
    """The key of personal traits is not here, or is another one than they were encrypted with; the message says what to do."""


def opener(tenant: str) -> Callable[[Personal], Personal]:
    """A function that opens personal traits of a tenant as `profile_store.client.Client.personal` gives them.

    Raises:
        PersonalKeyError: by this function, if the key file is missing or holds no key; by the one it returns, if a value cannot be opened.
    """
    path = _key_file()
    try:
        sealer = Sealer(path.read_bytes())
    except (SealError, OSError) as error:
        raise PersonalKeyError(f"{path}: {error}") from error

    def value_of(name: str, sealed: Any) -> Any:
        try:
            return json_text.read(sealer.open(tenant, name, sealed))
        except SealError as error:
            raise PersonalKeyError(f"{error}; the key is that of {path} ({KEY_FILE})") from error

    def opened(personal: Personal) -> Personal:
        return {
            name: {
                "value": value_of(name, told["value"]),
                "conflicts": [other | {"value": value_of(name, other["value"])} for other in told["conflicts"]],
            }
            for name, told in personal.items()
        }

    return opened


def _key_file() -> Path:
    name = os.environ.get(KEY_FILE, "")
    if name and Path(name).is_file():
        return Path(name)
    named = f"{KEY_FILE} names {name}, where no file is" if name else f"{KEY_FILE} names no file"
    raise PersonalKeyError(
        f"the key that personal traits are encrypted with is not here: {named}; `cdp up` makes it once, `data/secrets/pii.key` below "
        "CDP_HOME, and whoever is to read them elsewhere needs a copy of that very file"
    )
