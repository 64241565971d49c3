"""The shop's own small web server: pages, the browser SDK, and a stream of the visitor's profile."""

import contextlib
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import Any, Final

import msgspec
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import FileResponse, Response, StreamingResponse
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles

from profile_store.async_client import AsyncClient
from profile_store.errors import IdentifierError

PAGE: Final = Path(__file__).parent / "page"
LOOK_EVERY_S: Final = 0.05
RETRY_MS: Final = 1000


class Shop(msgspec.Struct, frozen=True):
    """What the page is told.

    Attributes:
        collector: address of the collector, as the browser reaches it.
        write_key: of the source that the shop is.
        currency: of prices and amounts.
        products: see `demo.shop.catalogue`.
        names: product id -> name, of everything that was ever sold: a customer's favourites may not be on the shelf.
        tags: name of each tag -> what it says.
        windows: names of the windows of features, shortest first.
    """

    collector: str
    write_key: str
    currency: str
    products: list[dict[str, Any]]
    names: Mapping[str, str]
    tags: Mapping[str, str]
    windows: list[str]


def create(shop: Shop, sdk: Path, profiles: AsyncClient) -> Starlette:
    """The application.

    Args:
        shop: what the page is told.
        sdk: folder of the browser SDK's bundle.
        profiles: where the profile is read.
    """

    async def page(_request: Request) -> Response:
        return FileResponse(PAGE / "index.html", headers={"Cache-Control": "no-store"})

    async def told(_request: Request) -> Response:
        return Response(msgspec.json.encode(shop), media_type="application/json")

    async def profile(request: Request) -> Response:
        identifier = request.query_params.get("identifier", "")
        try:
            await profiles.get(identifier)
        except IdentifierError as error:
            return Response(msgspec.json.encode({"error": str(error)}), 400, media_type="application/json")
        return StreamingResponse(_changes(profiles, identifier), media_type="text/event-stream", headers={"Cache-Control": "no-store"})

    @contextlib.asynccontextmanager
    async def lifespan(_app: Starlette) -> AsyncIterator[None]:
        yield
        await profiles.close()

    return Starlette(
        lifespan=lifespan,
        routes=[
            Route("/", page),
            Route("/api/shop", told),
            Route("/api/profile", profile),
            Mount("/page", StaticFiles(directory=PAGE)),
            Mount("/sdk", StaticFiles(directory=sdk)),
        ],
    )


async def _changes(profiles: AsyncClient, identifier: str) -> AsyncIterator[bytes]:
    """The profile as server-sent events: at once, and whenever it changes."""
    yield f"retry: {RETRY_MS}\n\n".encode()
    async for found in profiles.watch(identifier, LOOK_EVERY_S):
        shown = (
            None if found is None else {"profile_id": found.profile_id, "version": found.version, "at": found.at, "fields": found.fields}
        )
        yield b"data: " + msgspec.json.encode(shown) + b"\n\n"
