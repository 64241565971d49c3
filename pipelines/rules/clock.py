"""How a rule moves with the clock: whether the moment at which time alone turns it can be computed."""

from collections.abc import Collection
from typing import Final

from pipelines.rules.functions import LOGIC
from pipelines.rules.tree import Call, Field, Literal, Node

STILL, EVENLY, OTHERWISE = 0, 1, 2
_STEADY: Final = frozenset({"days", "hours", "negative"})


def movement(node: Node, moving: Collection[str]) -> int:
    """How a value moves while everything but the clock stands still.

    Args:
        node: of a value, or of a condition.
        moving: fields that grow evenly with the clock.

    Returns:
        `STILL`; `EVENLY`: its change is the same in each millisecond; or `OTHERWISE`, also for a condition that moves.
    """
    if isinstance(node, Literal):
        return STILL
    if isinstance(node, Field):
        return EVENLY if node.name in moving and not node.of else STILL
    moves = [movement(one, moving) for one in node.arguments]
    if node.function == "ago":
        return OTHERWISE if max(moves) else EVENLY
    if not any(moves):
        return STILL
    if OTHERWISE in moves:
        return OTHERWISE
    if node.function in ("+", "-") or node.function in _STEADY:
        return EVENLY
    if node.function == "coalesce" and moves[0] == EVENLY and isinstance(node.arguments[1], Literal):
        return EVENLY  # whether it is missing does not move
    if node.function == "*":
        return EVENLY if sum(moves) == EVENLY else OTHERWISE
    if node.function == "/":
        return EVENLY if moves[1] == STILL else OTHERWISE
    return OTHERWISE


def has_computable_turn(node: Node, moving: Collection[str]) -> bool:
    """Whether the moment can be computed at which a comparison turns by time alone: its two sides move evenly, and it is one of size.

    What moves is equal to something for one millisecond: nobody means that.
    """
    if not isinstance(node, Call) or node.function in LOGIC:
        return True
    moves = [movement(one, moving) for one in node.arguments]
    if node.function in ("<", "<=", ">", ">=", "is missing", "is known"):
        return OTHERWISE not in moves  # what moves evenly is missing always or never
    return not any(moves)
