"""Node keys and profile ids: docs/contracts.md, "Node and profile ids", docs/identifiers.md, and `config/identity.yaml`."""

import hashlib
import re
import unicodedata
from collections.abc import Iterable, Iterator
from typing import Any

import idna
import phonenumbers

from tests.oracle.rulebook import Rulebook
from tests.oracle.shapes import MAX_NAME

# Unicode's Default_Ignorable_Code_Point, without the joiners 200C and 200D.
INVISIBLE_RANGES = """
    00AD 034F 061C 115F-1160 17B4-17B5 180B-180F 200B 200E-200F 202A-202E 2060-206F 3164 FE00-FE0F FEFF FFA0 FFF0-FFF8
    1BCA0-1BCA3 1D173-1D17A E0000-E0FFF
"""
JOINERS = "\u200c\u200d"


def _ranges(written: str) -> Iterator[range]:
    for part in written.split():
        low, _, high = part.partition("-")
        yield range(int(low, 16), int(high or low, 16) + 1)


INVISIBLE = frozenset(code for span in _ranges(INVISIBLE_RANGES) for code in span)


def profile_id(node: str) -> str:
    """The profile that a node never seen before founds."""
    return hashlib.blake2b(f"{node}|0".encode(), digest_size=8).hexdigest()


def normalise(namespace: str, raw: str, rules: Rulebook, region: str = "") -> str | None:
    """The value as it stands in keys, or None when it identifies nobody or the namespace is not known."""
    known = {entry["name"]: entry for entry in rules.namespaces}
    if namespace not in known:
        return None
    value = visible(raw)
    if not value or _is_rounded(value) or _is_blocked(namespace, value, rules):
        return None
    how = known[namespace].get("normalise", "")
    if how == "email":
        address = _address(value)
        return None if address is None or _is_blocked(namespace, address, rules) else address
    if how == "phone":
        return _telephone(namespace, value, rules, region)
    if namespace in rules.strip_float_suffix:
        value = _without_fraction(value)
    return None if _is_blocked(namespace, value, rules) else value


def visible(text: str) -> str:
    """What can be seen of a text: composed, spaces as spaces, trimmed."""
    before = None
    while text != before:
        before = text
        composed = unicodedata.normalize("NFC", text)
        signs = []
        for sign in composed:
            kind = unicodedata.category(sign)
            if ord(sign) in INVISIBLE:
                continue
            if kind in ("Zs", "Zl", "Zp") or (kind == "Cc" and sign.isspace()):
                signs.append(" ")
            elif kind != "Cc":
                signs.append(sign)
        text = unicodedata.normalize("NFC", _without_idle_joiners(signs)).strip()
    return text


def node_keys(tenant: str, identifiers: Iterable[tuple[str, str]], rules: Rulebook, source: str = "") -> list[str]:
    """Keys of all nodes that an event names, strongest first: the first one owns the event.

    Args:
        tenant: owner.
        identifiers: pairs of namespace and raw value.
        rules: namespaces in order of strength, blocked values.
        source: where the event came from; it may say whose telephone numbers have no country code.
    """
    given = list(identifiers)
    region = rules.phone_region["sources"].get(source) or rules.phone_region["tenants"].get(tenant, "")
    keys: list[str] = []
    for entry in rules.namespaces:
        for namespace, raw in given:
            if namespace != entry["name"]:
                continue
            value = normalise(namespace, raw, rules, region)
            if value is None:
                continue
            if entry.get("pii"):
                value = rules.pseudonym(tenant, namespace, value)
            key = f"{tenant}|{namespace}|{value}"
            if key not in keys:
                keys.append(key)
    return keys


def group_key(tenant: str, kind: Any, raw: Any, rules: Rulebook) -> str:
    """Key of a group: docs/traits.md, "Groups". Empty when the id identifies nothing or no such kind is known.

    Args:
        tenant: owner.
        kind: one of `groups`; None: the first of them.
        raw: the id as it was given; a whole number means its digits.
        rules: kinds, blocked values.
    """
    named = next(iter(rules.groups), "") if kind is None else kind
    given = str(raw) if isinstance(raw, int) and not isinstance(raw, bool) else raw
    if named not in rules.groups or not isinstance(given, str) or len(given) > MAX_NAME:
        return ""
    value = visible(given)
    return "" if not value or _is_rounded(value) or _is_blocked(named, value, rules) else f"{tenant}|{named}|{value}"


def _without_idle_joiners(signs: list[str]) -> str:
    """Joiners stay between two letters without case, marks or symbols; elsewhere nobody sees what they do."""
    kept, at = "", 0
    while at < len(signs):
        end = at
        while end < len(signs) and signs[end] in JOINERS:
            end += 1
        if end == at:
            kept += signs[at]
            at += 1
            continue
        if (
            at > 0
            and end < len(signs)
            and all(unicodedata.category(near) in ("Lo", "Mn", "Mc", "So", "Sk") for near in (signs[at - 1], signs[end]))
        ):
            kept += "".join(signs[at:end])
        at = end
    return kept


def _narrow(text: str) -> str:
    """Full-width signs of East Asian keyboards as the ASCII they stand for."""
    spelled = {"\u3000": " ", "\u3002": ".", "\uff61": "."}
    return "".join(unicodedata.normalize("NFKC", sign) if "\uff01" <= sign <= "\uff5e" else spelled.get(sign, sign) for sign in text)


