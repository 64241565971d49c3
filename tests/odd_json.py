"""Raw records whose JSON is written in every way there is: odd numbers and escapes, names told twice at any depth, white space."""

import random
from collections.abc import Iterator

NUMBERS = (
    "0", "-0", "-0.0", "0.0", "1", "2.0", "1E2", "1e+2", "1e-7", "100e-2", "18446744073709551615", "9223372036854775807",
    "9223372036854775808", "-9223372036854775808", "9007199254740993", "4503599627370496.5", "0.1000000000000000055511151231257827",
    "0." + "3" * 400, "1e308", "1e-308", "5e-324", "1e-400", "1.7976931348623157e308", "123456789012345678.75", "1e22", "1e23",
    "9.5367431640625e-7", "2.2250738585072011e-308", "1." + "0" * 300, "179769313486231580793728971405301e276", "7450580596923828125e-27",
)  # fmt: skip
TEXTS = (
    '"x"', '""', '"caf\\u00e9"', '"\\ud83d\\ude00"', '"😀"', '"\\/\\b\\f\\n\\r\\t\\"\\\\"', '"\\u2028\\u202e\ufeff\uffff"', '"\\u007f"',
    '"null"', '"1234567890123456789012345"', '"' + "x" * 3000 + '"', '"{\\"a\\":1,\\"a\\":2}"', '"\\u0001"', '"é"', '"e\u0301"',
)  # fmt: skip
NAMES = (
    '"a"', '"\\u0061"', '"b.c"', '""', '" "', '"__proto__"', '"\\"q\\""', '"ключ"', '"😀"', '"\\\\"', '"0"', '"total"', '"\\u0074otal"',
    '"products"',
)  # fmt: skip
OTHERS = NAMES[:-3]
SPACES = ("", "", "", " ", "\n", "\t \r\n")
LINES = (
    '{"product_id":"MUG","quantity":1,"quantity":2,"price":20,"\\u0070rice":10}',
    '{"product_id":"x","quantity":2.0,"price":1E1}',
    '{"product_id":"\\u0078","quantity":1E1,"price":0.1000000000000000055511151231257827,"name":"caf\\u00e9"}',
)
TOTALS = ("20", "2E1", "0.1", "1e-400", "19.995", "1e2")


def odd_events(seed: int, count: int) -> Iterator[bytes]:
    """Orders, and events without a contract: all of them are to be applied.

    Args:
        seed: the same seed draws the same records.
        count: how many.
    """
    dice = random.Random(seed)
    for number in range(count):
        told = [_member(dice.choice(OTHERS), dice) for _ in range(dice.randrange(1, 6))]
        told += ['"order_id":"first"', f'"order_id":"o{number}"', '"total":40', f'"total":{dice.choice(TOTALS)}']
        told += ['"products":[5]', f'"products":[{",".join(dice.choices(LINES, k=dice.randrange(1, 3)))}]']
        name = "Order Completed" if number % 2 else "Odd Event"
        head = f'"type":"track","event":"{name}","messageId":"d{seed}-{number}","userId":"u","timestamp":"2023-11-14T00:00:00Z"'
        properties = ",".join(_space(dice) + member + _space(dice) for member in told)
        yield f'{{{head},"properties":{{"total":1}},"context":{{"x":{_value(dice, 2)}}},"properties":{{{properties}}}}}'.encode()


def _value(dice: random.Random, depth: int) -> str:
    kind = dice.random()
    if depth > 4 or kind < 0.6:
        return dice.choice((*NUMBERS, *TEXTS, "true", "false", "null"))
    if kind < 0.75:
        return "[" + ",".join(_space(dice) + _value(dice, depth + 1) for _ in range(dice.randrange(4))) + "]"
    return "{" + ",".join(_member(dice.choice(NAMES), dice, depth + 1) for _ in range(dice.randrange(4))) + "}"


def _member(name: str, dice: random.Random, depth: int = 1) -> str:
    return f"{_space(dice)}{name}{_space(dice)}:{_space(dice)}{_value(dice, depth)}"


def _space(dice: random.Random) -> str:
    return dice.choice(SPACES)
