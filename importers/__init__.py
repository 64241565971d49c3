"""Ways in for what is not an event yet: one mapping language, file importers, change data capture, webhooks, and a look at new sources."""
