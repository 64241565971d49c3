"""Serving: the topic of profile changes becomes live profiles in Redis."""
