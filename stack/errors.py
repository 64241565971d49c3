"""Errors of the local stack: each says what is wrong and what to do about it."""


class StackError(Exception):
    """Something the person at the keyboard can mend.

    Args:
        problem: what is wrong, naming the thing.
        remedy: what to do about it.
    """

    def __init__(self, problem: str, remedy: str = "") -> None:
        super().__init__(f"{problem}\n{remedy}" if remedy else problem)
        self.problem = problem
        self.remedy = remedy


class RefusedError(StackError):
    """Something is not done because it would lose or repeat data; only a person can decide."""
