"""The options by which the commands of `cdp unmapped` choose records."""

from typing import Annotated

import typer

Source = Annotated[str, typer.Option(help="Only these sources of config/sources.yaml, separated by commas.")]
Code = Annotated[str, typer.Option(help="Only these codes, separated by commas.")]
Field = Annotated[str, typer.Option(help="Only this field; [*] stands for any index.")]
Since = Annotated[str, typer.Option(help="Not kept before: 15m, 6h, 2d, or a time such as 2026-01-31T10:00:00Z.")]
Until = Annotated[str, typer.Option(help="Kept before; as --since.")]
