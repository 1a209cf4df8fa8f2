from pathlib import Path

import pytest

from gates import alone


@pytest.mark.parametrize(
    "source",
    [
        "import suanli",
        "from suanli.billing.posting import shares",
        "import json, numpy",
        "def f():\n    from pydantic import Field",
        "from . import package",
        "from ..bench import gap",
        "import importlib\nimportlib.import_module('suanli')",
        "__import__('suanli')",
        "exec('import suanli')",
    ],
)
def test_code_of_others_is_found(source: str) -> None:
    assert list(alone.findings(Path("f.py"), source))


def test_the_standard_library_and_itself_are_allowed() -> None:
    source = "import json\nfrom fractions import Fraction\nfrom audit.package import read\nimport audit.chain"
    assert list(alone.findings(Path("f.py"), source)) == []


def test_the_audit_keeps_it() -> None:
    alone.check()
