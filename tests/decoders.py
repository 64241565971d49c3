"""A decoder as the job makes it, with a key of its own."""

from config import loader
from pipelines.identity.nodes import Nodes
from pipelines.ingest.checks import Rules
from pipelines.ingest.decode import Decoder
from pipelines.ingest.personal import Masker


def configured_decoder() -> Decoder:
    """By the configuration of the project."""
    identity = loader.identity()
    nodes = Nodes(identity, b"k" * 32)
    return Decoder(loader.platform(), nodes, Masker(identity, nodes), Rules.configured())
