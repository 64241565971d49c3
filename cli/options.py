"""Options that many commands have."""

from typing import Annotated

import typer

Who = Annotated[str, typer.Argument(help="An identifier, namespace:value, e.g. user_id:14646.")]
TenantName = Annotated[str, typer.Option("--tenant", help="Whose customer; default: the platform's default tenant.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON for programs.")]
