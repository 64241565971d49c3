"""Orders, refunds, tickets, leads: whose they are, and what was told of them (docs/objects.md)."""
