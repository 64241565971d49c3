"""The profile store: where each profile lies in Redis, guarded writes, and the client that reads it."""
