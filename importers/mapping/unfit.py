"""The one exception with which a value leaves an expression: it does not fit."""

from typing import Any

from importers.mapping import outcome


class Unfit(Exception):
    """A value of a record is not what the mapping expects.

    Attributes:
        rule: what was expected.
        value: what was there.
        code: see `importers.mapping.outcome`.
        path: of the field it was for, from the point where it is caught.
    """

    def __init__(self, rule: str, value: Any = None, code: str = outcome.VALUE) -> None:
        super().__init__(rule)
        self.rule, self.value, self.code, self.path = rule, value, code, ""

    def at(self, step: str) -> "Unfit":
        """The same, one step further out: `.properties`, `[3]`."""
        self.path = step + self.path
        return self
