"""Identifiers as people and programs write them, read into the one form that stands in keys (docs/identifiers.md).

Everything that builds or looks up a key reads identifiers here: the pipeline, `cdp`, the client of the profile store. A value that is not
what its namespace says raises `UnusableError` with the reason; nothing is guessed.
"""

import re
import unicodedata
from functools import lru_cache
from typing import Final, NamedTuple

import idna
import phonenumbers

EMPTY: Final = "empty"
ROUNDED: Final = "a number that a spreadsheet or program has rounded, such as 4.47E+11"
PLACEHOLDER: Final = "a placeholder"
NO_EMAIL: Final = "no e-mail address"
NO_PHONE: Final = "no telephone number"
NO_COUNTRY: Final = "a telephone number without country code, and no `phone_region` says whose it is"

_PLAIN: Final = re.compile(r"[!-~]+")
_ROUNDED: Final = re.compile(r"[+-]?(?:[0-9]+e[+ ][0-9]{1,3}|[0-9]+[.,][0-9]*e[+\- ]?[0-9]{1,3})", re.IGNORECASE)
_FLOAT_SUFFIX: Final = re.compile(r"([0-9]+)\.0+")
# Default_Ignorable_Code_Point of the Unicode Character Database without the two joiners, which need a look at their neighbours.
_INVISIBLE: Final = re.compile(
    "[\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b\u200e\u200f\u202a-\u202e\u2060-\u206f\u3164\ufe00-\ufe0f\ufeff\uffa0"
    "\ufff0-\ufff8\U0001bca0-\U0001bca3\U0001d173-\U0001d17a\U000e0000-\U000e0fff]"
)
_JOINER: Final = re.compile("[\u200c\u200d]+")
_JOINING: Final = frozenset({"Lo", "Mn", "Mc", "So", "Sk"})
_WIDTH: Final = {code: code - 0xFEE0 for code in range(0xFF01, 0xFF5F)} | {0x3002: ".", 0xFF61: ".", 0x3000: " "}
_ADDRESS: Final = re.compile(r"[^@\s<>]+@[^@\s<>]+\.[^@\s<>.]+")
_IN_BRACKETS: Final = re.compile(r"[^<>]*<([^<>]*)>")
_DIGITS_E: Final = re.compile(r"[0-9.,]+ ?e ?[+-]?[0-9]+", re.IGNORECASE)
# What stands before the digits of an extension; `dw`, `durchwahl`: German, `anexo`, `int`: Spanish, the rest Chinese, Japanese, Korean.
_EXTENSION: Final = re.compile(
    r"(?:;ext=|[,;~]?\s*(?:extension|extn|ext|x|#|anexo|interno|int|durchwahl|dw|转|轉|分机|分機|内線|내선)[.:\s]*)([0-9]{1,7})#?",
    re.IGNORECASE,
)
_CONTEXT: Final = re.compile(r";phone-context=(\+[0-9]{1,3})", re.IGNORECASE)
_SEPARATORS: Final = frozenset(" ().[]{}/_'\u2019\u00b7\u2022\u2027\u2215\u2044\u2212\u30fc~")
_TRUNK_ZERO: Final = re.compile(r"[(\[{]\s*0\s*[)\]}]")
# `030 55550001/02`: a second line or an extension must not become digits of the number. Behind an area code's slash more digits stand.
_TWO_LINES: Final = re.compile(r"(?:[^0-9]*[0-9]){6,}[^0-9/]*/[ /]*[0-9]{1,3}")
MAX_PHONE_CHARS: Final = 64


class Phone(NamedTuple):
    """A telephone number.

    Attributes:
        number: E.164, with `;ext=` and the extension if there is one.
        national: its digits without the country code.
        digits: as they were written.
    """

    number: str
    national: str
    digits: str


class UnusableError(ValueError):
    """A value identifies nobody, or is not what its namespace says.

    Attributes:
        reason: in a few words; nothing of the value.
    """

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


def plain(text: str) -> str:
    """An identifier without what nobody sees: NFC, no invisible or control characters, every kind of space a space, trimmed.

    Zero-width joiners stay where they change what is shown: inside emoji and between letters of scripts that join.

    Raises:
        UnusableError: nothing is left, or it is a rounded number in exponent form (two people would share it).
    """
    if not _PLAIN.fullmatch(text):
        text = _visible(text)
        if not text:
            raise UnusableError(EMPTY)
    if is_rounded(text):
        raise UnusableError(ROUNDED)
    return text


def is_rounded(text: str) -> bool:
    """Whether a text is a number in exponent form, such as `4.47E+11` or `1E+15`: whatever begins alike shares it.

    A code such as `12e45` has neither point nor plus and is none.
    """
    return ("e" in text or "E" in text) and _ROUNDED.fullmatch(text.translate(_WIDTH).strip()) is not None


def whole(text: str) -> str:
    """`17850.0`, as spreadsheets and data frames write a whole number, without its fraction; any other text as it is."""
    matched = _FLOAT_SUFFIX.fullmatch(text)
    return matched[1] if matched else text


