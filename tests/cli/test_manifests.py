"""What is read from files, and what is said of what cannot be: file, object, field, value, remedy."""

import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from suanli.cli.manifests import Manifests, read
from worlds import Raw, raw

Write = Callable[..., Path]


@pytest.fixture
def write(tmp_path: Path) -> Write:
    """Puts documents into a file of the folder that is read."""

    def put(*documents: Raw | str, name: str = "all.yaml") -> Path:
        texts = [d if isinstance(d, str) else yaml.safe_dump(d, allow_unicode=True) for d in documents]
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("---\n".join(texts), encoding="utf-8")
        return path

    return put


def a_region(name: str = "here", **spec: Any) -> Raw:
    return raw("ComputeRegion", name, {"displayName": name, "latitude": "30", "longitude": "110", **spec})


def a_site(name: str = "one", **spec: Any) -> Raw:
    gpu = {
        "class": "gpu",
        "type": "Intelligent",
        "resourceName": "example.com/card",
        "unit": "Card",
        "declaredUnits": 8,
    }
    return raw("ComputeSite", name, {"region": "here", "resources": [gpu], **spec})


def a_job(name: str = "job", **spec: Any) -> Raw:
    wants = {"class": ["gpu"], "perTask": {"cpu": "1", "memory": "1Gi", "cards": 1}}
    return raw("ComputeJob", name, {"origin": "here", "resources": wants, "template": {"image": "image"}, **spec})


def told(path: Path) -> list[str]:
    """Problems without the folder."""
    return [problem.replace(f"{path.parent}/", "") for problem in read([path]).problems]


def test_a_folder_is_read_whole(write: Write, tmp_path: Path) -> None:
    write(a_region(), a_site(), name="map/places.yml")
    write(a_job("a"), a_job("b"), name="jobs.yaml")
    write(json.dumps(a_job("c"), indent="\t"), name="more.json")
    write("not ours", name="README.md")
    found = read([tmp_path])
    assert found.problems == found.warnings == []
    assert (list(found.regions), list(found.sites)) == (["here"], ["one"])
    assert list(found.jobs) == ["default/a", "default/b", "default/c"]
    assert found.places["ComputeJob", "default/b"] == f"{tmp_path}/jobs.yaml (document 2)"


def test_a_namespace_is_part_of_a_jobs_name(write: Write) -> None:
    job = a_job()
    job["metadata"]["namespace"] = "team"
    found = read([write(a_job(), job)])
    assert (list(found.jobs), found.problems) == (["default/job", "team/job"], [])


def test_lists_and_objects_of_others_and_empty_documents(write: Write) -> None:
    both = {"apiVersion": "v1", "kind": "List", "items": [a_region(), a_site(), 7]}
    other = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "x"}}
    path = write("# only a comment\n", both, "\n", other, "null\n")
    found = read([path])
    assert (list(found.regions), list(found.sites)) == (["here"], ["one"])
    assert told(path) == [
        "all.yaml (document 1): items[2]: it is not an object; each document needs apiVersion, kind and metadata"
    ]


def test_standard_input(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO(yaml.safe_dump(a_region()) + "---\n3\n"))
    found = read([Path("-")])
    assert list(found.regions) == ["here"]
    assert found.problems == [
        "standard input (document 2): it is not an object; each document needs apiVersion, kind and metadata"
    ]


