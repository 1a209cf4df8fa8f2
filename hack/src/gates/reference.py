"""What is written down twice is written by a program: settings and metrics in the docs, settings in the chart's schema.

`python -m gates.reference` writes; `hack/check` compares.
"""

import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from prometheus_client.metrics import MetricWrapperBase
from pydantic.alias_generators import to_camel

from gates.failure import refuse
from gates.tree import ROOT
from suanli.base.reasons import Reason
from suanli.base.settings import PREFIX, Settings
from suanli.telemetry.metrics import Metrics

OPERATIONS = ROOT / "docs" / "operations.md"
SCHEMA = ROOT / "charts" / "suanli" / "values.schema.json"
# The chart's Deployment decides these by itself.
OF_THE_POD = frozenset({"namespace", "identity", "kubeconfig", "data_dir", "http_host", "http_port"})


def settings_table() -> str:
    """Every SUANLI_* variable."""
    rows = ["| variable | default | allowed | meaning |", "|---|---|---|---|"]
    fields = Settings.model_json_schema()["properties"]
    for name, field in fields.items():
        default = f"`{field['default']}`" if field["default"] != "" else ""
        rows.append(f"| `{PREFIX}{name.upper()}` | {default} | {_allowed(field)} | {field['description']} |")
    return "\n".join(rows)


def metrics_table() -> str:
    """Every metric with its labels."""
    rows = ["| metric | type | labels | meaning |", "|---|---|---|---|"]
    for metric in vars(Metrics()).values():
        if isinstance(metric, MetricWrapperBase):
            family = next(iter(metric.describe()))
            name = family.name + ("_total" if family.type == "counter" else "")
            labels = ", ".join(metric._labelnames)  # noqa: SLF001 - known to nobody else
            rows.append(f"| `{name}` | {family.type} | {labels} | {family.documentation} |")
    return "\n".join(rows)


def chart_settings() -> dict[str, dict[str, Any]]:
    """The schema of operator.settings: every setting that the pod does not decide, in camelCase."""
    fields = Settings.model_json_schema()["properties"]
    return {to_camel(name): _value(field) for name, field in fields.items() if name not in OF_THE_POD}


def _allowed(field: dict[str, Any]) -> str:
    if "minimum" in field:
        return f"{field['minimum']} to {field['maximum']}"
    return ", ".join(f"`{choice}`" for choice in _choices(field))


def _choices(field: dict[str, Any]) -> list[str]:
    found = re.fullmatch(r"\^\(([A-Za-z|]+)\)\$", field.get("pattern", ""))
    return found[1].split("|") if found else []


def _value(field: dict[str, Any]) -> dict[str, Any]:
    text = f"{field['description'].removesuffix('.')}; default {field['default']}."
    if choices := _choices(field):
        return {"description": text, "enum": choices}
    kept = ("type", "minimum", "maximum", "minLength", "maxLength")
    return {"description": text, **{key: field[key] for key in kept if key in field}}


TABLES: dict[str, Callable[[], str]] = {"settings": settings_table, "metrics": metrics_table}


def operations(text: str) -> str:
    """docs/operations.md with its tables as they should be; each stands between two comments that name it."""
    for name, table in TABLES.items():
        begin, end = f"<!-- {name}: written by hack/generate -->", f"<!-- end of {name} -->"
        head, found_begin, rest = text.partition(begin)
        _, found_end, tail = rest.partition(end)
        assert found_begin, f"docs/operations.md has no line {begin}"
        assert found_end, f"docs/operations.md has no line {end}"
        text = f"{head}{begin}\n{table()}\n{end}{tail}"
    return text


def schema(text: str) -> str:
    """values.schema.json with operator.settings as it should be."""
    whole = json.loads(text)
    whole["properties"]["operator"]["properties"]["settings"]["properties"] = chart_settings()
    return json.dumps(whole, indent=2, ensure_ascii=False) + "\n"


WRITTEN: dict[Path, Callable[[str], str]] = {OPERATIONS: operations, SCHEMA: schema}


def unexplained_reasons(text: str) -> Iterator[str]:
    """Reasons that the tables of docs/operations.md miss, have twice, or made up."""
    _, _, part = text.partition("## Reasons")
    part, _, _ = part.partition("\n## ")
    told = re.findall(r"^\| `([A-Za-z]+)` \|", part, re.MULTILINE)
    known = [str(reason) for reason in Reason]
    yield from (f"docs/operations.md does not explain reason {name}" for name in known if name not in told)
    yield from (f"docs/operations.md explains {name}, which is no reason" for name in told if name not in known)
    yield from (f"docs/operations.md explains {name} twice" for name in sorted(set(told)) if told.count(name) > 1)


def check() -> None:
    """Compare what is there with what should be."""
    stale = [
        f"{path.relative_to(ROOT)} is not what hack/generate writes"
        for path, make in WRITTEN.items()
        if make(path.read_text(encoding="utf-8")) != path.read_text(encoding="utf-8")
    ]
    refuse(stale, "Run ./hack/generate.")
    refuse(list(unexplained_reasons(OPERATIONS.read_text(encoding="utf-8"))), "Mend the tables under `## Reasons`.")


def write() -> None:
    """Put down what should be."""
    for path, make in WRITTEN.items():
        old = path.read_text(encoding="utf-8")
        if (new := make(old)) != old:
            path.write_text(new, encoding="utf-8")
            print(f"generate: wrote {path.relative_to(ROOT)}")


if __name__ == "__main__":
    write()