def email(text: str) -> str:
    """An e-mail address in lower case, its domain in ASCII (IDNA 2008 with the mapping of UTS 46).

    `mailto:`, a name in front (`Ann <ann@example.com>`), quotes around, and full stops, commas and semicolons behind it do not count. Tags
    (`ann+shop@...`) and dots in the local part do: whether they matter is the mail server's decision, and a wrong guess joins two people.

    Raises:
        UnusableError: it is no address: not one `@`, white space, or a domain without a dot.
    """
    address = plain(text).translate(_WIDTH).strip()
    if bracketed := _IN_BRACKETS.fullmatch(address):
        address = bracketed[1].strip()
    if address[:7].lower() == "mailto:":
        address = address[7:].partition("?")[0]
    address = address.strip(" \"'`<>").rstrip(".,; ")
    if not _ADDRESS.fullmatch(address):
        raise UnusableError(NO_EMAIL)
    local, _, domain = address.partition("@")
    return f"{unicodedata.normalize('NFC', local.lower())}@{_domain(domain)}"


@lru_cache(maxsize=16_384)
def phone(text: str, region: str) -> Phone:
    """A telephone number in E.164, with `;ext=5` (RFC 3966) when it has an extension: a switchboard is not one person.

    Digits of all scripts, all kinds of dashes and spaces, brackets, a zero in brackets after the country code, `tel:` and the prefix `00`
    are understood. A number has to have a length that its country's numbering plan knows; whether it is in use is not asked, because
    numbering plans change faster than the table of them.

    Args:
        text: as written.
        region: ISO 3166 country of numbers without country code; empty: such numbers are refused, as people of two countries share them.

    Raises:
        UnusableError: it is no telephone number, or no country is known.
    """
    written = whole(plain(text)).translate(_WIDTH).strip()
    if _DIGITS_E.fullmatch(written):
        raise UnusableError(ROUNDED)
    if written[:4].lower() == "tel:":
        written = written[4:]
    if context := _CONTEXT.search(written):
        written = f"{context[1]} {written[: context.start()].strip()}{written[context.end() :]}"
    extension = ""
    if (extended := _extended(written)) is not None:
        written, extension = extended
    dialled = _dialled(written)
    if dialled is None or len(text) > MAX_PHONE_CHARS or _TWO_LINES.fullmatch(written):
        raise UnusableError(NO_PHONE)
    number = _number(dialled, region)
    if number is None and (without_zero := _TRUNK_ZERO.sub("", written)) != written:  # of a country whose numbers have no such zero
        number = _number(_dialled(without_zero) or "", region)
    if number is None:
        international = dialled.startswith(("+", "00"))
        raise UnusableError(NO_PHONE if international or region else NO_COUNTRY)
    found = phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164)
    national = phonenumbers.national_significant_number(number)
    return Phone(f"{found};ext={extension}" if extension else found, national, dialled.lstrip("+"))


def _visible(text: str) -> str:
    """A fixed point: what is removed may bring neighbours together that then compose."""
    while True:
        seen = _INVISIBLE.sub("", unicodedata.normalize("NFC", text))
        seen = _JOINER.sub(_joined, "".join(map(_printed, seen)))
        seen = unicodedata.normalize("NFC", seen).strip()
        if seen == text:
            return seen
        text = seen


def _printed(sign: str) -> str:
    category = unicodedata.category(sign)
    if category == "Zs" or (category in ("Cc", "Zl", "Zp") and sign.isspace()):
        return " "
    return "" if category == "Cc" else sign


def _joined(found: re.Match[str]) -> str:
    """Joiners between two signs that can be joined stay."""
    before, after = found.string[: found.start()][-1:], found.string[found.end() :][:1]
    if before and after and unicodedata.category(before) in _JOINING and unicodedata.category(after) in _JOINING:
        return found[0]
    return ""


def _domain(domain: str) -> str:
    try:
        return idna.encode(domain, uts46=True).decode()
    except (idna.IDNAError, UnicodeError):  # underscores, emoji: mail servers exist that have such names
        return unicodedata.normalize("NFC", domain.lower())


def _extended(written: str) -> tuple[str, str] | None:
    """What stands before an extension, and the extension."""
    for found in _EXTENSION.finditer(written):
        if not written[found.end() :].strip():
            return written[: found.start()], found[1]
    return None


def _dialled(written: str) -> str | None:
    """Digits with at most a plus in front; None when there is anything else than digits and separators."""
    digits = ""
    for sign in written:
        if sign.isdecimal():
            digits += str(unicodedata.decimal(sign))
        elif sign == "+" and not digits.strip("+"):
            digits = "+"
        elif sign not in _SEPARATORS and unicodedata.category(sign) != "Pd":
            return None
    return "+" + digits[3:] if digits.startswith("+00") else digits


def _number(dialled: str, region: str) -> phonenumbers.PhoneNumber | None:
    """The first reading that its country's numbering plan has room for. The region's own prefix (011) comes before 00."""
    ways = [(dialled, region)] if region or dialled.startswith("+") else []
    if dialled.startswith("00"):
        ways.append(("+" + dialled[2:], ""))
    for digits, country in ways:
        try:
            number = phonenumbers.parse(digits, country or None)
        except phonenumbers.NumberParseException:
            continue
        if phonenumbers.is_possible_number_with_reason(number) == phonenumbers.ValidationResult.IS_POSSIBLE:
            return number
    return None
