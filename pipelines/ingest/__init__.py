"""From raw bytes to validated events."""
