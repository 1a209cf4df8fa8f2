import pytest
from packaging.requirements import Requirement
from packaging.version import Version

from gates import lock


@pytest.mark.parametrize(
    "line",
    [
        "kopf",
        "kopf>=1.45",
        "kopf==1.45.2 # why",
        "kopf==1.45.2 --hash=sha256:00",
        "--index-url somewhere",
        "kopf @ file:///kopf.whl",
        "",
    ],
)
def test_only_pins_are_taken(line: str) -> None:
    pins, wrong = lock.read_pins(f"rich==15.0.0\n{line}\n")
    assert set(pins) == {"rich"}
    assert wrong == [f"requirements.lock:2: {line!r} is not name==version and nothing else"]


def test_a_package_is_pinned_once() -> None:
    assert lock.read_pins("PyYAML==1\npyyaml==2\n")[1] == ["requirements.lock:2: pyyaml is there twice"]


def test_what_is_missing_wrong_or_too_much_is_told() -> None:
    roots = [Requirement("rich>=14,<16")]
    assert lock.compare({"rich": Version("15.0.0")}, roots) == [
        "markdown-it-py is needed and not in requirements.lock",
        "mdurl is needed and not in requirements.lock",
        "pygments is needed and not in requirements.lock",
    ]
    pins = {name: Version("15") for name in ("rich", "markdown-it-py", "mdurl", "pygments", "numpy")}
    old = "requirements.lock pins rich 13, and rich<16,>=14 is asked for"
    assert old in lock.compare(pins | {"rich": Version("13")}, roots)
    assert lock.compare(pins, roots)[-1] == "requirements.lock pins numpy, and nothing needs it"


def test_what_both_locks_pin_has_one_version() -> None:
    pins, wrong = lock.read_pins("numpy==2\nnumpy==2\nrich==15\n", lock.PEERS)
    assert wrong == ["requirements-peers.lock:2: numpy is there twice"]
    assert lock.differing(pins, pins) == []
    assert lock.differing({"numpy": Version("1"), "attrs": Version("3")}, pins) == [
        "requirements-peers.lock pins numpy 2, and requirements.lock 1"
    ]


def test_an_extra_pulls_in_what_it_names() -> None:
    bare = lock.needed([Requirement("networkx")], anywhere=False)
    assert set(bare) == {"networkx"}
    assert {"numpy", "scipy"} <= set(lock.needed([Requirement("networkx[default]")], anywhere=False))
