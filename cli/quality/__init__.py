"""`cdp quality`: how good the data is, what is wrong with it, and where to look."""
