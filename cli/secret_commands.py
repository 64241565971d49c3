"""`cdp secrets`: the passwords of this stack's stores."""

import typer


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("secrets")(secrets)


def secrets() -> None:
    """Show users and passwords of Redis and ClickHouse, and where they lie. They are made at the first `cdp up`."""
    from config import passwords
    from stack import settings
    from stack.errors import StackError

    home = settings.load().home
    users = {"redis": "default", "clickhouse": settings.CLICKHOUSE_USER}
    for store in passwords.STORES:
        path = passwords.file_of(store, home)
        if not path.exists():
            raise StackError(f"there is no {path}", "`cdp up` makes it")
        print(f"{store:10}  user {users[store]:8} password {path.read_text().strip()}   {path}")
