"""The options by which the commands of `cdp rejected` choose records."""

from typing import Annotated

import typer

Where = Annotated[str, typer.Option(help="A condition, e.g. \"code = 'quality_rule' and log_time > ago(1h)\" (docs/rejected.md).")]
Code = Annotated[str, typer.Option(help="Only these codes, separated by commas.")]
Source = Annotated[str, typer.Option(help="Only these sources of config/sources.yaml.")]
Topic = Annotated[str, typer.Option(help="Only these raw topics, e.g. orders.")]
Field = Annotated[str, typer.Option(help="Only this field; * stands for anything: '$.properties.products[*].price'.")]
Tenant = Annotated[str, typer.Option(help="Only this tenant.")]
Since = Annotated[str, typer.Option(help="Not before: 15m, 6h, 2d of log time, or a time such as 2026-01-31T10:00:00Z.")]
Until = Annotated[str, typer.Option(help="Before; as --since.")]
