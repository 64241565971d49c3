"""Messages between operators: compact, typed, versioned by position (new fields go to the end with a default)."""

from typing import Any

import msgspec


class OrderFacts(msgspec.Struct, array_like=True, frozen=True, tag_field="_", tag="o"):
    """An order's content.

    Attributes:
        order_id: its number.
        total: minor units of the tenant's currency.
        lines: `(product_id, quantity)` in their order.
        currency: the one it came in, if that is another; else empty.
        rate: what one unit of that currency was worth; 0 without.
    """

    order_id: str
    total: int
    lines: list[tuple[str, int]]
    currency: str = ""
    rate: float = 0.0


class RefundFacts(msgspec.Struct, array_like=True, frozen=True, tag_field="_", tag="r"):
    """A refund document.

    Attributes:
        refund_id: its number.
        total: minor units of the tenant's currency, by the rate of its own day.
        lines: as in an order; none when only money went back.
        order_id: the order that it names; empty: none.
        currency: as it was told; empty when it was not.
        amount: the total in major units of that currency.
        counts: whether the money has gone back.
        charge_back: whether the customer's bank took it.
    """

    refund_id: str
    total: int
    lines: list[tuple[str, int]]
    order_id: str = ""
    currency: str = ""
    amount: float = 0.0
    counts: bool = True
    charge_back: bool = False


class CancelFacts(msgspec.Struct, array_like=True, frozen=True, tag_field="_", tag="c"):
    """The cancellation of a whole order."""

    order_id: str


Facts = OrderFacts | RefundFacts | CancelFacts


class Told(msgspec.Struct, array_like=True):
    """When a version was told, and its place in its source's order and in the log.

    Attributes:
        time: event time, ms.
        position: log time (ms), raw topic, partition, offset.
        log, order: `origin_log` and `origin_order`, both empty without.
    """

    time: int
    position: tuple[int, str, int, int]
    log: str = ""
    order: str = ""

    @property
    def rank(self) -> tuple[int, tuple[int, str, int, int]]:
        """Decides between versions that no source has put in order."""
        return self.time, self.position


class Telling(msgspec.Struct, array_like=True):
    """Facts, and when they were told."""

    facts: Facts
    told: Told


class Word(msgspec.Struct, array_like=True):
    """What a call says of somebody by one trait.

    Attributes:
        name: of the trait.
        value: JSON text in the one spelling that stands for all; sealed where the trait is personal; empty: what was said is taken back.
        length: of the value in characters, before it was sealed.
        is_verified: the call says so.
    """

    name: str
    value: str
    length: int
    is_verified: bool


class Event(msgspec.Struct, array_like=True, tag_field="_", tag="e"):
    """A decoded, validated, normalised event on its way to its node.

    Times in ms; JSON parts as text; `original` is the raw record, needed when the node has to reject it. `origin`, `flags`,
    `origin_log`, `origin_order`, `object`: as in the Avro record `event`. `business_key` and `business_content` tell an event that happens
    once, `target` what it acts upon (0, empty: nothing), `stated` those of `identifiers` that it says are one with the node, `stage` where
    its object is then, `is_owner` whether the node owns that: then the facts count here. The node is empty where only an object is named.
    `words` are what an `identify` says, `group` is the group's node that a `group` call names.
    """

    node: str
    tenant: str
    type: str
    name: str
    message_id: str
    id_hash: int
    fingerprint: int
    event_time: int
    log_time: int
    late: bool
    source: str
    partition: int
    offset: int
    channel: str
    identifiers: list[str]
    properties: str
    traits: str
    context: str
    original: bytes
    facts: Facts | None = None
    origin: str = ""
    flags: list[str] = []
    business_key: str = ""
    business_content: int = 0
    target: int = 0
    origin_log: str = ""
    origin_order: str = ""
    stated: list[str] = []
    object: str = ""
    stage: str = ""
    is_owner: bool = True
    words: list[Word] = []
    group: str = ""

    @property
    def told(self) -> Told:
        """When it was told, and its places."""
        position = (self.log_time, self.source, self.partition, self.offset)
        return Told(self.event_time, position, self.origin_log, self.origin_order)


