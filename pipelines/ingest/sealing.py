"""Encryption of personal traits: equal values of one trait have equal cipher texts, so that differing ones can be told without the key."""

import base64
import binascii
from typing import Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESSIV

PREFIX: Final = "sealed:"
KEY_BYTES: Final = 64


class SealError(ValueError):
    """A value cannot be opened: it is no sealed one, or was sealed with another key, for another tenant or trait."""


class Sealer:
    """Encrypts and decrypts by AES-256-SIV (RFC 5297), which needs no random number and tells of a wrong key.

    Args:
        key: 64 bytes, the same for every process of an installation.

    Raises:
        SealError: the key has another length.
    """

    def __init__(self, key: bytes) -> None:
        if len(key) != KEY_BYTES:
            raise SealError(f"the key of personal traits has {KEY_BYTES} bytes, not {len(key)}; CDP_PII_KEY_FILE names its file")
        self._cipher = AESSIV(key)

    def seal(self, tenant: str, name: str, text: str) -> str:
        """The value of a trait as it may travel.

        Args:
            tenant: owner.
            name: of the trait.
            text: its value, as JSON.
        """
        cipher = self._cipher.encrypt(text.encode(), [tenant.encode(), name.encode()])
        return PREFIX + base64.urlsafe_b64encode(cipher).decode().rstrip("=")

    def open(self, tenant: str, name: str, sealed: str) -> str:
        """The JSON text that was sealed.

        Raises:
            SealError: see there.
        """
        if not sealed.startswith(PREFIX):
            raise SealError(f"the value of `{name}` is not sealed")
        body = sealed[len(PREFIX) :]
        try:
            cipher = base64.b64decode(body + "=" * (-len(body) % 4), altchars=b"-_", validate=True)
            return self._cipher.decrypt(cipher, [tenant.encode(), name.encode()]).decode()
        except (binascii.Error, InvalidTag, ValueError) as error:
            raise SealError(f"the value of `{name}` cannot be opened: it was sealed with another key, or for another tenant") from error
