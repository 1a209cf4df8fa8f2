"""What the pages say is true of the tree: links lead somewhere, manifests are valid, commands exist."""

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from gates.tree import ROOT, with_suffix
from suanli.api import KINDS, PLACEMENT_KINDS

PAGES = [path for path in with_suffix(".md") if path.parts[0] != "examples" or len(path.parts) == 2]
MODELS = {model.kind_info.kind: model for model in KINDS}


def manifests() -> list[tuple[Path, dict[str, Any]]]:
    found = []
    for page in PAGES:
        for block in re.findall(
            r"^```yaml\n(.*?)^```$", (ROOT / page).read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE
        ):
            found += [(page, document) for document in yaml.safe_load_all(block) if "apiVersion" in document]
    return found


@pytest.mark.parametrize("page", PAGES, ids=str)
def test_links_lead_somewhere(page: Path) -> None:
    links = re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", (ROOT / page).read_text(encoding="utf-8"))
    assert [link for link in links if not (ROOT / page.parent / link).exists()] == []


@pytest.mark.parametrize("page", PAGES, ids=str)
def test_paths_and_commands_exist(page: Path) -> None:
    text = (ROOT / page).read_text(encoding="utf-8")
    named = re.findall(r"(?<![\w./-])(?:\./)?((?:hack|examples|charts|crds|docs|tests|operator)/[\w./-]*\w)", text)
    assert [name for name in named if not (ROOT / name).exists()] == []


@pytest.mark.parametrize(("page", "fewest"), [("README.md", 5), ("docs/operations.md", 10)])
def test_what_happens_when_is_shown_by_tests_that_exist(page: str, fewest: int) -> None:
    named = re.findall(r"`(test_\w+)` in (tests/[\w/]+\.py)", (ROOT / page).read_text(encoding="utf-8"))
    assert len(named) >= fewest
    missing = [(test, file) for test, file in named if f"def {test}(" not in (ROOT / file).read_text(encoding="utf-8")]
    assert missing == []


def test_pages_count_the_kinds_that_there_are() -> None:
    words = ("one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve")
    counts = {words[len(KINDS) - 1], words[len(PLACEMENT_KINDS) - 1]}
    told = [
        (str(page), word)
        for page in PAGES
        for word in re.findall(rf"\b({'|'.join(words)}) kinds\b", (ROOT / page).read_text(encoding="utf-8"))
    ]
    assert told
    assert [each for each in told if each[1] not in counts] == []


def test_manifests_are_valid() -> None:
    found = manifests()
    assert "ComputeJob" in {document["kind"] for _, document in found}
    for _, document in found:
        MODELS[document["kind"]].model_validate(document)
