"""Who an event belongs to: nodes, links, aliases."""
