"""`cdp collector`: the HTTP collector in the foreground. `cdp up` runs one as a service."""

from typing import Annotated

import typer


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("collector")(collector)


def collector(
    host: Annotated[str, typer.Option(help="Address to listen on; by default the one of config/platform.yaml.")] = "",
    port: Annotated[int, typer.Option(help="Port; by default the one of this stack.")] = 0,
    workers: Annotated[int, typer.Option(help="Processes; each takes its share of the connections.", min=1)] = 1,
    tls_cert: Annotated[str, typer.Option(help="Certificate chain (PEM): serve HTTPS.")] = "",
    tls_key: Annotated[str, typer.Option(help="Its private key (PEM).")] = "",
    proxies: Annotated[str, typer.Option(help="Addresses of proxies whose X-Forwarded-For is believed, or `*`.")] = "",
) -> None:
    """Take events by HTTP, as the Segment SDKs send them, and write them to Kafka. Ctrl+C or SIGTERM ends it in good order."""
    from api.collector import server

    default_host, default_port = server.default_address()
    options = server.Options(
        host=host or default_host, port=port or default_port, workers=workers, tls_cert=tls_cert, tls_key=tls_key, proxies=proxies
    )
    raise typer.Exit(server.run(options))
