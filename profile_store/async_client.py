"""Read profiles from an asyncio program: the same calls as `profile_store.client`, awaited."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from typing import Any, TypeVar

from redis.asyncio import Redis

from profile_store.connection import ANSWER_TIMEOUT_S, CONNECT_TIMEOUT_S, Patience, checked, default_tenant, default_url
from profile_store.lookup import Batches, Command, Normaliser, Personal, by_id, default_normaliser, find, personal
from profile_store.profile import Profile

T = TypeVar("T")


class AsyncClient:
    """Reads profiles of one tenant; arguments and errors as for `profile_store.client.Client`."""

    def __init__(
        self, url: str | None = None, tenant: str | None = None, normalise: Normaliser = default_normaliser, retry_for_s: float = 5
    ) -> None:
        url, tenant = url or default_url(), tenant or default_tenant()
        self._redis: Any = Redis.from_url(url, socket_connect_timeout=CONNECT_TIMEOUT_S, socket_timeout=ANSWER_TIMEOUT_S)
        self._patience = Patience(url, retry_for_s)
        self._tenant = tenant
        self._normalise = normalise

    async def get(self, identifier: str) -> Profile | None:
        """See `Client.get`."""
        return (await self.get_many([identifier]))[identifier]

    async def get_many(self, identifiers: Sequence[str]) -> dict[str, Profile | None]:
        """See `Client.get_many`."""
        return await self._run(find(self._tenant, identifiers, self._normalise))

    async def get_by_id(self, profile_id: str) -> Profile | None:
        """See `Client.get_by_id`."""
        return (await self._run(by_id(self._tenant, [profile_id])))[profile_id]

    async def personal(self, identifier: str) -> Personal | None:
        """See `Client.personal`."""
        return await self._run(personal(self._tenant, identifier, self._normalise))

    async def watch(self, identifier: str, every_s: float = 0.2) -> AsyncIterator[Profile | None]:
        """See `Client.watch`."""
        before: object = self
        while True:
            profile = await self.get(identifier)
            seen = (profile.profile_id, profile.version) if profile else None
            if seen != before:
                before = seen
                yield profile
            await asyncio.sleep(every_s)

    async def close(self) -> None:
        """Close the connections."""
        await self._redis.aclose()

    async def _run(self, batches: Batches[T]) -> T:
        try:
            commands = next(batches)
            while True:
                commands = batches.send(await self._patience.run_async(lambda: self._send(commands)))  # noqa: B023 (awaited at once)
        except StopIteration as finished:
            found: T = finished.value
            return found

    async def _send(self, commands: list[Command]) -> list[Any]:
        pipeline = self._redis.pipeline(transaction=False)
        for command in commands:
            pipeline.execute_command(*command)
        return checked(await pipeline.execute(raise_on_error=False))
