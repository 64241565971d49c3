"""Links that a node remembers are bounded, and the event at the bound says so."""

import json

from pipelines.features.node import _LINKS_REMEMBERED, LINKS_FLAG
from tests.in_process import InProcess

NOW = 1_700_000_000_000


def test_the_link_beyond_the_bound_is_flagged_and_none_is_lost() -> None:
    core = InProcess()
    for number in range(_LINKS_REMEMBERED + 20):
        body = {"type": "page", "messageId": f"m{number}", "userId": "u1", "anonymousId": f"a{number}"}
        core.record(json.dumps(body).encode(), "cdp.raw.clickstream", 0, number, NOW + number)
    assert [LINKS_FLAG in event.flags for event in core.applied] == [False] * _LINKS_REMEMBERED + [True] * 20
    assert len(core.links) == _LINKS_REMEMBERED + 20
