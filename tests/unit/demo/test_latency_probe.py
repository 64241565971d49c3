"""The tour's own probes are complete events: it must not raise an alert by itself."""

from config.quality import quality
from demo.latency import PROBE


def test_a_probe_has_what_a_complete_event_is_expected_to_have() -> None:
    expected = quality().expected["Product Viewed"]
    assert expected
    assert not set(expected) - PROBE.keys()
