"""`cdp secrets`: the passwords of this stack's stores, and the certificate of Flink's REST interface."""

import typer


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("secrets")(secrets)


def secrets() -> None:
    """Show users and passwords of Redis and ClickHouse, and the certificate that Flink asks for. They are made at the first `cdp up`."""
    from config import passwords
    from stack import rest_certificate, settings
    from stack.errors import StackError

    chosen = settings.load()
    home = chosen.home
    users = {"redis": "default", "clickhouse": settings.CLICKHOUSE_USER}
    for store in passwords.STORES:
        path = passwords.file_of(store, home)
        if not path.exists():
            raise StackError(f"there is no {path}", "`cdp up` makes it")
        print(f"{store:10}  user {users[store]:8} password {path.read_text().strip()}   {path}")
    folder = chosen.secrets
    password = rest_certificate.password(folder)
    print(f"flink       import into a browser: {rest_certificate.keystore(folder)}   password {password}")
    print(f"            or: curl --cert {rest_certificate.pem(folder)} --cacert {rest_certificate.pem(folder)} {chosen.flink}/overview")
