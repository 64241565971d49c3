"""What the browser SDK asks its CDN before it sends: which destinations there are. There is one, and it is us."""

from typing import Any


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
                "addBundledMetadata": True,
                "unbundledIntegrations": [],
                "versionSettings": {"version": "4.4.7", "componentTypes": ["browser"]},
            }
        },
        "plan": {"track": {"__default": {"enabled": True, "integrations": {}}}, "identify": {"__default": {"enabled": True}}},
        "edgeFunction": {},
        "analyticsNextEnabled": True,
        "middlewareSettings": {},
        "enabledMiddleware": {},
        "metrics": {"sampleRate": 0.1, "host": f"{host}/v1", "protocol": scheme},
        "legacyVideoPluginsEnabled": False,
        "remotePlugins": [],
    }
