"""The mapping language: from one foreign record to events. YAML for structure, JMESPath for values; see docs/importing.md.

rules = load(Path("config/mappings/tickets.yaml"))
rules.apply({"ticket": "T-1", ...})        # Mapped, Skipped or Failed
"""

from importers.mapping.document import MappingError
from importers.mapping.outcome import Event, Failed, Mapped, Outcome, Skipped
from importers.mapping.rules import MappingRules, compile_mapping, group_key, load

__all__ = ["Event", "Failed", "Mapped", "MappingError", "MappingRules", "Outcome", "Skipped", "compile_mapping", "group_key", "load"]
