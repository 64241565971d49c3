"""A small shop to click about in: it sends what is clicked by the official browser SDK, and shows the profile that comes of it."""
