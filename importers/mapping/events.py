"""One entry of a mapping's `events`: under which condition a record becomes which event."""

from collections.abc import Mapping
from typing import Any, Final

from importers.mapping import outcome, texts
from importers.mapping.document import Node, hint
from importers.mapping.expressions import Expression, Language
from importers.mapping.identifiers import Identifiers, compile_identifiers
from importers.mapping.outcome import Event
from importers.mapping.reads import ROOT, Path, entries
from importers.mapping.templates import Constant, Object, Template, compile_object
from importers.mapping.unfit import Unfit
from schemas.contracts import Contract

CALLS: Final = ("track", "page", "screen", "identify", "group", "alias")
RULES: Final = ("when", "for_each", "track", "call", "message_id", "source_order", "identifiers", "$copy")
ITEM: Final = "item"
"""Under this name an entry of `for_each` is added to the record."""
MAX_ITEMS: Final = 10_000
FIELDS: Final = (
    "type", "event", "name", "category", "groupId", "previousId", "timestamp", "originalTimestamp", "sentAt", "receivedAt", "properties",
    "traits", "context",
)  # fmt: skip


class EventRule:
    """Makes events out of a record: one, none, or one for each entry of a list.

    Args:
        when: condition; None: always.
        for_each: gives the list; None: the record itself makes one event.
        body: the envelope's fields.
        identifiers: who it is about.
        message_id: the business key.
        source_order: place of the record in its source's own order, see docs/contracts.md.
    """

    def __init__(
        self,
        when: Expression | None,
        for_each: Expression | None,
        body: Object,
        identifiers: Identifiers | None,
        message_id: Expression | None,
        source_order: Expression | None = None,
    ) -> None:
        self._when, self._for_each, self._body = when, for_each, body
        self._identifiers, self._message_id, self._source_order = identifiers, message_id, source_order

    def make(self, record: Any, number: int) -> list[Event]:
        """The events of a record; none when the condition does not hold.

        Args:
            record: what is mapped.
            number: how many events the record has become so far.

        Raises:
            Unfit: the record does not fit; the path begins at this entry of `events`.
        """
        if self._for_each is None:
            return self._one(record, number)
        made: list[Event] = []
        for at, item in enumerate(self._items(record)):
            try:
                made += self._one({**record, ITEM: item}, number + len(made))
            except Unfit as unfit:
                raise unfit.at(f".for_each[{at}]") from None
        return made

    def _items(self, record: Any) -> list[Any]:
        assert self._for_each is not None
        try:
            items = self._for_each(record)
            if items is None:
                return []
            if not isinstance(items, list) or len(items) > MAX_ITEMS or not isinstance(record, dict):
                raise Unfit(f"a list of at most {MAX_ITEMS:,} entries", type(items).__name__)
            return items
        except Unfit as unfit:
            raise unfit.at(".for_each") from None

    def _one(self, record: Any, number: int) -> list[Event]:
        try:
            if self._when is not None and not self._when.holds(record):
                return []
        except Unfit as unfit:
            raise unfit.at(".when") from None
        envelope = dict(self._body.value(record) or {})
        if self._identifiers is not None:
            self._identifiers.put(envelope, record)
        self._put_order(envelope, record)
        return [Event(envelope, self._key(record), number)]

    @property
    def names_id(self) -> bool:
        """Whether it names a business key."""
        return self._message_id is not None

    def reads(self) -> frozenset[Path]:
        """Paths of the record it looks at."""
        parts = [self._when, self._body, self._identifiers, self._message_id, self._source_order]
        found = frozenset[Path]().union(*(part.reads(ROOT) for part in parts if part is not None))
        if self._for_each is None:
            return found
        inside = {(*path, *read[1:]) for path in entries(self._for_each.results()) for read in found if read[0] == ITEM and len(read) > 1}
        return self._for_each.reads() | inside | {read for read in found if read[0] != ITEM}

    def _put_order(self, envelope: dict[str, Any], record: Any) -> None:
        """Say in `context` where the record stands in its source's order, if it does."""
        if self._source_order is None:
            return
        try:
            order = self._source_order(record)
            if order is None or order == "":
                return
            if isinstance(order, bool) or not isinstance(order, int | str):
                raise Unfit("a whole number, a moment or a text", order)
        except Unfit as unfit:
            raise unfit.at(".source_order") from None
        context = envelope.get("context")
        envelope["context"] = {**context, "sourceOrder": order} if isinstance(context, dict) else {"sourceOrder": order}

    def _key(self, record: Any) -> str:
        if self._message_id is None:
            return ""
        try:
            value = self._message_id(record)
            if value is None or value == "" or isinstance(value, bool):
                raise Unfit("a value that tells this event from all others of the source", value, outcome.MISSING)
            return texts.key(value)
        except Unfit as unfit:
            raise unfit.at(".message_id") from None


