"""All aggregations there are, by name: those of the files in this folder."""

import importlib
import pkgutil
from typing import Final

import pipelines.aggregations
from pipelines.aggregations.contract import Aggregation


def _found() -> dict[str, Aggregation]:
    folder = pipelines.aggregations
    modules = [importlib.import_module(f"{folder.__name__}.{one.name}") for one in pkgutil.iter_modules(folder.__path__)]
    found = [module.AGGREGATION for module in modules if hasattr(module, "AGGREGATION")]
    return {one.name: one for one in sorted(found, key=lambda one: one.name)}


ALL: Final = _found()
