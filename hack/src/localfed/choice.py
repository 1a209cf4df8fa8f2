"""Which provider a run uses, by its environment."""

import os
from collections.abc import Callable, Mapping
from pathlib import Path

from localfed.existing import KubeconfigProvider, read_references
from localfed.process import ProcessProvider
from localfed.provider import Provider


def provider_from_env(
    env: Mapping[str, str] = os.environ, report: Callable[[str], None] = lambda _line: None
) -> Provider:
    """Processes, unless SUANLI_CLUSTERS names a YAML file of existing clusters; SUANLI_BIN names ready binaries."""
    bin_dir = Path(env["SUANLI_BIN"]) if env.get("SUANLI_BIN") else None
    if env.get("SUANLI_CLUSTERS"):
        return KubeconfigProvider(read_references(Path(env["SUANLI_CLUSTERS"])), bin_dir)
    return ProcessProvider(bin_dir, report=report)
