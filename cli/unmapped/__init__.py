"""`cdp unmapped`: records that no event could be made of, and back with them once their mapping is mended."""
