"""`suanli simulate`: what it prints and writes, its exit codes, what it says of bad input, and how it is interrupted."""

import gzip
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import pytest
import yaml
from typer.testing import CliRunner

from pages import Page
from suanli.cli import app
from worlds import Raw, a_class, raw

ROOT = Path(__file__).resolve().parents[2]
NATIONAL = ROOT / "examples" / "national"
SCENARIO = ROOT / "examples" / "simulate" / "scenario.yaml"
SAMPLE = NATIONAL / "trace" / "pai-sample.csv"
DONE, BAD_INPUT, INTERRUPTED = 0, 2, 130
HEAD = "arrival_time,length,cpus"
A_KIND = {"name": "k", "classes": [{"names": ["gpu"]}]}
AN_OUTAGE = {"site": "one", "from": "2026-01-01T00:00:00Z", "to": "2026-01-01T02:00:00Z"}


class Ran:
    """What a run printed."""

    def __init__(self, *arguments: str | Path) -> None:
        told = CliRunner().invoke(app, ["simulate", *map(str, arguments)])
        self.code, self.out, self.err = told.exit_code, told.stdout, told.stderr

    @property
    def json(self) -> Any:
        return json.loads(self.out)


def a_scenario(**spec: Any) -> Raw:
    return {"apiVersion": "simulate.suanli.io/v1alpha1", "kind": "Scenario", "metadata": {"name": "s"}, "spec": spec}


@pytest.fixture
def put(tmp_path: Path) -> Callable[..., Path]:
    """A folder with a country of one site of four cards, and what else is given; a trace beside it."""

    def write(*documents: Raw, rows: str = "0,1,2\n0.5,2,4\n3,1,1\n") -> Path:
        folder = tmp_path / "country"
        folder.mkdir(exist_ok=True)
        region = raw("ComputeRegion", "here", {"displayName": "Here", "latitude": "30", "longitude": "110"})
        site = raw("ComputeSite", "one", {"region": "here", "resources": [a_class(declaredUnits=4)]})
        text = yaml.safe_dump_all([region, site, *documents], explicit_start=True)
        (folder / "all.yaml").write_text(text, encoding="utf-8")
        (tmp_path / "trace.csv").write_text(f"{HEAD}\n{rows}", encoding="utf-8")
        return folder

    return write


def on(folder: Path, *more: str | Path) -> Ran:
    return Ran("--scenario", folder, "--trace", folder.parent / "trace.csv", *more)


def test_one_site_runs_one_job_after_the_other(put: Callable[..., Path]) -> None:
    ran = on(put(a_scenario(kinds=[{"name": "k", "classes": [{"names": ["gpu"]}]}])), "-o", "json")
    assert (ran.code, ran.err) == (DONE, "")
    assert [p["policy"] for p in ran.json["policies"]] == ["suanli", "nearest", "cheapest", "spread", "random"]
    for told in ran.json["policies"]:
        assert told["jobs"] == {"arrived": 3, "placed": 3, "ended": 3, "running": 0, "waiting": 0}
        assert told["cardHours"] == 2 + 8 + 1
        assert told["money"]["runMicroYuan"] == 11_000_000
        assert told["queue"][-1]["longestS"] == 1_800
    assert ran.json["partial"] is False


def test_the_same_bytes_again_and_a_table_and_a_page(put: Callable[..., Path], tmp_path: Path) -> None:
    folder = put()
    one, other = (on(folder, "-o", "json", "--seed", "5", "--policy", "random") for _ in range(2))
    assert one.out == other.out
    ran = on(folder, "--report", tmp_path / "a.html", "--pictures", tmp_path)
    assert ran.code == DONE
    assert ran.out.splitlines()[0].split()[:3] == ["POLICY", "PLACED", "WAITING"]
    assert ran.out.splitlines()[-1].startswith("3 rows, 1 sites, 2025-12-31T16:00:00Z to ")
    assert ran.err.startswith(f"warning: {folder}: there is no Scenario in it")
    page = Page((tmp_path / "a.html").read_text(encoding="utf-8"))
    assert (page.addresses, len(page.svgs)) == ([], 6)
    pictures = sorted(tmp_path.glob("*.svg"))
    assert len(pictures) == 6
    assert all(ET.parse(picture).getroot().tag.endswith("svg") for picture in pictures)


