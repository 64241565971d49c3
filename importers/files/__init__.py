"""Files as sources: rows out of CSV, Parquet and JSON Lines, grouped, mapped, sent once; resumable."""
