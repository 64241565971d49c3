"""What the collector counts, in Prometheus' terms. Labels hold names of ours only, never a client's words."""

import os

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, disable_created_metrics, generate_latest
from prometheus_client.multiprocess import MultiProcessCollector

SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)


class Metrics:
    """The counters of one process; with several workers they meet in the folder `PROMETHEUS_MULTIPROC_DIR`."""

    def __init__(self) -> None:
        # A second line for each, of no use to a process that says when it started.
        disable_created_metrics()  # type: ignore[no-untyped-call]
        self._registry = CollectorRegistry()
        self.requests = Counter(
            "cdp_collector_requests", "Requests by source, call and status", ["source", "call", "code"], registry=self._registry
        )
        self.events = Counter("cdp_collector_events", "Events acknowledged by Kafka", ["source"], registry=self._registry)
        self.refused = Counter(
            "cdp_collector_refused_events",
            "Events of requests that a limit or an absent Kafka refused",
            ["source", "reason"],
            registry=self._registry,
        )
        self.connections = Counter(
            "cdp_collector_refused_connections", "Connections ended before a key was checked", ["reason"], registry=self._registry
        )
        self.body_bytes = Counter("cdp_collector_body_bytes", "Bytes of unpacked bodies", ["source"], registry=self._registry)
        self.seconds = Histogram(
            "cdp_collector_request_seconds", "From a body's arrival to Kafka's word", buckets=SECONDS, registry=self._registry
        )
        self.client_metrics = Counter("cdp_collector_client_metrics", "Measurements of browser SDKs (/v1/m)", registry=self._registry)
        self.queued = Gauge(
            "cdp_collector_queued_events", "Events not yet acknowledged", multiprocess_mode="livesum", registry=self._registry
        )

    def render(self) -> bytes:
        """The text format, over all workers."""
        if "PROMETHEUS_MULTIPROC_DIR" not in os.environ:
            return generate_latest(self._registry)
        whole = CollectorRegistry()
        MultiProcessCollector(whole)  # type: ignore[no-untyped-call]
        return generate_latest(whole)
