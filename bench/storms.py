"""How people fare beside a storm: half of all events are a device's, a chain's or a bot's; the others are measured as in `bench.merging`.

Runs against the stack that is up, on the live clock, with invented visitors. `python -m bench.storms device --rate 1000 --seconds 200`
"""

import random
from collections.abc import Iterator
from typing import Final

from bench.merging import CONTEXT, Visits, merges, options
from config import loader
from stack import settings

CHAIN: Final = 10_000


class Storm(Visits):
    """Every second event is the storm's.

    Args:
        bootstrap: Kafka.
        share: of the other events that are log-ins.
        kind: `device`, `chain` or `bot`.
    """

    def __init__(self, bootstrap: str, share: float, kind: str) -> None:
        super().__init__(bootstrap, share)
        self._storm = {"device": self._device, "chain": self._chain, "bot": self._bot}[kind]()
        self.stormed = self._turn = 0

    def send(self) -> tuple[str, str] | None:
        """Send an event of the storm, or see `Visits.send`."""
        self._turn += 1
        if self._turn % 2:
            next(self._storm)
            self.stormed += 1
            return None
        return super().send()

    def _device(self) -> Iterator[None]:
        """Always another user on one device."""
        while True:
            self._put("identify", f"storm{self._run}-{self.stormed}", f"kiosk{self._run}")
            yield

    def _chain(self) -> Iterator[None]:
        """Links of a chain in random order, and then again and again."""
        while True:
            for link in random.Random(self._run).sample(range(CHAIN), CHAIN):
                ends = (("device_id", f"d{self._run}-{link // 2}"), ("anonymous_id", f"a{self._run}-{(link + 1) // 2}"))
                known = [{"type": name, "id": value} for name, value in ends]
                self._put("Product Viewed", "", "", CONTEXT | {"externalIds": known})
                yield

    def _bot(self) -> Iterator[None]:
        """Always the same browser."""
        while True:
            self._put("Product Viewed", "", f"bot{self._run}")
            yield


def main() -> None:
    """Measure and print."""
    parser = options(__doc__)
    parser.add_argument("kind", choices=["device", "chain", "bot"])
    asked = parser.parse_args()
    settings.apply_environment()
    storm = Storm(loader.platform().kafka.bootstrap, asked.share, asked.kind)
    others = merges(storm, asked.rate, asked.seconds)
    print(f"{storm.stormed:,} events of the storm ({asked.kind}); of others {others}")


if __name__ == "__main__":
    main()