def test_a_byte_order_mark_is_no_trouble(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text("\ufeff" + yaml.safe_dump(a_region()), encoding="utf-8")
    assert read([tmp_path]).problems == []


# --- values are read as kubectl reads them


def test_times_and_clock_readings_need_no_quotes(write: Write) -> None:
    site = yaml.safe_dump(
        a_site(builtOn="DAY", energy={"priceSchedule": [{"from": "F", "to": "T", "pricePerKwh": "1"}]})
    )
    site = site.replace("DAY", "2020-10-01").replace("from: F", "from: 12:30").replace("to: T", "to: 22:00")
    job = yaml.safe_dump(a_job(timing={"deadline": "T"})).replace("deadline: T", "deadline: 2026-01-31T08:00:00Z")
    found = read([write(a_region(), site, job)])
    assert found.problems == []
    band = found.sites["one"].spec.energy.price_schedule[0]
    assert (found.sites["one"].spec.built_on, band.from_, band.to) == ("2020-10-01", "12:30", "22:00")
    assert found.jobs["default/job"].spec.timing.deadline == "2026-01-31T08:00:00Z"


def test_null_is_not_set(write: Write) -> None:
    job = a_job(tasks=None, data=None, timing={"deadline": None})
    job["metadata"]["creationTimestamp"] = None
    found = read([write(a_region(), job)])
    assert found.problems == []
    assert found.jobs["default/job"].spec.tasks == 1


def test_a_status_is_none_of_our_business(write: Write) -> None:
    assert read([write({**a_region(), "status": {"what": "ever"}})]).problems == []


# --- what cannot be read


def test_what_is_not_there(tmp_path: Path, write: Write) -> None:
    empty = tmp_path / "empty"
    empty.mkdir()
    missing = tmp_path / "missing"
    good = write(a_region())
    found = read([missing, empty, good])
    assert found.problems == [
        f"{missing}: it does not exist; name a file or folder of manifests",
        f"{empty}: there is no .yaml, .yml, .json file in it; name a folder of manifests",
    ]
    assert list(found.regions) == ["here"]


def test_a_broken_document_hides_no_other(write: Write) -> None:
    path = write(a_region("a"), "kind: x\nmetadata: {name: ]\n", a_region("b"), "kind: @\n", a_region("c"))
    assert list(read([path]).regions) == ["a", "b", "c"]
    lines = path.read_text().splitlines()
    first, second = told(path)
    assert first.startswith("all.yaml (document 2): it is not YAML or JSON: ")
    assert first.endswith(f" (line {lines.index('metadata: {name: ]') + 1}); correct it")
    assert second.startswith("all.yaml (document 4): it is not YAML or JSON: ")
    assert second.endswith(f" (line {lines.index('kind: @') + 1}); correct it")


@pytest.mark.parametrize(
    ("text", "trouble"),
    [
        ("{", "Expecting property name enclosed in double quotes"),
        ('{"kind": "ComputeJob", "kind": 1', "Expecting ',' delimiter"),
        ("[" * 100_000, ""),
    ],
)
def test_broken_json(write: Write, text: str, trouble: str) -> None:
    (problem,) = told(write(text, name="a.json"))
    assert problem.startswith(f"a.json: it is not YAML or JSON: {trouble}")


@pytest.mark.parametrize(
    "text",
    ["[" * 20_000, "a: !!python/object/apply:os.system ['true']\n", "a: *nowhere\n", "a: \x01\n", "{1: 2, [3]: 4}\n"],
)
def test_hostile_yaml_is_a_problem_and_nothing_else(write: Write, text: str) -> None:
    found = read([write(text), write(a_region(), name="good.yaml")])
    assert len(found.problems) == 1
    assert list(found.regions) == ["here"]


@pytest.mark.parametrize("where", ["spec:\n  x: *a11\n", "x: *a11\nspec: {}\n", "spec: &me\n  x: *me\n"])
def test_a_bomb_of_aliases_is_a_short_problem(write: Write, where: str) -> None:
    lines = [
        "apiVersion: suanli.io/v1alpha1",
        "kind: ComputeJob",
        "metadata: {name: bomb}",
        "a: &a0 [x, x, x, x, x, x]",
    ]
    lines += [f"b{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 9)}]" for i in range(1, 12)]
    problems = told(write("\n".join([*lines, where])))
    assert problems
    assert all(problem.startswith("all.yaml: ComputeJob bomb: ") and len(problem) < 200 for problem in problems)


def test_a_file_that_is_not_text(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_bytes(b"kind: \xff\xfe")
    assert read([tmp_path]).problems == [f"{tmp_path}/a.yaml: it is not UTF-8 at byte 6; save it as UTF-8"]


def test_a_file_that_is_far_too_large(tmp_path: Path) -> None:
    with (tmp_path / "a.yaml").open("wb") as file:
        file.truncate((64 << 20) + 1)
    assert read([tmp_path]).problems == [f"{tmp_path}/a.yaml: it is larger than 64 MiB; split it"]


def test_an_object_that_is_too_large(write: Write) -> None:
    variables = [{"name": f"V{i}", "value": "x" * 2_400} for i in range(128)]
    problems = told(write(a_region(), a_job("large", template={"image": "i", "env": variables}), a_job("small")))
    assert len(problems) == 1
    assert problems[0].startswith("all.yaml (document 2): ComputeJob large: spec")
    assert "smaller" in problems[0] or "into data" in problems[0] or "image" in problems[0]


# --- what cannot be meant


def changed(what: Raw, path: str, value: Any) -> Raw:
    """The same object with one field changed, or taken away."""
    *steps, last = path.split(".")
    inner = what
    for step in steps:
        inner = inner[step]
    if value is None:
        del inner[last]
    else:
        inner[last] = value
    return what


BAD: dict[str, tuple[Raw, str]] = {
    "an unknown kind": (
        raw("ComputeThing", "x", {}),
        'all.yaml: apiVersion "suanli.io/v1alpha1", kind "ComputeThing" is not known; there is suanli.io/v1alpha1 with '
        "ComputeRegion, HubPolicy, ComputeLink, ComputeSite, ComputeAccount, Tariff, ComputeJob",
    ),
    "an unknown version": (
        {**a_job(), "apiVersion": "suanli.io/v9"},
        'all.yaml: apiVersion "suanli.io/v9", kind "ComputeJob" is not known; there is suanli.io/v1alpha1 with '
        "ComputeRegion, HubPolicy, ComputeLink, ComputeSite, ComputeAccount, Tariff, ComputeJob",
    ),
    "no kind": ({"apiVersion": "suanli.io/v1alpha1"}, "all.yaml: it has no apiVersion and kind; write both"),
    "no version": ({"kind": "ComputeJob", "metadata": {}}, "all.yaml: it has no apiVersion and kind; write both"),
    "no name": (
        changed(a_job(), "metadata.name", None),
        "all.yaml: ComputeJob without a name: metadata.name: it is missing; add it",
    ),
    "no metadata": (
        changed(a_job(), "metadata", None),
        "all.yaml: ComputeJob without metadata: metadata: it is missing; add it",
    ),
    "metadata that are none": (changed(a_job(), "metadata", 3), "all.yaml: ComputeJob without metadata: metadata: "),
    "a name in another script": (
        changed(a_job(), "metadata.name", "训练"),
        'all.yaml: ComputeJob 训练: metadata.name: "训练": is not a name; use at most 63 lower-case letters, digits and "-"',
    ),
    "a name with a control character": (
        changed(a_job(), "metadata.name", "a\x07b"),
        'all.yaml: ComputeJob a b: metadata.name: "a b": is not a name',
    ),
    "no spec": (changed(a_job(), "spec", None), "all.yaml: ComputeJob job: spec: it is missing; add it"),
    "a field that is not there": (
        a_job(prioritty=3),
        "all.yaml: ComputeJob job: spec.prioritty: there is no such field; correct its name or remove it",
    ),
    "a field that is missing": (
        changed(a_job(), "spec.origin", None),
        "all.yaml: ComputeJob job: spec.origin: it is missing; add it",
    ),
    "a number out of range": (
        a_job(tasks=0),
        'all.yaml: ComputeJob job: spec.tasks: "0": Input should be greater than or equal to 1',
    ),
    "a text where a number belongs": (
        a_job(tasks="2"),
        'all.yaml: ComputeJob job: spec.tasks: "2": Input should be a valid integer',
    ),
    "a word that is not in the list": (
        a_job(category="Mining"),
        "all.yaml: ComputeJob job: spec.category: \"Mining\": Input should be 'ModelTraining', ",
    ),
    "an object where a text belongs": (
        a_job(origin={"city": "here"}),
        "all.yaml: ComputeJob job: spec.origin: is not a name; use at most 63 lower-case letters",
    ),
    "a quantity that is none": (
        changed(a_job(), "spec.resources.perTask.memory", "64GB"),
        'all.yaml: ComputeJob job: spec.resources.perTask.memory: "64GB": is not ',
    ),
    "a time without a zone": (
        a_job(timing={"deadline": "2026-01-31T08:00:00"}),
        'all.yaml: ComputeJob job: spec.timing.deadline: "2026-01-31T08:00:00": is not a time with its zone; write it as '
        '"2026-01-31T08:00:00Z"',
    ),
    "a value that is very long": (
        a_job(origin="x" * 300),
        f'all.yaml: ComputeJob job: spec.origin: "{"x" * 77}...": ',
    ),
    "a time zone that does not exist": (
        a_site(energy={"timezone": "Mars/Base"}),
        'all.yaml: ComputeSite one: spec.energy.timezone: "Mars/Base": is not a time zone; write a name of the IANA data base',
    ),
    "a region that does not exist": (
        a_site(region="atlantis"),
        'all.yaml: ComputeSite one: spec.region: "atlantis" is no ComputeRegion; create it or correct the name',
    ),
    "a link to nowhere": (
        raw("ComputeLink", "link", {"endpoints": ["here", "atlantis"], "oneWay": "1ms"}),
        'all.yaml: ComputeLink link: spec.endpoints: "here" is neither a ComputeRegion nor a ComputeSite; create it or',
    ),
    "a policy that names an unknown region": (
        raw("HubPolicy", "national", {"hubs": [{"name": "hub", "side": "East", "regions": ["mu"]}]}),
        'all.yaml: HubPolicy national: hub hub names region "mu", which does not exist; create it or correct the name',
    ),
}


@pytest.mark.parametrize("case", BAD)
def test_every_problem_names_file_object_field_value_and_remedy(write: Write, case: str) -> None:
    bad, expected = BAD[case]
    (problem,) = told(write(bad))
    assert problem.startswith(expected), problem
    assert "\n" not in problem
    assert problem.isprintable()


def test_one_bad_object_stops_no_other(write: Write) -> None:
    path = write(a_region(), *(bad for bad, _ in BAD.values() if "HubPolicy" not in bad.get("kind", "")), a_site("two"))
    found = read([path])
    assert (list(found.regions), list(found.sites), list(found.jobs)) == (["here"], ["two"], [])
    assert len(found.problems) == len(BAD) - 1


def test_all_that_is_wrong_with_an_object_is_told(write: Write) -> None:
    assert len(told(write(a_job(tasks=0, priority=-1, foo=1)))) == 3


def test_a_field_that_stands_twice(write: Write) -> None:
    text = yaml.safe_dump(a_region()).replace("  latitude:", "  longitude: '1'\n  latitude:")
    (problem,) = told(write(text))
    assert problem.startswith('all.yaml: it is not YAML or JSON: field "longitude" stands twice in one object (line ')


def test_an_object_that_is_there_twice(write: Write, tmp_path: Path) -> None:
    write(a_region(), a_region("there"), name="a.yaml")
    write(a_region("there", latitude="5"), name="b.yaml")
    found = read([tmp_path])
    assert found.problems == [
        f"{tmp_path}/b.yaml: ComputeRegion there is there twice, first in {tmp_path}/a.yaml (document 2); leave one"
    ]
    assert found.regions["there"].spec.latitude == "30"


# --- what the hub would refuse, and what it would only frown at


def outside(tmp: Write, racks: int, enforcement: str) -> Manifests:
    policy = raw("HubPolicy", "national", {"newBuild": {"maxRacksOutsideHubs": 2_999, "enforcement": enforcement}})
    return read([tmp(a_region(), policy, a_site(standardRacks=racks))])


def test_a_large_site_outside_the_hubs_is_refused_or_frowned_at(write: Write) -> None:
    text = "ComputeSite one: 3000 standard racks outside all hubs; the policy's limit is 2999"
    found = outside(write, 3_000, "Deny")
    assert [problem.partition(": ")[2] for problem in found.problems] == [
        f"{text}; make it smaller or choose a region of a hub"
    ]
    assert (found.sites, found.warnings) == ({}, [])
    found = outside(write, 3_000, "Warn")
    assert [warning.partition(": ")[2] for warning in found.warnings] == [text]
    assert (list(found.sites), found.problems) == (["one"], [])
    found = outside(write, 2_999, "Deny")
    assert (list(found.sites), found.problems, found.warnings) == (["one"], [], [])


def test_a_site_above_its_ceiling_is_frowned_at(write: Write) -> None:
    cluster = {"name": "c", "regions": ["here"], "pueCeiling": "1.2"}
    policy = raw("HubPolicy", "national", {"hubs": [{"name": "hub", "side": "West", "clusters": [cluster]}]})
    found = read([write(a_region(), policy, a_site(energy={"pue": "1.21"}))])
    assert (list(found.sites), found.problems) == (["one"], [])
    assert "PUE 1.21 is above the ceiling 1.2 of cluster c" in found.warnings[0]


def test_a_policy_that_is_not_in_force_is_frowned_at(write: Write) -> None:
    found = read([write(raw("HubPolicy", "provincial", {}))])
    assert found.country.policy is None
    assert found.problems == []
    assert found.warnings[0].endswith(
        'HubPolicy provincial: metadata.name: "provincial": only the one named national is in force; give it that name'
    )


def test_links_may_end_at_sites(write: Write) -> None:
    link = raw("ComputeLink", "link", {"endpoints": ["here", "one"], "oneWay": "1ms"})
    found = read([write(link, a_site(), a_region())])
    assert (found.problems, list(found.links)) == ([], ["link"])
