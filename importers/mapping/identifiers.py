"""Who an event is about: a mapping's `identifiers`, named as in config/identity.yaml, become userId, anonymousId and externalIds."""

from collections.abc import Collection
from typing import Any, Final

from importers.mapping import texts
from importers.mapping.document import Node, hint
from importers.mapping.expressions import Language
from importers.mapping.reads import Path
from importers.mapping.templates import Template, compile_template
from importers.mapping.unfit import Unfit

OWN_FIELDS: Final = {"user_id": "userId", "anonymous_id": "anonymousId"}


class Identifiers:
    """Puts identifiers into envelopes.

    Args:
        templates: by namespace.
    """

    def __init__(self, templates: dict[str, Template]) -> None:
        self._templates = templates

    def put(self, envelope: dict[str, Any], record: Any) -> None:
        """Add the identifiers of a record; what is empty is left out, what the envelope has under the same name is replaced.

        Args:
            envelope: is changed; its `context` is replaced, not changed.
            record: where they come from.

        Raises:
            Unfit: an identifier is neither text nor a number.
        """
        others: list[dict[str, str]] = []
        for namespace, template in self._templates.items():
            try:
                value = _identifier(template.value(record))
            except Unfit as unfit:
                raise unfit.at(f".identifiers.{namespace}") from None
            if not value:
                continue
            own = OWN_FIELDS.get(namespace)
            if own is not None:
                envelope[own] = value
            else:
                others.append({"type": namespace, "id": value})
        if not others:
            return
        context = envelope.get("context") or {}
        if not isinstance(context, dict):
            raise Unfit("an object", context).at(".context")
        replaced = {other["type"] for other in others}
        there = context.get("externalIds")
        kept = [one for one in there if not (isinstance(one, dict) and one.get("type") in replaced)] if isinstance(there, list) else []
        envelope["context"] = {**context, "externalIds": [*kept, *others]}

    def reads(self, scope: frozenset[Path]) -> frozenset[Path]:
        """Paths of the record it looks at."""
        return frozenset().union(*(template.reads(scope) for template in self._templates.values()))


def compile_identifiers(node: Node, language: Language, namespaces: Collection[str]) -> Identifiers:
    """Compile `identifiers:`.

    Raises:
        MappingError: a namespace is unknown (the platform would ignore it), or a field cannot be understood.
    """
    made: dict[str, Template] = {}
    for namespace, field in node.fields().items():
        if namespace not in namespaces:
            raise field.error(f"`{namespace}` is no namespace of config/identity.yaml{hint(namespace, namespaces)}")
        made[namespace] = compile_template(field, language)
    return Identifiers(made)


def _identifier(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        raise Unfit("text or a number", value)
    return texts.key(value).strip()
