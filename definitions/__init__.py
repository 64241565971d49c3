"""Whether what people have written (configuration, event contracts, mappings) can be used, before anything runs by it."""
