"""Event contracts: Avro schemas of the clean topics, the codec, rejection codes."""
