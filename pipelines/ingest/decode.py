"""Decode, validate, normalise: one raw record in, exactly one of event, rejection or tick out.

Nothing here raises on bad input.
"""

from typing import Any, Final

import msgspec

from config.platform import Platform
from pipelines.identity.nodes import Nodes
from pipelines.ingest import avro_records, moments, source_order, strict_json
from pipelines.ingest import envelope as shape
from pipelines.ingest.checks import Checked, Checks, Rules, issued
from pipelines.ingest.hashing import fingerprint, hash64
from pipelines.ingest.personal import Masker
from pipelines.ingest.told_traits import TRAITS_FLAG, TraitReader
from pipelines.wire import Event, Rejected, Word
from schemas import codes, json_text, odd_spellings
from schemas.contracts import MAX_NAME
from schemas.registry import RegistryError
from schemas.validators import Violation, shape_violation

_NO_CONTEXT: Final = shape.Context()
TICK: Final = b'{"type":"tick"}'
DROPPED_FLAG: Final = "dropped_"
"""Before the namespace of an identifier that could not be used, in the flags of an event."""
DROPPED_GROUP: Final = DROPPED_FLAG + "group"
MAX_TOLD: Final = 4
"""Dropped identifiers that a rejection tells of."""


class _Known(msgspec.Struct):
    """What is known of a record before it is understood; a rejection tells it."""

    tenant: str = ""
    message_id: str = ""
    origin: str = ""
    part: str = ""


