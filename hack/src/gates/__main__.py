"""`hack/check [step ...]`: runs every gate, or those named, as many at a time as there are cores, and goes on after a failure."""

import os
import sys
import textwrap
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

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
    failed = []
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        try:
            for step, (passed, said) in zip(chosen, pool.map(outcome, chosen), strict=True):
                print(said, flush=True)
                failed += [] if passed else [step.name]
        except KeyboardInterrupt:
            pool.shutdown(cancel_futures=True)
            print("check: interrupted")
            return 130
    if failed:
        print(f"check: {len(failed)} of {len(chosen)} steps failed: {', '.join(failed)}")
        return 1
    print(f"check: all {len(chosen)} steps passed")
    return 0


def outcome(step: Step) -> tuple[bool, str]:
    """Whether a step passes, and what is told of it: a line, with what it found below."""
    began = time.monotonic()
    try:
        step.check()
    except (Failed, OSError) as error:
        return False, f"{_line(step, began)}  FAILED\n{textwrap.indent(str(error), '  ')}"
    return True, f"{_line(step, began)}  ok"


def _line(step: Step, began: float) -> str:
    return f"check: {step.name:<11}{time.monotonic() - began:6.1f} s"


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
