"""What is wrong with a rule, and where."""


class RuleError(ValueError):
    """A text is not of the rule language, or names what there is not; the message says where and what was meant.

    Args:
        where: prefix of the message, e.g. file and rule.
        why: what is wrong.
        column: from 1, in the text; 0 when it concerns the whole.

    Attributes:
        why: what is wrong, without the prefix.
        column: as given.
    """

    def __init__(self, where: str, why: str, column: int = 0) -> None:
        super().__init__(f"{where}: {f'column {column}: ' if column else ''}{why}")
        self.why, self.column = why, column
