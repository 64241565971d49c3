"""The catalogue of events: it can be read, its validators tell shape from quality, and a change says whether it breaks anybody."""

import re
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from config import loader
from schemas import codes, contract_changes, contract_pages, contracts, validators
from tests.examples import examples

DOCS = Path(__file__).parents[3] / "docs" / "events.md"
LINE = {"product_id": "p", "quantity": 2, "price": 1.5}
LEAD = {"lead_id": "l"}


def check(event: str, **properties: Any) -> Any:
    return validators.validators()[event].check(properties, ["GBP"])


@pytest.mark.parametrize(
    ("event", "properties", "code", "path"),
    [
        ("Product Viewed", {}, codes.SCHEMA_VIOLATION, ".product_id"),
        ("Product Viewed", {"product_id": ""}, codes.SCHEMA_VIOLATION, ".product_id"),
        ("Product Viewed", {"product_id": "p", "quantity": 1.5}, codes.SCHEMA_VIOLATION, ".quantity"),
        ("Product Viewed", {"product_id": "p", "price": -1}, codes.QUALITY_RULE, ".price"),
        ("Product Viewed", {"product_id": "p", "price": -1, "quantity": 1.5}, codes.SCHEMA_VIOLATION, ".quantity"),
        ("Order Completed", {"order_id": "o", "products": []}, codes.SCHEMA_VIOLATION, ".products"),
        ("Order Completed", {"order_id": "o", "products": [LINE, LINE | {"price": -1}]}, codes.QUALITY_RULE, ".products[1].price"),
        ("Order Completed", {"order_id": "o", "products": [LINE], "currency": "USD"}, codes.QUALITY_RULE, ".currency"),
        ("Conversation Message Sent", {"conversation_id": "c", "from": "me"}, codes.SCHEMA_VIOLATION, ".from"),
        ("Lead Submitted", LEAD | {"email": "nobody"}, codes.QUALITY_RULE, ".email"),
        ("Lead Submitted", LEAD | {"phone": "020 7946 0958"}, codes.QUALITY_RULE, ".phone"),
        ("Lead Submitted", LEAD | {"phone": "020 7946 0958", "country": "FR"}, codes.QUALITY_RULE, ".phone"),
        ("Lead Submitted", LEAD | {"country": "Britain"}, codes.QUALITY_RULE, ".country"),
        ("Consent Changed", {"purposes": {}}, codes.SCHEMA_VIOLATION, ".purposes"),
        ("Consent Changed", {"purposes": {"email": "yes"}}, codes.SCHEMA_VIOLATION, ".purposes[...]"),
        ("Consumable Level Reported", {"device_id": "d", "consumable": "filter", "remaining": 1.01}, codes.QUALITY_RULE, ".remaining"),
        ("Appointment Booked", {"appointment_id": "a", "starts_at": "soon"}, codes.SCHEMA_VIOLATION, ".starts_at"),
    ],
)
def test_what_is_wrong_is_named(event: str, properties: dict[str, Any], code: str, path: str) -> None:
    with pytest.raises(validators.Violation) as found:
        check(event, **properties)
    assert (found.value.code, found.value.path) == (code, path)
    assert found.value.rule


def test_what_is_right_comes_back_typed() -> None:
    assert check("Lead Submitted", **LEAD, phone="020 7946 0958", country="GB").phone == "020 7946 0958"
    assert check("Lead Submitted", **LEAD, phone="+44 20 7946 0958").country is None
    assert check("Conversation Message Sent", conversation_id="c", **{"from": "bot"}, unknown={"is": "kept elsewhere"})
    assert check("Order Completed", order_id="o", products=[LINE]).products[0].quantity == 2


def test_every_field_is_described_and_every_trigger_of_the_business_has_its_event() -> None:
    for contract in contracts.load().values():
        for fields in (contract.fields, *contract.parts.values()):
            assert all(field.says for field in fields.values()), contract.name
        assert contract.says.endswith("."), contract.name
    wanted = {
        "Page Engaged", "Element Clicked", "Video Content Playing", "Feature Used", "Product Shared", "Payment Completed",
        "Shipment Updated", "Shipment Delivered", "Return Requested", "Return Collected", "Return Inspected", "Return Refunded",
        "Coupon Applied", "Ticket Opened", "Call Completed", "Chat Ended", "Survey Answered", "Conversation Message Sent",
        "Lead Submitted", "Lead Messaged", "Opportunity Stage Changed", "Store Visited", "Email Opened", "Message Delivered",
        "Stock Level Changed", "Device Telemetry Reported", "Consumable Level Reported", "Consent Changed", "Trial Started",
        "Signed Up", "Signed In", "Checkout Started",
    }  # fmt: skip
    assert wanted <= contracts.load().keys()


