"""Options that many commands have."""

from typing import Annotated

import typer

Who = Annotated[str, typer.Argument(help="An identifier, namespace:value, e.g. user_id:14646.")]
TenantName = Annotated[str, typer.Option("--tenant", help="Whose customer; default: the platform's default tenant.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON for programs.")]
Reason = Annotated[str, typer.Option(help="Why; it is kept and shown with the link.")]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Say what it would do, and do nothing.")]