def _is_rounded(value: str) -> bool:
    """`4.47E+11`, `4,47E11`, `1E+15`, `1.5e-3`; not `5e12`, which may be anything."""
    mantissa, e, exponent = (
        _narrow(value).lower().lstrip("+-").partition("e") if value[:1] not in "+-" else _narrow(value)[1:].lower().partition("e")
    )
    if not e or any(sign not in "0123456789.,+- " for sign in mantissa + exponent):
        return False
    sign, figures = (exponent[0], exponent[1:]) if exponent[:1] in ("+", "-", " ") else ("", exponent)
    whole, point, fraction = mantissa.replace(",", ".").partition(".")
    if not (whole.isdigit() and figures.isdigit() and len(figures) <= 3):
        return False
    return not fraction.strip("0123456789") if point else sign in ("+", " ")


def _without_fraction(value: str) -> str:
    whole, dot, fraction = value.partition(".")
    return whole if dot and whole.isascii() and whole.isdigit() and fraction and set(fraction) == {"0"} else value


def _is_blocked(namespace: str, value: str, rules: Rulebook) -> bool:
    if value.strip("\"'`()[]{}<> ").lower() in rules.blocked:
        return True
    return any(
        re.fullmatch(pattern, value, re.I | re.S)
        for pattern in rules.blocked_patterns.get("*", []) + rules.blocked_patterns.get(namespace, [])
    )


def _address(value: str) -> str | None:
    text = _narrow(value).strip()
    if text.count("<") == text.count(">") == 1 and text.endswith(">"):
        text = text[text.index("<") + 1 : -1].strip()
    if text.lower().startswith("mailto:"):
        text = text[len("mailto:") :].split("?")[0]
    text = text.strip(" \"'`<>")
    while text and text[-1] in ".,; ":
        text = text[:-1]
    if text.count("@") != 1 or any(sign.isspace() or sign in "<>" for sign in text):
        return None
    local, domain = text.split("@")
    if not local or "." not in domain[1:] or domain.endswith("."):
        return None
    return unicodedata.normalize("NFC", local.lower()) + "@" + _ascii_domain(domain)


def _ascii_domain(domain: str) -> str:
    try:
        return idna.encode(domain, uts46=True).decode("ascii")
    except UnicodeError:  # idna's own errors are among these
        return unicodedata.normalize("NFC", domain.lower())


def _telephone(namespace: str, value: str, rules: Rulebook, region: str) -> str | None:
    text = _without_fraction(value)
    text = _narrow(text).strip()
    if len(value) > 64:
        return None
    if text.lower().startswith("tel:"):
        text = text[4:]
    if ";phone-context=+" in text.lower():
        at = text.lower().index(";phone-context=+")
        code = re.match(r"[0-9]{1,3}", text[at + 16 :])
        if code:
            text = f"+{code[0]} {text[:at].strip()}{text[at + 16 + len(code[0]) :]}"
    words = r"extension|extn|ext|x|#|anexo|interno|int|durchwahl|dw|转|轉|分机|分機|内線|내선"
    found = re.search(rf"(?:;ext=|[,;~]?\s*(?:{words})[.:\s]*)([0-9]{{1,7}})#?\s*$", text, re.I)
    extension = found[1] if found else ""
    text = text[: found.start()] if found else text
    front, slash, tail = text.rpartition("/")
    if slash and len(re.findall(r"\d", front)) >= 6 and re.fullmatch(r"[0-9]{1,3}", tail.strip(" ")) and front.rstrip("/ ")[-1:].isdigit():
        return None  # two lines in one field
    digits, plus = "", False
    for sign in text:
        if unicodedata.category(sign) == "Nd":
            digits += str(unicodedata.digit(sign))
        elif sign == "+" and not digits:
            plus = True
        elif sign not in " ().[]{}/_'\u2019\u00b7\u2022\u2027\u2215\u2044\u2212\u30fc~" and unicodedata.category(sign) != "Pd":
            return None
    if plus and digits.startswith("00"):
        digits = digits[2:]
    without_zero = re.sub(r"[(\[{]\s*0\s*[)\]}]", "", text)
    spare = "".join(str(unicodedata.digit(sign)) for sign in without_zero if unicodedata.category(sign) == "Nd")
    number = None
    for dialled in (digits, spare.removeprefix("00") if plus else spare):
        ways = [("+" + dialled, None)] if plus else [(dialled, region)] if region else []
        if not plus and dialled.startswith("00"):
            ways.append(("+" + dialled[2:], None))
        for spelled, country in ways:
            number = number or _possible(spelled, country)
    if number is None:
        return None
    national = phonenumbers.national_significant_number(number)
    if _is_blocked(namespace, national, rules) or _is_blocked(namespace, digits, rules):
        return None
    return f"+{number.country_code}{national}" + (f";ext={extension}" if extension else "")


def _possible(spelled: str, country: str | None) -> phonenumbers.PhoneNumber | None:
    try:
        number = phonenumbers.parse(spelled, country)
    except phonenumbers.NumberParseException:
        return None
    return number if phonenumbers.is_possible_number_with_reason(number) == phonenumbers.ValidationResult.IS_POSSIBLE else None
