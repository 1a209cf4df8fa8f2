"""What a real API server says to manifests, as a person hears it: through kubectl."""

import json
import re
import subprocess
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from harness.shell import Kubectl
from manifests import Manifest

_REFUSAL = re.compile(r'^(?:The|Error|for:).*?(?:\w|\.suanli\.io) "([^"]*)" is invalid: ', re.MULTILINE)


@dataclass(frozen=True)
class Hub:
    """A hub that is asked."""

    kubectl: Kubectl

    def says(self, *args: str, manifest: Manifest | None = None) -> str:
        """All that kubectl prints, warnings too, whether it fails or not."""
        argv = [str(self.kubectl.binary), "--kubeconfig", str(self.kubectl.kubeconfig), *args]
        stdin = None if manifest is None else json.dumps(manifest)
        argv += [] if manifest is None else ["-f", "-"]
        done = subprocess.run(argv, input=stdin, capture_output=True, text=True, timeout=240, check=False)
        return done.stdout + done.stderr

    def verdicts(self, objects: Sequence[Manifest], *verb: str) -> dict[str, str]:
        """Why each object is refused, by its name; "" for one that is taken. Without a verb nothing is stored."""
        with tempfile.TemporaryDirectory() as folder:
            for number, each in enumerate(objects):
                (Path(folder) / f"{number:04}.json").write_text(json.dumps(each))
            said = self.says(*(verb or ("create", "--dry-run=server")), "-f", folder)
        parts = _REFUSAL.split(said)
        refused = dict(zip(parts[1::2], parts[2::2], strict=True))
        names = [each["metadata"]["name"] for each in objects]
        assert len(set(names)) == len(names), "two objects have one name"
        taken = {name for name in names if re.search(rf"^\w+\.suanli\.io/{re.escape(name)} \w+", said, re.MULTILINE)}
        missing = [name for name in names if name not in taken and name not in refused]
        assert not missing, f"nothing was said of {missing}: {said}"
        return {name: refused.get(name, "") for name in names}
