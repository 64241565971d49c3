"""`python -m api.collector`: serve until SIGTERM. The same as `cdp collector`, for supervisors and containers."""

import argparse
import sys

from api.collector import server
from config import loader


def main() -> int:
    """Read the command line and serve; returns the exit code."""
    host, port = server.default_address()
    words = argparse.ArgumentParser(prog="python -m api.collector", description="Take events by HTTP and write them to Kafka.")
    words.add_argument("--host", default=host)
    words.add_argument("--port", type=int, default=port)
    words.add_argument("--workers", type=int, default=1)
    words.add_argument("--tls-cert", default="", help="certificate chain, PEM")
    words.add_argument("--tls-key", default="", help="private key, PEM")
    words.add_argument("--proxies", default="", help="addresses whose X-Forwarded-For is believed, or *")
    said = words.parse_args()
    try:
        return server.run(server.Options(**vars(said)))
    except (server.OptionsError, loader.ConfigError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2


if __name__ == "__main__":
    sys.exit(main())
