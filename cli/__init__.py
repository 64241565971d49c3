"""The command `cdp`."""
