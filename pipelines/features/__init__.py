"""Features: windowed series, the order ledger, the node's fragment and the profile that combines fragments."""