class Decoder:
    """Turns raw records into events.

    Args:
        platform: tenants and limits.
        nodes: identifier rules.
        masker: keeps personal fields out of the clean topics.
        rules: plans, rates and traffic rules.
        traits: reads what calls say of people and groups; None where nobody asks for that.

    Raises:
        ConfigError: see `Checks`.
    """

    def __init__(self, platform: Platform, nodes: Nodes, masker: Masker, rules: Rules, traits: TraitReader | None = None) -> None:
        self._platform = platform
        self._limits = platform.limits
        self._nodes = nodes
        self._masker = masker
        self._traits = traits
        self._checks = Checks(platform, rules)

    def decode(self, value: bytes | None, source: str, partition: int, offset: int, log_time: int) -> Event | Rejected | None:
        """Decode one raw record.

        Args:
            value: the record's bytes, JSON or Avro in the Confluent wire format; None for a Kafka tombstone.
            source: raw topic.
            partition: raw partition.
            offset: raw offset.
            log_time: record timestamp, ms.

        Returns:
            The event, the reason why there is none, or None for a tick.

        Raises:
            RegistryError: what schema the record was written by cannot be told now; that is no fault of the record's.
        """
        if value == TICK:
            return None
        known = _Known()
        try:
            return self._decode(value or b"", source, partition, offset, log_time, known)
        except RegistryError:
            raise
        except Violation as found:
            code, field, rule = found.code, "$" + found.path, found.rule
        except msgspec.ValidationError as error:
            wrong = shape_violation(error)
            code, field, rule = wrong.code, "$" + known.part + wrong.path, wrong.rule
        except Exception as error:  # a fault of ours must cost one record, never the job: it is kept, typed and replayable
            code, field, rule = codes.INTERNAL, "$", f"{type(error).__name__}: {error}"
        return Rejected(code, field, rule, known.tenant, known.message_id, known.origin)

    def _decode(self, original: bytes, source: str, partition: int, offset: int, log_time: int, known: _Known) -> Event:
        limits = self._limits
        if not original:
            raise Violation(codes.PAYLOAD_FORMAT, "", "a JSON object, not an empty record")
        if len(original) > limits.order_bytes:
            raise Violation(codes.SIZE_VIOLATION, "", f"at most {limits.order_bytes} bytes")
        value = avro_records.as_json(original) if original[0] == 0 else original
        try:
            whole = strict_json.parse(value, limits.nesting)
        except Violation:
            self._note(strict_json.glimpse(value), known)
            raise
        odd_spellings.mend_envelope(whole)
        self._note(whole, known)
        raw = msgspec.convert(whole, shape.Envelope)
        properties, traits, context_raw = (strict_json.part(whole, name) for name in ("properties", "traits", "context"))
        known.part = ".context"
        context = msgspec.convert(context_raw, shape.Context) if context_raw else _NO_CONTEXT
        known.part = ""
        name = self._name(raw, len(original))
        tenant = raw.tenant or self._platform.default_tenant
        if tenant not in self._platform.tenants:
            raise Violation(codes.SCHEMA_VIOLATION, ".tenant", "a tenant of platform.yaml")
        if not name:
            raise Violation(codes.SCHEMA_VIOLATION, ".event", "the event's name, required for `track`")
        event_time = moments.event_time(raw, log_time, context.timezone, limits.max_future_s)
        given = _identifiers(raw, context)
        if raw.type == "identify" and traits:
            given += self._nodes.told_by(traits)
        identifiers, dropped = self._nodes.keys(tenant, given, known.origin)
        concerned = self._checks.concerned(known.origin, name, properties) if raw.type == "track" else None
        if not identifiers and concerned is None:
            why = "; ".join(f"the {one.namespace} is {one.reason}" for one in dropped[:MAX_TOLD])
            rule = "userId, anonymousId or context.externalIds with a value that identifies somebody, or an order, refund, ticket or lead"
            raise Violation(codes.IDENTIFIER_MISSING, ".userId", f"{rule} ({why})" if why else rule)
        log, order = _source_order(context, known.origin or source)
        checked = Checked(properties)
        if raw.type == "track":
            checked = self._checks.check(tenant, known.origin, name, properties, event_time, (log, order))
        flags = checked.flags
        if dropped:
            flags = [*flags, *dict.fromkeys(DROPPED_FLAG + one.namespace for one in dropped)]
        group, words, more = self._said(raw, tenant, context, traits, known.origin)
        flags = [*flags, *more] if more else flags
        body = (raw.type, raw.event, identifiers, raw.timestamp, raw.original_timestamp, properties, traits)
        masked_properties, masked_traits, masked_context = self._masker.mask(
            tenant, checked.properties, traits, context_raw, of_group=raw.type == "group"
        )
        if masked_properties is None and checked.properties is not properties:
            masked_properties = checked.properties
        channel = "web" if context.channel is None else context.channel
        return Event(
            node=identifiers[0] if identifiers else "",
            tenant=tenant,
            type=raw.type,
            name=name,
            message_id=raw.message_id,
            id_hash=hash64(raw.message_id.encode()),
            fingerprint=fingerprint(body),
            event_time=event_time,
            log_time=log_time,
            late=log_time - event_time > limits.lateness_s * 1000,
            source=source,
            partition=partition,
            offset=offset,
            channel=channel if channel in shape.CHANNELS else "other",
            identifiers=identifiers,
            properties=_text(properties, masked_properties),
            traits=_text(traits, masked_traits),
            context=_text(context_raw, masked_context),
            original=original,
            facts=issued(checked.facts, concerned.issuer) if checked.facts and concerned else checked.facts,
            origin=known.origin,
            flags=flags,
            business_key=checked.key,
            business_content=checked.content,
            target=checked.target,
            origin_log=log,
            origin_order=order,
            stated=self._stated(raw, tenant, identifiers, known.origin),
            object=concerned.object if concerned else "",
            stage=concerned.stage if concerned else "",
            words=words,
            group=group,
        )

    def _said(
        self, raw: shape.Envelope, tenant: str, context: shape.Context, traits: dict[str, Any], origin: str
    ) -> tuple[str, list[Word], list[str]]:
        """The group's node that a `group` call names, what an `identify` or such a call says by its traits, and flags of what it loses."""
        group, flags = "", []
        if raw.type == "group" and raw.group_id not in (None, ""):
            group = self._nodes.group(tenant, context.group_type, raw.group_id) or ""
            if not group:
                flags.append(DROPPED_GROUP)
        if self._traits is None or not traits or not (raw.type == "identify" or group):
            return group, [], flags
        words, is_cut = self._traits.words(tenant, traits, of_group=bool(group))
        return group, words, [*flags, TRAITS_FLAG] if is_cut else flags

    def _stated(self, raw: shape.Envelope, tenant: str, identifiers: list[str], origin: str) -> list[str]:
        """What an `alias` says that the user was called before, if that was a user id too."""
        if raw.previous_id is None or not _is_alias(raw):
            return []
        key = self._nodes.key(tenant, "user_id", raw.previous_id, origin)
        return [key] if key in identifiers[1:] else []

    def _note(self, whole: Any, known: _Known) -> None:
        """What can be told of a record before its shape is checked: whose it is, where it came from, how to find it again."""
        if not isinstance(whole, dict):
            return
        message_id, tenant, context = whole.get("messageId"), whole.get("tenant"), whole.get("context")
        if isinstance(message_id, str):
            known.message_id = message_id[: self._limits.message_id_chars]
        if not tenant:
            known.tenant = self._platform.default_tenant
        elif isinstance(tenant, str) and tenant in self._platform.tenants:
            known.tenant = tenant
        source = context.get("source") if isinstance(context, dict) else None
        # A collector, importer or bridge has written it; of a producer's own making nothing is expected.
        if isinstance(source, str) and len(source) <= MAX_NAME:
            known.origin = source

    def _name(self, raw: shape.Envelope, size: int) -> str | None:
        """The event's name, once size and message id are in order."""
        limits = self._limits
        name = raw.event if raw.type == "track" else raw.type
        if size > limits.event_bytes and not (name or "").startswith("Order "):
            raise Violation(codes.SIZE_VIOLATION, "", f"at most {limits.event_bytes} bytes for this event")
        if not raw.message_id:
            raise Violation(codes.SCHEMA_VIOLATION, ".messageId", "at least 1 character")
        if len(raw.message_id) > limits.message_id_chars:
            raise Violation(codes.SIZE_VIOLATION, ".messageId", f"at most {limits.message_id_chars} characters")
        return name


def _identifiers(raw: shape.Envelope, context: shape.Context) -> list[tuple[str, str]]:
    found = []
    if raw.user_id is not None:
        found.append(("user_id", raw.user_id))
    if raw.previous_id is not None and _is_alias(raw):
        # It does not say whether that was a user id or a browser's: it is taken for both.
        found += [("user_id", raw.previous_id), ("anonymous_id", raw.previous_id)]
    if raw.anonymous_id is not None:
        found.append(("anonymous_id", raw.anonymous_id))
    found.extend((external.type, external.id) for external in context.external_ids or ())
    return found


def _is_alias(raw: shape.Envelope) -> bool:
    """Whether a record says that its user had another id before. That of its own browser is no other id."""
    return raw.type == "alias" and raw.user_id is not None and raw.previous_id not in (raw.user_id, raw.anonymous_id)


def _text(part: dict[str, Any], changed: dict[str, Any] | None) -> str:
    """What is stored is what was understood, never the spelling it came in: readers further on may understand that otherwise."""
    found = part if changed is None else changed
    return json_text.written(found) if found else "{}"


def _source_order(context: shape.Context, source: str) -> tuple[str, str]:
    """Within which log the record has a place, and which; both empty when it does not say."""
    if context.source_order is None:
        return "", ""
    log = f"{source}/{context.source_log}" if context.source_log else source
    return log, source_order.canonical(context.source_order)