class Membership(msgspec.Struct, array_like=True, tag_field="_", tag="m"):
    """A `group` call's word to the group's node. As in `Event`; the event itself goes to the member's.

    Attributes:
        node: of the group.
        member: node that the call makes a member.
        words: what it says of the group.
    """

    node: str
    tenant: str
    member: str
    message_id: str
    origin: str
    told: Told
    words: list[Word]


class Alias(msgspec.Struct, array_like=True, tag_field="_", tag="a"):
    """The resolver's word to a node: from `epoch` on it belongs to `profile_id`."""

    node: str
    tenant: str
    profile_id: str
    epoch: int


class Fact(msgspec.Struct, array_like=True, tag_field="_", tag="f"):
    """An object's word to the node that owns it: what other nodes' records, or those of none, have told of it.

    Attributes:
        node: node key.
        tenant: owner.
        tellings: to be counted; those it knows already change nothing.
        message_id: event that caused it.
        log_time: of that event, ms.
        hold: its profile shall be silent until the watermark reaches this, ms; 0: need not.
        object: which one: kind, issuer, id.
    """

    node: str
    tenant: str
    tellings: list[Telling]
    message_id: str
    log_time: int
    hold: int = 0
    object: str = ""


class Give(msgspec.Struct, array_like=True, tag_field="_", tag="g"):
    """An object's word to the node that owned it: its documents are another one's. As in `Fact`.

    Attributes:
        orders, refunds: numbers of the documents.
    """

    node: str
    tenant: str
    orders: list[str]
    refunds: list[str]
    message_id: str
    log_time: int
    hold: int
    object: str


NodeInput = Event | Alias | Fact | Give | Membership


class Update(msgspec.Struct, array_like=True, tag_field="_", tag="u"):
    """What a node tells its profile: absolute values of the parts that changed.

    Attributes:
        profile_id: the profile it is for.
        node: node key.
        tenant: owner.
        seq: the node's counter; the values include its events 1..seq.
        now: the node's clock (ms).
        message_id: event that caused it; empty when time did.
        changed_at: clock at which the oldest unpublished change took place (`now` for events).
        places, numbers: of the parts that may have changed (all of them on a join): places in the layout of numbers, and a number for each.
        others: the same for values that are no numbers, by name.
        is_asked: the node was asked to tell everything because definitions have changed.
        hold: the profile shall be silent until the watermark reaches this, ms: an object changes hands. 0: need not.
    """

    profile_id: str
    node: str
    tenant: str
    seq: int
    now: int
    message_id: str
    changed_at: int
    places: list[int]
    numbers: list[int]
    others: dict[str, "Value"] = {}
    is_asked: bool = False
    hold: int = 0


Value = int | str | list[Any] | dict[str, int] | None


class Join(msgspec.Struct, array_like=True, tag_field="_", tag="j"):
    """A node enters a profile with all it knows."""

    update: Update
    epoch: int


class Leave(msgspec.Struct, array_like=True, tag_field="_", tag="l"):
    """A node has left the profile for another one."""

    node: str
    tenant: str
    epoch: int
    to_profile: str
    now: int


class Roster(msgspec.Struct, array_like=True, tag_field="_", tag="r"):
    """The resolver's word to a profile: the nodes it must hold before it may publish again."""

    tenant: str
    profile_id: str
    epoch: int
    nodes: list[str]


class Poke(msgspec.Struct, array_like=True, tag_field="_", tag="p"):
    """Look at this profile again: a definition changed and its result may differ."""

    tenant: str
    profile_id: str
    reason: str


ProfileInput = Update | Join | Leave | Roster | Poke


class Rejected(msgspec.Struct, frozen=True):
    """A record that cannot be applied; becomes the Avro record `rejected`."""

    code: str
    field: str
    rule: str
    tenant: str = ""
    message_id: str = ""
    origin: str = ""
