"""The rule language: one reading of conditions over named values, and what is made of them: Python, ClickHouse SQL, and sentences."""
