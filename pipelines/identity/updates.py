"""What the graph decides, as records of `cdp.identity.updates`."""

from collections.abc import Iterator

from pipelines.identity.graph import Decision
from pipelines.identity.link_log import LogRecord
from schemas import clean


def update_records(record: LogRecord, epoch: int, decisions: list[Decision]) -> Iterator[tuple[bytes, bytes]]:
    """Key and value for each decision that a record of the link log led to.

    Args:
        record: of the link log.
        epoch: its place in the log.
        decisions: in their order.
    """
    for number, decision in enumerate(decisions):
        update = {
            "tenant": record.tenant,
            "epoch": epoch,
            "number": number,
            "what": decision.what,
            "a": decision.a,
            "b": decision.b,
            "rule": decision.rule,
            "profile_id": decision.profile_id,
            "other_profile": decision.other_profile,
            "cause": record.cause,
            "reason": record.reason,
            "log_time": record.at,
        }
        yield record.tenant.encode(), clean.encode("identity_update", update)
