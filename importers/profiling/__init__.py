"""A look at a new source: what its fields hold, who is in it, and a draft of mapping and plan."""
