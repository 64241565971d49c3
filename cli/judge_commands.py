"""`cdp judge`: every profile judged by the rules in force, now."""

from typing import Annotated

import typer


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("judge")(judge)


def judge(
    wait: Annotated[float, typer.Option(help="Seconds to wait for the profiles' answers.")] = 120,
    tenant: Annotated[str, typer.Option(help="Only this tenant; default: all.")] = "",
) -> None:
    """Judge every profile by the rules in force, now; silent customers too.

    A restart of `profiles` judges a customer by changed rules when it is next seen or its next timer fires. This asks all of them at once
    and waits until each has answered. Exit code 1 when some have not.
    """
    from cli import stores
    from config import loader
    from definitions.check import check
    from operations.controls import Publisher
    from operations.judging import judge as run
    from operations.progress import Progress
    from pipelines.audiences.rules import fingerprint

    platform = loader.platform()
    rules = fingerprint(stores.definitions_in_force())
    if mistakes := check():
        print(f"config/ has mistakes that keep it from being applied ({len(mistakes)}; `cdp check` names them); the rules in force hold on")
    elif rules != fingerprint(loader.definitions()):
        print("config/ says something else than what is in force: `cdp job stop profiles && cdp job start profiles` applies it")
    behind = 0
    for name in [stores.tenant_or_default(tenant)] if tenant else platform.tenants:
        with Progress(f"{name}: judged by rules {rules}") as progress:
            found = run(Publisher(platform.kafka.bootstrap), platform.redis.url, name, rules, wait, progress.at)
        answered = found.poked - len(found.behind)
        if not found.poked:
            print(f"{name}: all {found.profiles:,} profiles were judged by the rules in force ({rules}) already")
        elif not found.behind:
            print(f"{name}: {answered:,} of {found.profiles:,} profiles judged anew in {found.took_s:.1f} s; all carry rules {rules}")
        else:
            print(f"{name}: {len(found.behind):,} of {found.poked:,} profiles have not answered after {found.took_s:.0f} s")
            print("is job `profiles` ready (`cdp jobs`), and was it started since the rules were changed?")
        behind += len(found.behind)
    if behind:
        raise typer.Exit(1)
