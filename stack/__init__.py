"""The local stack: real servers without Docker, one supervisor, and what the command line does with them."""
