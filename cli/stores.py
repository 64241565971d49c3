"""The stores as the commands open them: with the platform's addresses and its own reading of identifiers."""

import os
from pathlib import Path

from config import loader
from config.definitions import Definitions
from pipelines.identity.nodes import Nodes
from profile_store.client import Client
from profile_store.lookup import Normaliser, parse_identifier
from sinks.clickhouse import ClickHouse
from stack import applied, settings

QUICK_S = 5.0


class TenantError(ValueError):
    """The tenant is not in `config/platform.yaml`."""


def tenant_or_default(name: str) -> str:
    """The tenant named, or the platform's default for an empty name.

    Raises:
        TenantError: there is none of this name.
    """
    platform = loader.platform()
    if name and name not in platform.tenants:
        raise TenantError(f"no tenant `{name}`; there are {', '.join(platform.tenants)} (config/platform.yaml)")
    return name or platform.default_tenant


def normaliser() -> Normaliser:
    """The platform's reading of identifier values; without the key file of this installation, identifiers marked `pii` cannot be read."""
    path = os.environ.get("CDP_HMAC_KEY_FILE")
    key = Path(path).read_bytes() if path and Path(path).exists() else None
    return Nodes(loader.identity(), key).lookup_value


def profiles(tenant: str) -> Client:
    """A client of the profile store."""
    return Client(loader.platform().redis.url, tenant, normaliser())


def node_of(tenant: str, identifier: str) -> str | None:
    """The node key of an identifier, None when it identifies nobody.

    Raises:
        IdentifierError: it is not `namespace:value`.
    """
    namespace, raw = parse_identifier(identifier)
    value = normaliser()(tenant, namespace, raw)
    return None if value is None else f"{tenant}|{namespace}|{value}"


def definitions_in_force() -> Definitions:
    """The features and rules that the jobs go by: those of the last start, not what has been written to config/ since."""
    in_force = applied.environment(settings.load().run).get("CDP_CONFIG_DIR", "")
    return loader.definitions(Path(in_force) if in_force else None)


def history() -> ClickHouse:
    """ClickHouse, for questions that are answered at once or not at all."""
    return ClickHouse(loader.platform().clickhouse, answer_timeout_s=QUICK_S)


def shown_node(node: str) -> str:
    """A node key as people write it; values that stand for personal data are marked."""
    _, namespace, value = node.split("|", 2)
    pii = {space.name for space in loader.identity().namespaces if space.pii}
    return f"{namespace}:{value[:8]}… (hashed)" if namespace in pii else f"{namespace}:{value}"