def test_a_packed_trace_is_read_and_bad_rows_are_told(put: Callable[..., Path], tmp_path: Path) -> None:
    folder = put()
    packed = tmp_path / "trace.csv.gz"
    packed.write_bytes(gzip.compress(f"{HEAD}\n0,1,1\nnan,1,1\n5,1,1\n2,1,9\n".encode()))
    ran = Ran("--scenario", folder, "--trace", packed, "--policy", "suanli", "-o", "json")
    assert ran.code == DONE
    assert (ran.json["rows"], ran.json["badRows"]) == (3, 1)
    assert "line 5: the arrival is before that of the row above (1 such rows); they are put in order" in ran.err
    assert "1 of 4 rows of the trace cannot be used, such as line 3: 'nan,1,1': the arrival is not between" in ran.err


def test_it_ends_when_it_is_told_to(put: Callable[..., Path]) -> None:
    folder = put()
    for until in ("1h", "2025-12-31T17:00:00Z"):
        ran = on(folder, "--until", until, "--policy", "suanli", "-o", "json")
        assert ran.code == DONE
        assert (ran.json["rows"], ran.json["partial"]) == (2, True)
        assert ran.json["policies"][0]["jobs"]["ended"] == 1
    assert on(folder, "--until", "9d", "--policy", "suanli", "-o", "json").json["partial"] is False


def test_jobs_that_may_wait_and_sites_that_go_are_told_of(put: Callable[..., Path]) -> None:
    kind = {**A_KIND, "deferrable": {"2h": 1}, "failover": "AtLeastOnce"}
    outage = {"site": "one", "from": "2025-12-31T19:30:00Z", "to": "2025-12-31T20:00:00Z"}
    scenario = a_scenario(kinds=[kind], outages=[outage])
    told = on(put(scenario), "-o", "json").json
    assert [p["policy"] for p in told["policies"]][:2] == ["suanli", "at-once"]
    for p in told["policies"]:
        assert p["puttingOff"]["may"] == 3
        # Power costs the same at any hour; the second one has no room until the first ends.
        assert p["puttingOff"]["were"] == (1 if p["policy"] == "suanli" else 0)
        assert p["lost"] == {"attempts": 1, "cardHours": 0.5, "coreHours": 0.0}
        assert p["cardHours"] == 2 + 8 + 1 + 0.5
    assert told["savings"]["paidMicroYuan"] == 0
    assert (
        "1 of 3 jobs that may wait were put off, 30 min in the mean"
        in on(put(scenario), "--policy", "suanli", "--policy", "at-once").out
    )


def test_the_example_runs(tmp_path: Path) -> None:
    ran = Ran(
        "--scenario", SCENARIO, "--trace", SAMPLE, "--until", "45d", "-o", "json", "--report", tmp_path / "r.html"
    )
    assert (ran.code, ran.err) == (DONE, "")
    suanli, *baselines = ran.json["policies"]
    assert ran.json["sites"] == 10
    assert suanli["jobs"]["waiting"] == 0
    assert all(b["money"]["countedMicroYuan"] >= suanli["money"]["countedMicroYuan"] * 0.999 for b in baselines)


# --- wrong input


def wrong(ran: Ran) -> list[str]:
    assert (ran.code, ran.out) == (BAD_INPUT, "")
    lines = ran.err.splitlines()
    assert all(line.startswith("error: ") for line in lines)
    return lines


@pytest.mark.parametrize(
    ("spec", "says"),
    [
        ({"sites": ["two"]}, 'spec.sites: "two" is no ComputeSite'),
        ({"origins": {"there": 1}}, 'spec.origins: "there" is no ComputeRegion'),
        ({"origins": {"here": 0}}, "spec.origins.here"),
        ({"speed": 3}, "spec.speed: there is no such field; correct its name or remove it"),
        ({"capacityShare": "2"}, 'spec.capacityShare: "2": is not a share in quotes'),
        ({"start": "soon"}, 'spec.start: "soon": is not a time with its zone'),
        ({"durationError": "-1"}, 'spec.durationError: "-1"'),
        ({"trace": {"timeUnit": "days"}}, "spec.trace.timeUnit"),
        ({"kinds": [{"name": "k", "classes": [{"names": ["npu"]}]}]}, 'spec.kinds[k].classes: no site offers "npu"'),
        (
            {"kinds": [{"name": "k", "classes": [{"names": ["gpu"]}], "tiers": {"city": 1}}]},
            'spec.kinds[k].tiers: "city"',
        ),
        ({"kinds": [{"name": "k", "classes": [{"names": ["gpu"]}]}] * 2}, "two kinds have one name"),
        ({"kinds": [{"name": "k"}]}, "spec.kinds.0.classes: it is missing; add it"),
        ({"kinds": [{**A_KIND, "deferrable": {"soon": 1}}]}, "spec.kinds.0.deferrable"),
        ({"kinds": [{**A_KIND, "deferrable": {"9000h": 1}}]}, "9000h"),
        ({"kinds": [{**A_KIND, "failover": "Never"}]}, "spec.kinds.0.failover"),
        ({"outages": [{**AN_OUTAGE, "site": "two"}]}, 'spec.outages: "two" is no ComputeSite that is simulated'),
        ({"outages": [{**AN_OUTAGE, "to": AN_OUTAGE["from"]}]}, 'to "2026-01-01T00:00:00Z" does not come after from'),
        ({"country": ["nowhere"]}, "nowhere: it does not exist"),
        (
            {"trace": {"units": "gpus"}},
            'trace.csv: line 1: there is no column "gpus" (there is arrival_time, length, cpus)',
        ),
    ],
)
def test_a_scenario_that_is_wrong_says_where(put: Callable[..., Path], spec: Raw, says: str) -> None:
    assert any(says in line for line in wrong(on(put(a_scenario(**spec)))))


