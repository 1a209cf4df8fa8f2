"""Every state of the protocol's model: the invariants hold with all guards, and without any one of them one breaks.

The protocol itself is described in operator/suanli/federation/README.md.
"""

import re
from dataclasses import replace
from pathlib import Path

import pytest

import suanli
from protocolmodel import AT_LEAST_ONCE, FENCED_SITE, NO_FENCE, Guard, Setting, explore

TWO_RUN = "two copies run at once"
UNMETERED = "something ran and is not metered"
# By guard: the world in which it matters, and the invariant that breaks without it.
NEEDED: dict[Guard, tuple[Setting, str]] = {
    Guard.COMMIT_FIRST: (NO_FENCE, TWO_RUN),
    Guard.ONE_WRITE_A_VERSION: (NO_FENCE, TWO_RUN),
    Guard.NAMED_BY_EPOCH: (NO_FENCE, TWO_RUN),
    Guard.OLD_GONE_FIRST: (NO_FENCE, TWO_RUN),
    Guard.LATE_CREATES: (NO_FENCE, TWO_RUN),
    Guard.CERTAINLY_GONE: (NO_FENCE, "something that is owned was removed"),
    Guard.SWEEP: (AT_LEAST_ONCE, "it never comes right"),
    Guard.FINALIZER: (NO_FENCE, UNMETERED),
    Guard.RECORD_FIRST: (AT_LEAST_ONCE, UNMETERED),
    Guard.LOST_UNBILLED: (AT_LEAST_ONCE, "what ran beside the current epoch is billed"),
    Guard.WAIT_FOR_FENCE: (FENCED_SITE, TWO_RUN),
    Guard.FENCE_KNOWN: (replace(FENCED_SITE, fenced=False), TWO_RUN),
    Guard.SILENT_FOR_LONG: (FENCED_SITE, TWO_RUN),
    Guard.FENCE_ACTS: (FENCED_SITE, TWO_RUN),
    Guard.FENCE_GOES_ON: (FENCED_SITE, TWO_RUN),
    Guard.FENCE_COUNTS_EARLY: (FENCED_SITE, TWO_RUN),
    Guard.RENEWAL_ENDS_LATE: (FENCED_SITE, TWO_RUN),
    Guard.RENEWED_BY_PREDECESSOR: (FENCED_SITE, TWO_RUN),
}


@pytest.mark.parametrize(
    "world", [FENCED_SITE, NO_FENCE, AT_LEAST_ONCE], ids=["a fenced site", "no fence", "AtLeastOnce"]
)
def test_every_state_keeps_the_invariants_and_comes_right(world: Setting) -> None:
    walk = explore(world)
    assert not walk.broken, (walk.broken, walk.way)
    assert walk.states > 2_000, "so few states are no walk"


@pytest.mark.parametrize("guard", Guard, ids=lambda guard: guard.name)
def test_every_guard_is_needed(guard: Guard) -> None:
    world, wrong = NEEDED[guard]
    walk = explore(replace(world, without=guard))
    assert walk.broken == wrong, (guard.value, walk)


def test_every_guard_is_named_as_the_code_names_it() -> None:
    folder = Path(suanli.__file__).parent
    code = "\n".join(path.read_text(encoding="utf-8") for path in folder.rglob("*.py"))
    for guard in Guard:
        name = guard.value.split(":")[0].rpartition(".")[2]
        assert re.search(rf"\b(def|class) {name}\b", code) or (folder / "federation" / f"{name}.py").exists(), guard
