"""`cdp shop`: a storefront to click about in."""

from typing import Annotated

import typer


class ShopError(Exception):
    """The shop cannot open."""


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(shop)


def shop(
    port: Annotated[int, typer.Option(help="Where the shop listens.")] = 18085,
    host: Annotated[str, typer.Option(help="Address it listens on.")] = "127.0.0.1",
    source: Annotated[str, typer.Option(help="Name of the source (config/sources.yaml, kind http) that the shop is.")] = "web-shop",
) -> None:
    """Open a demonstration shop: click about, and watch beside the page the live profile that comes of it. Ctrl-C closes it."""
    import uvicorn

    from cli import stores
    from config import loader
    from demo import dataset
    from demo.shop.app import Shop, create
    from demo.shop.catalogue import catalogue, names
    from profile_store.async_client import AsyncClient
    from stack import parts, settings

    sources, platform, definitions = loader.sources(), loader.platform(), loader.definitions()
    if source not in sources or sources[source].kind != "http":
        known = ", ".join(name for name, found in sources.items() if found.kind == "http")
        raise ShopError(f"no source `{source}` of kind http in config/sources.yaml; there are {known}")
    stack = settings.load()
    _knock(stack.collector)
    parts.ensure(stack, ["browser-sdk"], lambda name, state, _: print(f"{name}: {state}"))
    tenant = platform.tenants[sources[source].tenant]
    data = dataset.load()
    told = Shop(
        collector=stack.collector,
        write_key=sources[source].write_key,
        currency=tenant.currency,
        products=catalogue(data),
        names=names(data),
        tags={rule.name: rule.says for rule in definitions.tags},
        windows=list(definitions.features.windows),
    )
    profiles = AsyncClient(platform.redis.url, sources[source].tenant, stores.normaliser())
    print(f"The shop is open at http://{host}:{port}/ (Ctrl-C closes it)")
    uvicorn.run(create(told, parts.browser_sdk(stack), profiles), host=host, port=port, log_level="warning", timeout_graceful_shutdown=2)


def _knock(collector: str) -> None:
    import urllib3

    try:
        answer = urllib3.request("GET", f"{collector}/ready", timeout=5.0, retries=False)
    except urllib3.exceptions.HTTPError as error:
        raise ShopError(f"the collector at {collector} does not answer; `cdp up` starts it, `cdp status` shows it") from error
    if answer.status != 200:
        raise ShopError(f"the collector at {collector} is not ready: {answer.data.decode(errors='replace')[:200]}")
