"""Expressions: JMESPath with our functions, compiled once and evaluated on records without ever running text as code."""

from collections.abc import Iterator, Mapping
from typing import Any, Final

from jmespath.exceptions import JMESPathError, JMESPathTypeError, LexerError, ParseError
from jmespath.parser import Parser
from jmespath.visitor import Options

from config.sources import Decimals
from importers.mapping import outcome
from importers.mapping.comparisons import Interpreter
from importers.mapping.document import Node
from importers.mapping.functions import Functions
from importers.mapping.reads import ROOT, Path, reads, results
from importers.mapping.unfit import Unfit

MAX_LENGTH: Final = 4000


class Expression:
    """A compiled expression; calling it with a record gives its value.

    Args:
        text: as written.
        tree: as parsed.
        interpreter: evaluates it.
    """

    def __init__(self, text: str, tree: Any, interpreter: Interpreter) -> None:
        self.text = text
        self._tree = tree
        self._interpreter = interpreter

    def __call__(self, record: Any) -> Any:
        """Evaluate.

        Args:
            record: what JSON can hold; it is not changed.

        Raises:
            Unfit: a value does not fit the function it is given to.
        """
        try:
            return self._interpreter.visit(self._tree, record)
        except Unfit:
            raise
        except JMESPathTypeError as error:
            expected = " or ".join(error.expected_types)
            raise Unfit(f"{expected} for {error.function_name}(), not {error.actual_type}", error.current_value) from error
        except TypeError as error:  # JMESPath compares numbers with numbers and text with text, and leaves the rest to Python
            raise Unfit(f"values that can be compared in `{self.text}`") from error
        except (JMESPathError, ValueError, ArithmeticError) as error:
            raise Unfit(f"a record on which `{self.text}` works ({error})") from error
        except RecursionError as error:
            raise Unfit("a record that is nested less deeply") from error
        except Exception as error:
            raise Unfit(f"{type(error).__name__} in `{self.text}`", code=outcome.INTERNAL) from error

    def holds(self, record: Any) -> bool:
        """Whether it is true as JMESPath sees it: null, false, empty text, list and object are not."""
        value = self(record)
        return not (value is None or value is False or value == "" or value == [] or value == {})

    def reads(self, scope: frozenset[Path] = ROOT) -> frozenset[Path]:
        """Paths of the record it looks at; see `importers.mapping.reads`."""
        return reads(self._tree, scope)

    def results(self, scope: frozenset[Path] = ROOT) -> frozenset[Path]:
        """Paths of the record its value may be."""
        return results(self._tree, scope)


class Language:
    """Compiles the expressions of one mapping.

    Args:
        tables: for `lookup`.
        decimals: form of Debezium's decimals.
    """

    def __init__(self, tables: Mapping[str, Mapping[str, Any]], decimals: Decimals = "") -> None:
        self._functions = Functions(tables, decimals)
        self._interpreter = Interpreter(Options(custom_functions=self._functions))

    def compile(self, node: Node) -> Expression:
        """Compile the text of a part of a document.

        Raises:
            MappingError: it is no expression, calls what is not there, or calls it wrongly.
        """
        text = node.text()
        if len(text) > MAX_LENGTH:
            raise node.error(f"an expression has at most {MAX_LENGTH} characters")
        try:
            tree = Parser().parse(text).parsed
        except RecursionError as error:
            raise node.error("an expression that is nested too deeply") from error
        except (JMESPathError, ValueError) as error:
            raise node.error(f"`{text}` is no expression: {_reason(error)}; text is quoted: 'text', other names too: \"a name\"") from error
        if _negates_the_beginning_of_a_path(tree):
            raise node.error(f"`{text}`: `!a.b` means `(!a).b` in JMESPath; write `!(a.b)`")
        for call in _calls(tree):
            literals = [child["value"] if child["type"] == "literal" else None for child in call["children"]]
            try:
                self._functions.check_call(call["value"], len(call["children"]), literals)
            except ValueError as error:
                raise node.error(str(error)) from error
        return Expression(text, tree, self._interpreter)


def _reason(error: Exception) -> str:
    if isinstance(error, LexerError):
        return f"{error.message} at character {error.lexer_position + 1}"
    if isinstance(error, ParseError):
        return (
            f"`{error.token_value}` at character {error.lex_position + 1}"
            if error.token_value
            else "it ends too early (inside { } an expression with a comma needs quotes)"
        )
    return str(error).splitlines()[0]


def _negates_the_beginning_of_a_path(tree: Any) -> bool:
    """Whether something is looked for inside a truth value, which is never there: a trap of JMESPath's precedence."""
    children = [child for child in tree["children"] if isinstance(child, dict)]
    if tree["type"] in ("subexpression", "index_expression") and children[0]["type"] == "not_expression":
        return True
    return any(_negates_the_beginning_of_a_path(child) for child in children)


def _calls(tree: Any) -> Iterator[Any]:
    if tree["type"] == "function_expression":
        yield tree
    for child in tree["children"]:
        if isinstance(child, dict):
            yield from _calls(child)