@pytest.mark.parametrize(
    ("more", "says"),
    [
        (("--cycle", "0"), '--cycle: "0" is no time from 1ms to 24h'),
        (("--cycle", "soon"), '--cycle: "soon" is no time'),
        (("--until", "2020-01-01T00:00:00Z"), "--until: "),
        (("--until", "soon"), "--until: "),
        (("--report", "/nowhere/at/all.html"), "--report: "),
        (("--pictures", "/nowhere/at/all"), "--pictures: "),
    ],
)
def test_an_option_that_is_wrong_says_so_before_anything_runs(
    put: Callable[..., Path], more: tuple[str, str], says: str
) -> None:
    (line,) = wrong(on(put(), *more))
    assert says in line


def test_a_country_without_sites_and_two_scenarios(put: Callable[..., Path], tmp_path: Path) -> None:
    assert "a Scenario stands there, and one in" in wrong(on(put(a_scenario(), a_scenario())))[0]
    (tmp_path / "alone").mkdir()
    (tmp_path / "alone" / "s.yaml").write_text(yaml.safe_dump(a_scenario()), encoding="utf-8")
    assert "it has no ComputeSite" in wrong(Ran("--scenario", tmp_path / "alone", "--trace", tmp_path / "trace.csv"))[0]


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"", "line 1: there is no column"),
        (b"arrival_time,length,cpus\n", "none of 0 rows can be used"),
        (b"arrival_time,length,cpus\n1,1,9\n", "no row of the trace can become a job that some site could run"),
        (b"\x1f\x8b\x08broken", "it cannot be unpacked"),
        (b"\xff\xfe\x00", "it is not UTF-8"),
    ],
)
def test_a_trace_that_is_none(put: Callable[..., Path], tmp_path: Path, content: bytes, says: str) -> None:
    folder = put()
    (tmp_path / "trace.csv").write_bytes(content)
    (line,) = wrong(on(folder))
    assert says in line


def test_a_trace_that_is_not_there(put: Callable[..., Path], tmp_path: Path) -> None:
    (line,) = wrong(Ran("--scenario", put(), "--trace", tmp_path / "none.csv"))
    assert "none.csv: No such file or directory; name a file that can be read" in line


# --- interrupted


def test_an_interrupt_keeps_what_there_is(tmp_path: Path) -> None:
    report = tmp_path / "r.html"
    command = [
        "simulate",
        "--scenario",
        SCENARIO,
        "--trace",
        SAMPLE,
        "-o",
        "json",
        "--report",
        report,
        "--cycle",
        "100ms",
    ]
    with subprocess.Popen(
        [sys.executable, "-m", "suanli", *map(str, command)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": str(ROOT / "operator")},
    ) as process:
        _until_it_listens(process.pid)
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=120)
    told = json.loads(out)
    assert process.returncode == INTERRUPTED
    assert told["partial"] is True
    assert all(p["jobs"]["placed"] < 1200 for p in told["policies"])
    assert "interrupted at " in err.decode()
    assert "Partial result" in report.read_text(encoding="utf-8")


def _until_it_listens(pid: int) -> None:
    """Until the process catches SIGTERM, which only a running simulation does."""
    mask = 1 << (signal.SIGTERM - 1)
    status = Path(f"/proc/{pid}/status")
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline:
        caught = next(line for line in status.read_text().splitlines() if line.startswith("SigCgt"))
        if int(caught.split()[1], 16) & mask:
            return
        time.sleep(0.02)
    raise AssertionError("it did not begin")
