"""Topics: the types of `config/topics.yaml`."""

from typing import Annotated

import msgspec

Positive = Annotated[int, msgspec.Meta(ge=1)]


class Topic(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One topic: partitions, replication and broker settings; `raw` topics are sources of job `profiles`."""

    raw: bool = False
    partitions: int = 0
    replication: int = 0
    config: dict[str, str] = msgspec.field(default_factory=dict)


class TopicDefaults(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a topic has that says nothing else."""

    partitions: Positive
    replication: Positive


class Topics(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`topics.yaml`."""

    defaults: TopicDefaults
    topics: dict[str, Topic]

    def raw(self) -> list[str]:
        """Names of the raw topics, in the order of the file."""
        return [name for name, topic in self.topics.items() if topic.raw]

    def partitions(self, name: str) -> int:
        """Number of partitions a topic is created with."""
        return self.topics[name].partitions or self.defaults.partitions

    def replication(self, name: str) -> int:
        """Replication factor a topic is created with."""
        return self.topics[name].replication or self.defaults.replication
