"""`hack/check [step ...]`: runs every gate, or those named, and goes on after a failure."""

import os
import sys
import textwrap
import time
from collections.abc import Sequence

from gates.failure import Failed
from gates.steps import STEPS, Step
from gates.tree import ROOT


def main(names: Sequence[str]) -> int:
    """0 all well, 1 something was found, 2 no such step, 130 interrupted."""
    known = {step.name: step for step in STEPS}
    unknown = [name for name in names if name not in known]
    if unknown:
        print(f'check: there is no step "{unknown[0]}"; the steps are: {", ".join(known)}', file=sys.stderr)
        return 2
    os.chdir(ROOT)
    chosen = [step for step in STEPS if not names or step.name in names]
    try:
        failed = [step.name for step in chosen if not passes(step)]
    except KeyboardInterrupt:
        print("\ncheck: interrupted")
        return 130
    if failed:
        print(f"check: {len(failed)} of {len(chosen)} steps failed: {', '.join(failed)}")
        return 1
    print(f"check: all {len(chosen)} steps passed")
    return 0


def passes(step: Step) -> bool:
    """Run one step with its line of progress; what it found comes below."""
    print(f"check: {step.name:<10}", end="", flush=True)
    began = time.monotonic()
    try:
        step.check()
    except (Failed, OSError) as error:
        print(f"{time.monotonic() - began:6.1f} s  FAILED")
        print(textwrap.indent(str(error), "  "), flush=True)
        return False
    print(f"{time.monotonic() - began:6.1f} s  ok", flush=True)
    return True


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