def test_the_features_count_events_that_there_are() -> None:
    fed = {event for series in loader.definitions().features.series.values() for event in series.events}
    assert fed <= contracts.load().keys()


def test_the_page_is_the_one_made_from_the_contracts() -> None:
    assert DOCS.read_text() == contract_pages.page(contracts.load()), "run `cdp schema docs`"


def _written(folder: Path, text: str) -> dict[str, contracts.Contract]:
    (folder / "x.yaml").write_text(text)
    return contracts.load(folder)


BEFORE = """
owner: me
events:
  A:
    says: "a."
    fields: {x: {type: key, required: true, says: x}, y: {type: number, max: 5, says: y}, z: {type: choice, values: [p, q], says: z}}
  B: {says: "b."}
"""


@pytest.mark.parametrize(
    ("after", "breaking", "what"),
    [
        (BEFORE.replace("x: {type: key,", "x: {type: name,"), False, "was key, is name"),
        (BEFORE.replace("x: {type: key,", "x: {type: number,"), True, "was key, is number"),
        (BEFORE.replace("y: {type: number,", "y: {type: number, required: true,"), True, "is required now"),
        (BEFORE.replace("max: 5", "max: 4"), True, "max was 5.0, is 4.0"),
        (BEFORE.replace("max: 5", "max: 6"), False, "max was 5.0, is 6.0"),
        (BEFORE.replace("max: 5, ", ""), False, "max was 5.0, is None"),
        (BEFORE.replace("max: 5", "max: 5, min: 0"), True, "min was None, is 0.0"),
        (BEFORE.replace("[p, q]", "[p]"), True, "no longer one of its values: q"),
        (BEFORE.replace('  B: {says: "b."}\n', ""), True, "the event is gone: what it feeds gets nothing more"),
        (BEFORE + '  C: {says: "c."}\n', False, "new event"),
    ],
)
def test_a_change_tells_whether_it_breaks_who_sends_by_the_old_version(tmp_path: Path, after: str, breaking: bool, what: str) -> None:
    old = _written(tmp_path, BEFORE)
    assert [(change.breaking, change.what) for change in contract_changes.changes(old, _written(tmp_path, after))] == [(breaking, what)]


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ('owner: me\nevents: {A: {says: "a.", with: [nothing]}}', "events.A.with[0]: unknown part `nothing`"),
        (
            'owner: me\nevents: {A: {says: "a.", fields: {x: {type: tex, says: x}}}}',
            "2:45: events.A.fields.x.type: the text `tex` is not one of the values",
        ),
        ('owner: me\nevents: {A: {says: "a.", fields: {x: {type: choice, says: x}}}}', "events.A.fields.x: a choice needs `values`"),
        (
            'owner: me\nevents: {A: {says: "a.", fields: {x: {type: list, items: y, says: x}}}}',
            "x.items: `items` of a list is a part",
        ),
        ('owner: me\nevents: {A: {says: "a.", feeds: order}}', "needs the field `order_id`"),
        ("owner: [", "x.yaml"),
    ],
)
def test_a_contract_that_cannot_be_meant_is_refused(tmp_path: Path, text: str, why: str) -> None:
    with pytest.raises(contracts.ContractError, match=re.escape(why)):
        _written(tmp_path, text)


def test_a_version_has_to_say_what_was_done(tmp_path: Path) -> None:
    old = _written(tmp_path, BEFORE)
    narrowed, widened = BEFORE.replace("max: 5", "max: 4"), BEFORE.replace("max: 5", "max: 6")
    assert contract_changes.unannounced(old, _written(tmp_path, narrowed)) == {"A": "2-0-0"}
    assert contract_changes.unannounced(old, _written(tmp_path, narrowed.replace("A:", 'A:\n    version: "1-1-0"'))) == {"A": "2-0-0"}
    assert contract_changes.unannounced(old, _written(tmp_path, narrowed.replace("A:", 'A:\n    version: "2-0-0"'))) == {}
    assert contract_changes.unannounced(old, _written(tmp_path, widened)) == {"A": "1-0-1"}


@pytest.mark.parametrize("name", list(contracts.load()))
def test_json_schemas_accept_what_the_validators_accept(name: str) -> None:
    contract = contracts.load()[name]
    schema = contract_pages.json_schema(contract)
    jsonschema.Draft202012Validator.check_schema(schema)
    example = examples()[name]
    validators.validators()[name].check(example, ["GBP"])
    jsonschema.validate(example, schema)
    for label, field in contract.fields.items():
        if field.required:
            lacking = {other: value for other, value in example.items() if other != label}
            assert not jsonschema.Draft202012Validator(schema).is_valid(lacking)
            with pytest.raises(validators.Violation):
                validators.validators()[name].check(lacking, ["GBP"])
