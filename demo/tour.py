"""The guided demo: every step is a command of `cdp` or a look from the outside, and says what it does and why it can be trusted."""

import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final, NamedTuple

from rich.console import Console
from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

from config import loader
from demo import latency, replay, showcase
from demo.messages import TENANT, iso
from demo.one_person import Walk
from demo.pipeline_watch import PipelineWatch
from demo.player import Player
from operations import raw_topics
from operations.progress import Progress as Lines
from operations.timed_stream import Tally
from pipelines.identity.nodes import Nodes
from profile_store.client import Client
from profile_store.connection import address
from sinks.clickhouse import ClickHouse, ClickHouseError
from stack.errors import StackError
from stack.topics import set_clock

NO_PROFILES: Final = 1  # the writer's own counter may be there
ALREADY_LIVE: Final = (
    "this stack is on the live clock already, and a log's clock cannot go back to last year. There is no profile in it yet: "
    "`cdp demo --from-nothing` deletes its data and begins again"
)
STALLED_S: Final = 120.0
LOOK_S: Final = 0.5


class TourError(RuntimeError):
    """A step failed; the message says what to do."""


class Length(NamedTuple):
    """How long a tour: which part of the data set, how many live events at which rate, and whether the stack's data is deleted first."""

    options: replay.Options
    live_events: int = 300
    live_rate: float = 20.0
    from_nothing: bool = False


