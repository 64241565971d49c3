"""`cdp rejected`: find out why records were rejected, correct them, and send them back."""
