"""How rows leave Flink and history reaches ClickHouse."""
