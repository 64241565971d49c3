"""History: how the clean topics become tables in ClickHouse, each record exactly once."""
