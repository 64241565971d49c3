"""What the browser SDK asks its CDN before it sends: which destinations there are. There is one, and it is us."""

from typing import Any

METRICS_SHARE = 0.1  # of the SDK's own measurements


def settings(write_key: str, host: str, scheme: str) -> dict[str, Any]:
    """The settings of `GET /v1/projects/{writeKey}/settings` as `@segment/analytics-next` reads them.

    Args:
        write_key: of a source.
        host: name and port under which the browser reaches the collector.
        scheme: `http` or `https`.
    """
    return {
        "integrations": {
            "Segment.io": {
                "apiKey": write_key,
                "apiHost": f"{host}/v1",
                "protocol": scheme,
                "addBundledMetadata": False,
                "unbundledIntegrations": [],
            }
        },
        # Each of these would have the SDK fetch more code; `plan` is not there at all, since even an empty one does.
        "edgeFunction": {},
        "middlewareSettings": {},
        "enabledMiddleware": {},
        "legacyVideoPluginsEnabled": False,
        "remotePlugins": [],
        "metrics": {"sampleRate": METRICS_SHARE, "host": f"{host}/v1", "protocol": scheme},
    }
