"""Fix files: the one place that knows which kinds there are."""

from pathlib import Path

import yaml

from pipelines.rejected.fixes import FixFileError, LoadedFix, is_patch, patch


def load_fix(path: Path) -> LoadedFix:
    """Read a fix file.

    Raises:
        FixFileError: it is missing, or does not say what it should; the message names file and entry.
    """
    try:
        content = path.read_bytes()
        loaded = yaml.safe_load(content)
    except OSError as error:
        raise FixFileError(f"{path}: cannot be read ({error.strerror})") from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise FixFileError(f"{path}: not YAML: {error}") from error
    if not is_patch(loaded):
        # Whole mappings, which build another envelope from the record, are dispatched from here: `importers.mapping` compiles them.
        raise FixFileError(f"{path}: not a patch: it says none of rename, set, text, unset (docs/rejected.md)")
    try:
        return patch(loaded, content)
    except FixFileError as error:
        raise FixFileError(f"{path}: {error}") from error
