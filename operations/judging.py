"""Have every profile of a tenant judged by the rules in force, those of silent customers too.

A profile carries the fingerprint of the rules by which it was judged (`rules_version`). Whoever carries another one gets a poke at each of
its nodes: they tell all values that the definitions of now ask for and set their timers anew, the profile judges itself and says so.
"""

import time
from collections.abc import Callable, Iterable, Iterator
from typing import Any, Final

import msgspec
from redis import Redis

from operations.controls import Publisher
from profile_store import layout

BATCH: Final = 500
POKE_AGAIN_S: Final = 10.0
LOOK_EVERY_S: Final = 0.5
FIELD: Final = "rules_version"
Tell = Callable[[int, int], None]
"""Told how many of how many profiles have answered."""


class Judged(msgspec.Struct, frozen=True):
    """What became of it.

    Attributes:
        profiles: of the tenant, when it began.
        poked: those that had been judged by other rules.
        behind: those that still were when patience ended.
        took_s: from the first poke to the last answer, seconds.
    """

    profiles: int
    poked: int
    behind: list[str]
    took_s: float


def judge(publisher: Publisher, redis_url: str, tenant: str, rules: str, wait_s: float, tell: Tell) -> Judged:
    """Poke whoever was judged by other rules, and wait for the answers.

    A poke that a restart swallows is sent again after ten seconds; pokes repeat without harm.

    Args:
        publisher: where pokes go.
        redis_url: the profile store, which shows who has answered.
        tenant: whose profiles.
        rules: fingerprint of the rules in force, see `pipelines.audiences.rules.fingerprint`.
        wait_s: how long to wait for the answers.
        tell: takes the progress.

    Raises:
        operations.controls.ControlError: Kafka does not take the pokes.
    """
    redis: Any = Redis.from_url(redis_url, socket_timeout=30)
    try:
        everyone = list(judged_by(redis, tenant, profiles(redis, tenant)))
        behind = [profile_id for profile_id, found in everyone if found != rules]
        poked = len(behind)
        nodes = _nodes(redis, tenant, set(behind)) if behind else {}
        began, poked_at = time.monotonic(), -POKE_AGAIN_S
        tell(0, poked)
        while behind:
            if time.monotonic() - poked_at >= POKE_AGAIN_S:
                publisher.poke_nodes(tenant, [node for profile_id in behind for node in nodes.get(profile_id, ())], f"rules {rules}")
                publisher.poke_profiles(tenant, [profile_id for profile_id in behind if profile_id not in nodes], f"rules {rules}")
                poked_at = time.monotonic()
            time.sleep(LOOK_EVERY_S)
            behind = [profile_id for profile_id, found in judged_by(redis, tenant, behind) if found != rules]
            tell(poked - len(behind), poked)
            if time.monotonic() - began > wait_s:
                break
        return Judged(len(everyone), poked, behind, time.monotonic() - began)
    finally:
        redis.close()


def profiles(redis: Any, tenant: str) -> list[str]:
    """Ids of the tenant's profiles in the store."""
    found = (layout.parse_profile_key(key.decode()) for key in redis.scan_iter(match=layout.profile_key(tenant, "*"), count=1000))
    return sorted({owner[1] for owner in found if owner and owner[0] == tenant})


def judged_by(redis: Any, tenant: str, profile_ids: Iterable[str]) -> Iterator[tuple[str, str | None]]:
    """Which rules profiles were judged by: pairs of id and fingerprint, None for who is merged into another or was never judged."""
    ids = list(profile_ids)
    for first in range(0, len(ids), BATCH):
        batch = ids[first : first + BATCH]
        pipeline = redis.pipeline(transaction=False)
        for profile_id in batch:
            pipeline.hmget(layout.profile_key(tenant, profile_id), FIELD, layout.MERGED_INTO)
        for profile_id, (rules, merged) in zip(batch, pipeline.execute(), strict=True):
            if merged is None:
                yield profile_id, None if rules is None else str(layout.decode_value(rules))


def _nodes(redis: Any, tenant: str, wanted: set[str]) -> dict[str, list[str]]:
    """Node keys of profiles, by profile."""
    found: dict[str, list[str]] = {}
    prefix = layout.node_key(tenant, "", "").removesuffix(":")
    keys = list(redis.scan_iter(match=f"{_literal(prefix)}*", count=1000))
    for first in range(0, len(keys), BATCH):
        batch = keys[first : first + BATCH]
        for key, value in zip(batch, redis.mget(batch), strict=True):
            profile_id = layout.parse_node_value(value)[1] if value else ""
            if profile_id in wanted:
                namespace, _, identifier = key.decode().removeprefix(prefix).partition(":")
                found.setdefault(profile_id, []).append(f"{tenant}|{namespace}|{identifier}")
    return found


def _literal(text: str) -> str:
    """A text in a pattern of Redis, standing for itself."""
    return "".join(f"\\{character}" if character in "*?[]\\^-" else character for character in text)
