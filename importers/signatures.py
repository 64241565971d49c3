"""Signatures of webhooks: HMAC-SHA256 over the body, or over a time and the body, as the sender of each kind makes them."""

import base64
import datetime as dt
import hashlib
import hmac
import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from config.sources import Signature
from schemas.odd_spellings import iso_text

BODY: Final = "body"
_PART: Final = re.compile(r"\{([^{}]+)\}")


class SecretError(ValueError):
    """A secret or a signature scheme cannot be used; the message names the source and what to do."""


class Verifier:
    """Checks the signatures of one source.

    Args:
        source: its name, for messages.
        signature: the scheme.
        environ: where `env:` secrets are looked for; by default the process's environment.

    Raises:
        SecretError: a secret is not there, is empty or stands in the configuration itself, or the scheme leaves something unsigned.
    """

    def __init__(self, source: str, signature: Signature, environ: Mapping[str, str] | None = None) -> None:
        self._signature = signature
        self._parts = _PART.split(signature.signs)
        names = [name.lower() for name in self._parts[1::2]]
        if BODY not in names:
            raise SecretError(f"source `{source}`: `signs` must hold {{body}}, or anybody could send another one")
        if signature.time and signature.time.lower() not in names:
            raise SecretError(f"source `{source}`: the time `{signature.time}` must be part of `signs`, or anybody could renew it")
        if not signature.secrets:
            raise SecretError(f"source `{source}`: at least one secret is needed, as env:NAME or file:/path")
        self._secrets = [_secret(source, place, os.environ if environ is None else environ) for place in signature.secrets]

    def refusal(self, headers: Mapping[str, str], body: bytes, now: dt.datetime) -> str:
        """Why a delivery is refused; empty when it is genuine.

        Args:
            headers: by lower-case name.
            body: as received, byte for byte.
            now: our time.
        """
        scheme = self._signature
        given = headers.get(scheme.header.lower(), "")
        fields = _fields(given) if scheme.field else {}
        candidates = fields.get(scheme.field, []) if scheme.field else [given]
        candidates = [one.removeprefix(scheme.prefix) for one in candidates if one.startswith(scheme.prefix) and one]
        signed = self._signed(headers, fields, body)
        if not candidates or signed is None:
            return f"no signature in {scheme.header}"
        genuine = False
        for secret in self._secrets:
            expected = _encoded(hmac.new(secret, signed, hashlib.sha256).digest(), scheme.encoding)
            for candidate in candidates:  # all of them, whatever was found: the time this takes tells nothing
                written = candidate.lower() if scheme.encoding == "hex" else candidate
                genuine |= hmac.compare_digest(written.encode(errors="replace"), expected)
        if not genuine:
            return "the signature does not fit"
        return self._staleness(headers, fields, now)

    def _signed(self, headers: Mapping[str, str], fields: Mapping[str, list[str]], body: bytes) -> bytes | None:
        pieces = []
        for number, part in enumerate(self._parts):
            if number % 2 == 0:
                pieces.append(part.encode())
            elif part.lower() == BODY:
                pieces.append(body)
            else:
                value = _named(part, headers, fields)
                if value is None:
                    return None
                pieces.append(value.encode(errors="replace"))
        return b"".join(pieces)

    def _staleness(self, headers: Mapping[str, str], fields: Mapping[str, list[str]], now: dt.datetime) -> str:
        if not self._signature.time:
            return ""
        at = _moment(_named(self._signature.time, headers, fields) or "")
        if at is None:
            return f"`{self._signature.time}` is no time"
        away_s = abs((now - at).total_seconds())
        return "" if away_s <= self._signature.tolerance_s else f"signed {away_s:.0f} s away from now"


def _secret(source: str, place: str, environ: Mapping[str, str]) -> bytes:
    kind, _, name = place.partition(":")
    if kind == "env":
        found = environ.get(name, "")
        if not found:
            raise SecretError(f"source `{source}`: the environment variable {name} with its secret is not set")
        return found.encode()
    if kind == "file":
        try:
            content = Path(name).read_bytes().strip()
        except OSError as error:
            raise SecretError(f"source `{source}`: its secret {name} cannot be read ({error.strerror})") from error
        if not content:
            raise SecretError(f"source `{source}`: its secret {name} is empty")
        return content
    raise SecretError(f"source `{source}`: a secret does not stand in the configuration; say env:NAME or file:/path")


def _encoded(digest: bytes, encoding: str) -> bytes:
    return digest.hex().encode() if encoding == "hex" else base64.b64encode(digest)


def _fields(text: str) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for pair in text.split(","):
        name, _, value = pair.strip().partition("=")
        found.setdefault(name, []).append(value)
    return found


def _named(name: str, headers: Mapping[str, str], fields: Mapping[str, list[str]]) -> str | None:
    values = fields.get(name)
    return values[0] if values else headers.get(name.lower())


def _moment(text: str) -> dt.datetime | None:
    """Seconds since 1970, or ISO 8601 with an offset."""
    try:
        if text.isascii() and text.isdecimal():
            return dt.datetime.fromtimestamp(int(text), dt.UTC)
        at = dt.datetime.fromisoformat(iso_text(text))
    except (ValueError, OverflowError, OSError):
        return None
    return at if at.tzinfo else None