class Tour:
    """Walks a newcomer through the platform.

    Args:
        console: where it is told.
        length: what is played.
    """

    def __init__(self, console: Console, length: Length) -> None:
        self._console = console
        self._length = length
        self._begun = time.monotonic()
        self._number = 0

    def run(self) -> None:
        """Take all steps.

        Raises:
            TourError: a step failed.
        """
        with self._step(
            "Start the stack", "Kafka, Flink, Redis and ClickHouse as plain processes on this machine, and the jobs; nothing is faked."
        ):
            if self._length.from_nothing:
                self._cdp("down", "--wipe")
            # A fresh log begins on the replay's clock: otherwise the ticker has moved it to the present before the first event.
            self._cdp("up", CDP_RAW_CLOCK="replay")
        platform = loader.platform()
        partitions = raw_topics.partitions_of(platform.kafka.bootstrap, loader.topics().raw())
        watch = PipelineWatch(platform.kafka.bootstrap, platform.redis.url, partitions)
        server = ClickHouse(platform.clickhouse)
        why = "25,900 invoices (UCI Online Retail, CC BY 4.0), with synthetic visits marked as such; the log's clock is theirs."
        with self._step("Replay a year of a real shop", why):
            tally = self._replay(watch, Client(platform.redis.url, TENANT))
        if tally is not None:
            why = "The loader stores each event exactly once, so the count must be the replay's, to the event."
            with self._step("Wait for the history in ClickHouse", why):
                self._wait_history(server, tally.to_json()["total"])
        with self._step(
            "Compute the RFM cut points",
            "Quantiles of the shop's own customers, out of ClickHouse; everybody with an order is judged by them.",
        ):
            self._cdp("rfm", "refresh")
        with self._step("The shop's customers by value", "View `rfm_segments` over the newest snapshot of every profile."):
            self._wait_scores(server, watch)
            self._show("RFM segments", server, showcase.SEGMENTS)
        with self._step("A loyal customer, live", "Read from Redis by any identifier; this is what marketing systems see."):
            self._loyal(server)
        with self._step("Send live events", "The broker stamps them now. A second client reads Redis; one clock measures both ends."):
            self._live(platform.kafka.bootstrap, platform.redis.url)
            self._show("The newest minutes in ClickHouse, by log time", server, showcase.MINUTES)
        why = "Two devices and a guest order become one person at the sign-in, and two again when that was wrong."
        with self._step("One person from many identifiers", why):
            self._one_person(server, platform.kafka.bootstrap, platform.redis.url)
        with self._step(
            "Check the books", "Each raw record must end once: applied, duplicate or rejected. Offset by offset, not by totals."
        ):
            self._cdp("verify")
        self._farewell()

    @contextmanager
    def _step(self, title: str, why: str) -> Iterator[None]:
        self._number += 1
        self._console.print(f"\n[bold]{self._number}. {title}[/bold]  [dim]({time.monotonic() - self._begun:.0f} s)[/dim]\n   {why}")
        try:
            yield
        except (ClickHouseError, StackError, raw_topics.RawTopicsError, latency.NotSeenError) as error:
            raise TourError(f"step {self._number} ({title}): {error}") from error

    def _cdp(self, *words: str, **environment: str) -> None:
        """Run a command of ours as anybody would."""
        said = "".join(f"{name}={value} " for name, value in environment.items()) + f"cdp {' '.join(words)}"
        self._console.print(f"   [cyan]$ {said}[/cyan]")
        done = subprocess.run([sys.executable, "-m", "cli.main", *words], env=os.environ | environment, check=False)
        if done.returncode:
            command = f"`cdp {' '.join(words)}`"
            raise TourError(
                f"{command} failed (exit code {done.returncode}); its output above says why. `cdp status` and `cdp logs` tell more"
            )

    def _replay(self, watch: PipelineWatch, store: Client) -> Tally | None:
        """Write the events in one thread and watch the pipeline from another; None when the log held them already."""
        prepared = replay.plan(self._length.options)
        before = sum(watch.ends().values())
        player = Player(self._length.options, prepared)
        self._console.print(f"   {prepared.story}")
        figures = TextColumn("{task.completed:,}"), TextColumn("{task.fields[note]}"), TimeElapsedColumn()
        with Progress(SpinnerColumn(), TextColumn("{task.description:24}"), BarColumn(), *figures, console=self._console) as bars, player:
            written = bars.add_task("events written to Kafka", total=player.events or None, note="")
            applied = bars.add_task("raw records processed", total=None, note="")
            progress, first, moved_at = -1, False, time.monotonic()
            lines = None if self._console.is_terminal else Lines("   replay", stream=self._console.file)
            while True:
                over = player.is_over()
                ends = watch.ends()
                total, done = sum(ends.values()) - before, watch.processed(ends) - before
                date = iso(player.progress.log_ms)[:10] if player.progress.log_ms else ""
                bars.update(written, completed=player.progress.events, note=date)
                bars.update(applied, completed=max(0, done), total=max(1, total), note=f"{watch.keys():,} keys in Redis")
                if lines is not None:
                    lines.say(
                        f"{player.progress.events:,} events written, up to {date or '-'}; {max(0, done):,} of {total:,} records processed"
                    )
                first = first or (player.progress.events > 0 and self._show_first(watch, store))
                if over and (player.tally is None or done >= player.written):
                    break
                if done != progress:
                    progress, moved_at = done, time.monotonic()
                if over and time.monotonic() - moved_at > STALLED_S:
                    advice = "see `cdp jobs` and `cdp logs profiles`; `cdp demo` goes on from here"
                    raise TourError(f"the pipeline has not moved for {STALLED_S:.0f} s: {advice}")
                time.sleep(LOOK_S)
        if player.tally is None:
            if watch.keys() <= NO_PROFILES:
                raise TourError(ALREADY_LIVE)
            self._console.print(f"   [yellow]not replayed:[/yellow] {player.refusal}\n   The tour goes on with what is there.")
        return player.tally

    def _show_first(self, watch: PipelineWatch, store: Client) -> bool:
        profile_id = watch.first_customer(TENANT)
        profile = store.get_by_id(profile_id) if profile_id else None
        if profile is None:
            return False
        self._console.print(f"   The first live profile, {time.monotonic() - self._begun:.0f} s after the start, while the replay goes on:")
        self._console.print(showcase.glance(profile))
        return True

    def _wait_history(self, server: ClickHouse, total: object) -> None:
        assert isinstance(total, dict)
        self._wait_rows(lambda: int(server.rows(showcase.EVENTS)[0]["events"]), int(total["applied"]), "events")
        rejected = ", ".join(f"{number:,} {code}" for code, number in total["rejected"].items())
        self._console.print(f"   {total['applied']:,} events; rejected: {rejected} (stock write-offs and bad debt, as it should be)")

    def _wait_scores(self, server: ClickHouse, watch: PipelineWatch) -> None:
        """Redis is ahead of ClickHouse by a checkpoint and a load: let it catch up with the newest cut points."""
        version, profiles = max(watch.cut_points(TENANT).items(), default=(0, 0))
        named = {"tenant": TENANT, "version": version}
        self._wait_rows(lambda: int(server.rows(showcase.SCORED, named)[0]["profiles"]), profiles, "profiles with the newest scores")

    def _wait_rows(self, count: Callable[[], int], expected: int, what: str) -> None:
        """Wait until ClickHouse holds so many rows; give up when it has not moved for two minutes."""
        stored, moved_at = -1, time.monotonic()
        with Lines("   loading", stream=self._console.file) as lines:
            while stored < expected:
                now = count()
                if now != stored:
                    stored, moved_at = now, time.monotonic()
                lines.say(f"{max(0, stored):,} of {expected:,} {what}")
                if time.monotonic() - moved_at > STALLED_S:
                    found = f"ClickHouse has had {stored:,} of {expected:,} {what} for {STALLED_S:.0f} s"
                    raise TourError(f"{found}: see `cdp jobs` and `cdp logs history`")
                time.sleep(LOOK_S)

    def _live(self, bootstrap: str, redis_url: str) -> None:
        set_clock("live", bootstrap)  # it is already after our own replay, not after somebody else's
        with Progress(
            SpinnerColumn(), TextColumn("live events seen in Redis"), BarColumn(), TextColumn("{task.completed}"), console=self._console
        ) as bar:
            task = bar.add_task("live", total=self._length.live_events)
            probe = latency.Probe(bootstrap, redis_url, TENANT)
            lines = None if self._console.is_terminal else Lines("   live events seen in Redis", stream=self._console.file)

            def tell(seen: int) -> None:
                bar.update(task, completed=seen)
                if lines is not None:
                    lines.at(seen, self._length.live_events)

            measured = probe.measure(self._length.live_events, self._length.live_rate, tell)
        self._console.print(showcase.of_latency(latency.percentiles(measured)))

    def _one_person(self, server: ClickHouse, bootstrap: str, redis_url: str) -> None:
        key = Path(os.environ["CDP_HMAC_KEY_FILE"]).read_bytes()
        walk = Walk(bootstrap, Client(redis_url, TENANT, Nodes(loader.identity(), key).lookup_value))
        before = walk.arrive()
        self._console.print(f"   A laptop, a phone and a guest's order, whose parcel names nobody: {len(before)} profiles.")
        person, ms = walk.sign_in()
        self._console.print(f"   Signed in on both: one profile {person.profile_id} with all of it, {ms:.0f} ms after the click.")
        self._cdp("identity", "show", walk.user)
        self._console.print("   The shop and the ERP do not agree about her; her address is encrypted, and shown to who holds the key:")
        self._cdp("profile", "get", walk.user, "--personal")
        self._console.print("   Was the phone somebody else's? Then it never belonged here:")
        self._cdp("identity", "unlink", walk.user, walk.phone, "--reason", "her brother's")
        views = [profile.fields["views_lifetime"] for profile in walk.apart()]
        self._console.print(f"   Two people again, with {views[0]} and {views[1]} views. It was hers after all:")
        self._cdp("identity", "link", walk.user, walk.phone, "--reason", "she says it is hers")
        self._console.print(f"   One profile again: {walk.together().profile_id}.")
        self._show("Everybody in this stack", server, showcase.PEOPLE)

    def _loyal(self, server: ClickHouse) -> None:
        customer = showcase.loyal_customer(server, TENANT)
        if customer is None:
            self._console.print("   nobody carries the tag `loyal` in this slice; the whole data set has some hundreds")
            return
        self._cdp("profile", "get", f"user_id:{customer}")
        self._cdp("profile", "why", f"user_id:{customer}", "loyal")

    def _show(self, title: str, server: ClickHouse, query: str) -> None:
        self._console.print(showcase.of_rows(title, server.rows(query, {"tenant": TENANT})))

    def _farewell(self) -> None:
        platform = loader.platform()
        house = platform.clickhouse
        self._console.print(f"\n[bold]That was it[/bold], {time.monotonic() - self._begun:.0f} s. Still running:")
        self._cdp("status")
        self._console.print(
            f"   Kafka {platform.kafka.bootstrap}, Redis {address(platform.redis.url)}, "
            f"ClickHouse http://{house.host}:{house.http_port}/play; passwords and Flink's certificate: `cdp secrets`\n"
            "   The clock is live now: events of yours are stamped as they come.\n"
            "   Passwords of Redis and ClickHouse: `cdp secrets`\n"
            "   Try next: `cdp explain user_id:14646 loyal`, `cdp profile history user_id:14646`, `cdp tail`, `cdp jobs`;\n"
            "   kill any process and run `cdp verify` again; docs/ tells the rest.\n"
            "   Stop everything: `cdp down` (data stays; `cdp up` goes on where it was)."
        )
