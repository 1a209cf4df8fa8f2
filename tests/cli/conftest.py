"""Files for the planning commands."""

from pathlib import Path

import pytest
import yaml

from planned import Put
from worlds import Raw


@pytest.fixture
def put(tmp_path: Path) -> Put:
    """A folder with these objects."""

    def write(*objects: Raw, file: str = "all.yaml") -> Path:
        (tmp_path / file).write_text(yaml.safe_dump_all(objects, allow_unicode=True), encoding="utf-8")
        return tmp_path

    return write