def compile_event(node: Node, language: Language, namespaces: list[str], contracts: Mapping[str, Contract], notes: list[str]) -> EventRule:
    """Compile one entry.

    Args:
        node: the entry.
        language: for its expressions.
        namespaces: of config/identity.yaml.
        contracts: of schemas/events.
        notes: is told what may be a mistake.

    Raises:
        MappingError: it cannot be understood, or could never give a valid event.
    """
    fields = node.fields((*RULES, *FIELDS))
    calls = _calls(node, fields)
    body = compile_object(node, language, but=("when", "for_each", "track", "call", "message_id", "source_order", "identifiers"))
    _check_contract(node, calls, body, contracts, notes)
    identifiers = compile_identifiers(fields["identifiers"], language, namespaces) if "identifiers" in fields else None
    if identifiers is None and body.copied is None:
        raise node.error("`identifiers` is missing: whom is the event about?")
    return EventRule(
        language.compile(fields["when"]) if "when" in fields else None,
        language.compile(fields["for_each"]) if "for_each" in fields else None,
        Object({**calls, **body.fields}, body.copied),
        identifiers,
        language.compile(fields["message_id"]) if "message_id" in fields else None,
        language.compile(fields["source_order"]) if "source_order" in fields else None,
    )


def _calls(node: Node, fields: dict[str, Node]) -> dict[str, Template]:
    """Type and name of the event, as constants."""
    if "track" in fields:
        for other in ("call", "type", "event"):
            if other in fields:
                raise fields[other].error("`track: NAME` says type and event already")
        return {"type": Constant("track"), "event": Constant(fields["track"].text())}
    if "call" in fields:
        call = fields["call"].text()
        if call == "track":
            raise fields["call"].error("write `track: NAME OF THE EVENT`")
        if call not in CALLS:
            raise fields["call"].error(f"there is no call `{call}`{hint(call, CALLS)}")
        return {"type": Constant(call)}
    if "type" not in fields and "$copy" not in fields:
        raise node.error("say which event it is: `track: NAME`, or `call:` with page, screen, identify, group or alias")
    return {}


def _check_contract(node: Node, calls: dict[str, Template], body: Object, contracts: Mapping[str, Contract], notes: list[str]) -> None:
    """An event whose contract needs what the mapping never makes would be rejected each time: better now than then."""
    event = calls.get("event")
    name = event.value(None) if event is not None else None
    if name is None:
        return
    place = node.value["track"]
    contract = contracts.get(name)
    if contract is None:
        near = hint(name, contracts)
        notes.append(str(place.error(f"`{name}` has no contract, so its properties are not checked{near if 'did you' in near else ''}")))
        return
    properties = body.fields.get("properties")
    if body.copied is not None or (properties is not None and (not isinstance(properties, Object) or properties.copied is not None)):
        return
    made = properties.fields if isinstance(properties, Object) else {}
    missing = [label for label, field in contract.fields.items() if field.required and label not in made]
    if missing:
        raise place.error(f"`{name}` needs {', '.join(f'`properties.{label}`' for label in missing)} (docs/events.md)")
    for label in made:
        if label not in contract.fields:
            near = hint(label, contract.fields)
            there = node.value["properties"].value[label]
            notes.append(str(there.error(f"`{name}` knows no `{label}`{near if 'did you' in near else ''}; it goes along unchecked")))
