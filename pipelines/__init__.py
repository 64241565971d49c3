"""One package per stage: ingest, identity, features, audiences, history."""
