"""Read profiles from a synchronous program.

client = Client(tenant="demo")
profile = client.get("user_id:17850")
if profile: print(profile["orders_lifetime"], profile.tags, profile.age_s())
"""

import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any, TypeVar

from redis import Redis

from profile_store.connection import ANSWER_TIMEOUT_S, CONNECT_TIMEOUT_S, Patience, checked, default_tenant, default_url
from profile_store.lookup import Batches, Command, Normaliser, Personal, by_id, default_normaliser, find, personal
from profile_store.profile import Profile

T = TypeVar("T")


class Client:
    """Reads profiles of one tenant.

    Args:
        url: `redis://:password@host:port/db`; by default the platform's, with its password (config/platform.yaml, `cdp secrets`).
        tenant: whose profiles; by default the platform's default tenant.
        normalise: turns an identifier's raw value into the one in keys; the default knows no namespaces marked `pii`.
        retry_for_s: how long a call waits for a server that is away.

    Every call raises `StoreUnavailableError`, `StoreRefusedError` (`StoreDeniedError` where the Redis user may not read that) or, for a
    malformed identifier, `IdentifierError`.
    """

    def __init__(
        self, url: str | None = None, tenant: str | None = None, normalise: Normaliser = default_normaliser, retry_for_s: float = 5
    ) -> None:
        url, tenant = url or default_url(), tenant or default_tenant()
        self._redis: Redis = Redis.from_url(url, socket_connect_timeout=CONNECT_TIMEOUT_S, socket_timeout=ANSWER_TIMEOUT_S)
        self._patience = Patience(url, retry_for_s)
        self._tenant = tenant
        self._normalise = normalise

    def get(self, identifier: str) -> Profile | None:
        """The profile an identifier such as `user_id:17850` belongs to, merges followed; None when there is none."""
        return self.get_many([identifier])[identifier]

    def get_many(self, identifiers: Sequence[str]) -> dict[str, Profile | None]:
        """Profiles of many identifiers, in two round trips altogether (and one more per hop of merging)."""
        return self._run(find(self._tenant, identifiers, self._normalise))

    def get_by_id(self, profile_id: str) -> Profile | None:
        """A profile by its id, merges followed."""
        return self._run(by_id(self._tenant, [profile_id]))[profile_id]

    def personal(self, identifier: str) -> Personal | None:
        """The personal traits of the profile an identifier belongs to, merges followed; None when there is no profile.

        Args:
            identifier: as for `get`.

        Returns:
            name -> `{"value": "sealed:...", "conflicts": [{"value": "sealed:...", "source", "at", "verified"}]}`. To open them takes the
            key of this installation (docs/traits.md), which this package does not know.

        Raises:
            StoreDeniedError: the Redis user may not read `cdp:pii:*`.
        """
        return self._run(personal(self._tenant, identifier, self._normalise))

    def watch(self, identifier: str, every_s: float = 0.2, sleep: Callable[[float], Any] = time.sleep) -> Iterator[Profile | None]:
        """The profile now, and again each time its version or its merging changes; ends never."""
        before: object = self
        while True:
            profile = self.get(identifier)
            seen = (profile.profile_id, profile.version) if profile else None
            if seen != before:
                before = seen
                yield profile
            sleep(every_s)

    def close(self) -> None:
        """Close the connections."""
        self._redis.close()

    def _run(self, batches: Batches[T]) -> T:
        try:
            commands = next(batches)
            while True:
                commands = batches.send(self._patience.run(lambda: self._send(commands)))  # noqa: B023 (called at once)
        except StopIteration as finished:
            found: T = finished.value
            return found

    def _send(self, commands: list[Command]) -> list[Any]:
        pipeline: Any = self._redis.pipeline(transaction=False)
        for command in commands:
            pipeline.execute_command(*command)
        return checked(pipeline.execute(raise_on_error=False))
