"""Does everything add up? The checks behind `cdp verify`."""
