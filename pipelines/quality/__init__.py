"""Quality: how good the data is, minute by minute, and an alert with its cause when it gets worse."""
