"""The mirror: whatever comes, in whatever order, it ends as the hub is; and nothing that is read can break it."""

import itertools
from random import Random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from builders import T0, a_condition, a_job, a_region, a_site, an_assignment, an_object
from suanli.api.job import Assignment
from suanli.base.reasons import Reason
from suanli.placement.snapshot import Decision
from suanli.reconcile.state import JOB, SITE, Assumption, JobEntry, Mirror

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=6), inner, max_size=3),
    max_leaves=10,
)
NAMED = ("assignment", "conditions", "epoch", "failures", "usage", "finishedAt", "placement", "state")


class Told:
    """A mirror and what it told."""

    def __init__(self) -> None:
        self.jobs: list[tuple[str, bool]] = []
        self.maps: list[tuple[str, str, bool]] = []
        self.mirror = Mirror(
            on_job=lambda uid, changed: self.jobs.append((uid, changed)),
            on_map=lambda kind, name, changed: self.maps.append((kind, name, changed)),
        )

    def entry(self, name: str = "train") -> JobEntry:
        return self.mirror.jobs[f"uid-{name}"]


@pytest.fixture
def told() -> Told:
    return Told()


def an_assumption(site: str = "east", epoch: int = 1) -> Assumption:
    assignment = Assignment.model_validate(an_assignment(site, epoch))
    return Assumption(assignment, Decision(site, "cpu", Reason.PLACED, "there"), 0, 0)


# --- what comes in


def test_older_news_is_left_aside(told: Told) -> None:
    old, new = a_job(status={"state": "Waiting"}), a_job(status={"state": "Running"})
    told.mirror.apply("MODIFIED", new)
    told.mirror.apply("MODIFIED", old)
    told.mirror.apply("MODIFIED", new)
    assert told.entry().status["state"] == "Running"
    assert told.jobs == [("uid-train", True)]


def test_a_removed_job_never_comes_back(told: Told) -> None:
    job = a_job()
    told.mirror.apply("ADDED", job)
    late = a_job(status={"state": "Running"})
    told.mirror.apply("DELETED", job)
    told.mirror.apply("MODIFIED", late)
    assert not told.mirror.jobs
    assert not told.mirror.waiting
    assert told.mirror.certainly_gone("uid-train", since=told.mirror.begun)


def test_a_job_that_is_being_deleted_counts_as_gone(told: Told) -> None:
    told.mirror.apply("ADDED", a_job())
    told.mirror.apply("MODIFIED", a_job(metadata={"deletionTimestamp": T0}))
    assert not told.mirror.jobs


def test_a_job_of_the_same_name_is_another_one(told: Told) -> None:
    told.mirror.apply("ADDED", a_job())
    told.mirror.apply("ADDED", a_job(metadata={"uid": "uid-2"}))  # nobody said that the first went
    assert list(told.mirror.jobs) == ["uid-2"]
    old = a_job()
    told.mirror.apply("MODIFIED", old)
    assert list(told.mirror.jobs) == ["uid-2"]
    told.mirror.apply("DELETED", old)
    assert list(told.mirror.jobs) == ["uid-2"]


def test_a_region_of_the_same_name_is_another_one(told: Told) -> None:
    told.mirror.apply("ADDED", a_region())
    told.mirror.apply("ADDED", {**(new := a_region(displayName="new")), "metadata": {**new["metadata"], "uid": "2"}})
    told.mirror.apply("DELETED", a_region())
    assert told.mirror.regions["shanghai"].spec.display_name == "new"


def test_a_comparison_removes_what_a_list_lacks_and_is_not_newer(told: Told) -> None:
    lost, kept, new = a_job("lost"), a_job("kept"), a_job("new")
    for raw in (lost, kept, new):
        told.mirror.apply("ADDED", raw)
    told.mirror.keep_only(JOB, told.mirror.take(JOB, [kept]), int(kept["metadata"]["resourceVersion"]))
    assert sorted(told.mirror.jobs) == ["uid-kept", "uid-new"]
    told.mirror.apply("ADDED", a_site())
    told.mirror.keep_only(SITE, set(), 1 << 60)
    assert not told.mirror.sites


def test_only_a_whole_list_begun_later_proves_that_nobody_has_it(told: Told) -> None:
    mirror = told.mirror
    first = mirror.begin_comparison()
    since = mirror.begun  # it is seen on a member now, while a list is being read
    mirror.end_comparison(first)
    assert not mirror.certainly_gone("uid-unknown", since)
    second = mirror.begin_comparison()
    assert not mirror.certainly_gone("uid-unknown", since)
    mirror.end_comparison(second)
    assert mirror.certainly_gone("uid-unknown", since)
    mirror.apply("ADDED", a_job("unknown"))
    assert not mirror.certainly_gone("uid-unknown", since)


def test_what_went_is_forgotten_when_no_event_of_it_can_come(told: Told) -> None:
    told.mirror.apply("DELETED", a_job())
    for _ in range(3):
        told.mirror.end_comparison(told.mirror.begin_comparison())
    assert not told.mirror._gone


@given(st.integers(0, 10**6))
def test_any_order_of_events_ends_as_the_newest_of_each(seed: int) -> None:
    random, told = Random(seed), Told()
    names = ("a", "b", "c")
    events: list[tuple[str, Any]] = [("MODIFIED", a_job(random.choice(names), status={"n": n})) for n in range(12)]
    newest = {e[1]["metadata"]["uid"]: e[1] for e in events}
    if random.random() < 0.5:
        gone = random.choice(sorted(newest))
        events.append(("DELETED", newest.pop(gone)))
    events *= 2
    random.shuffle(events)
    for event, raw in events:
        told.mirror.apply(event, raw)
    assert {uid: e.status for uid, e in told.mirror.jobs.items()} == {u: raw["status"] for u, raw in newest.items()}


# --- who waits, and who holds room


def test_jobs_are_sorted_by_what_they_wait_for(told: Told) -> None:
    mirror = told.mirror
    mirror.apply("ADDED", a_job())
    assert list(mirror.waiting) == ["uid-train"]
    mirror.assume(told.entry(), an_assumption("west"))
    assert (list(mirror.waiting), [e.uid for e in mirror.held_at("west")]) == ([], ["uid-train"])
    assert mirror.roll_back("uid-train")
    assert not mirror.roll_back("uid-train")
    assert (list(mirror.waiting), list(mirror.held_at("west"))) == (["uid-train"], [])
    mirror.apply("MODIFIED", a_job(status={"assignment": an_assignment("east")}))
    assert (list(mirror.waiting), [e.uid for e in mirror.held_at("east")]) == ([], ["uid-train"])
    finished = {"assignment": an_assignment("east"), "conditions": [a_condition("Finished")]}
    mirror.apply("MODIFIED", a_job(status=finished))
    assert (list(mirror.waiting), list(mirror.held_at("east"))) == ([], [])


def test_a_spec_reads_the_same_whether_its_job_waits_or_not(told: Told) -> None:
    checkpoint = {"size": "1Gi"}
    spec: Any = {
        "resources": {"class": ["cpu"], "perTask": {"cpu": "2", "memory": "1Gi"}},
        "template": {"image": "example/a:1"},
    }
    raw = a_job(checkpoint=checkpoint, **spec)
    told.mirror.apply("ADDED", raw)
    entry = told.entry()
    waiting, asked = entry.model, entry.asked
    assert entry.model is waiting, (
        "while it waits it is one object: so a cycle sees that the spec is still the one it decided upon"
    )
    assert asked is waiting
    status = {"assignment": an_assignment("east", 1), "checkpointSite": "west"}
    told.mirror.apply("MODIFIED", a_job(checkpoint=checkpoint, status=status, **spec))
    assert waiting is not None
    assert entry.model == waiting
    assert entry.asked is not None
    assert entry.asked.spec.checkpoint is not None
    assert entry.asked.spec.checkpoint.site == "west"
    assert entry.outline == waiting.spec.model_copy(
        update={"template": entry.outline.template if entry.outline else None}
    )
    told.mirror.apply("MODIFIED", a_job(checkpoint=checkpoint, status={"checkpointSite": "west"}, **spec))
    assert told.mirror.waiting == {entry.uid: entry}
    assert entry.model == waiting
    assert entry.model is entry.model
    assert entry.asked is entry.asked


def test_what_alike_specs_share_has_nobodys_template(told: Told) -> None:
    for name in "ab":
        told.mirror.apply("ADDED", a_job(name, template={"image": f"example/{name}:1"}))
    one, other = (told.entry(name) for name in "ab")
    assert one.outline is other.outline
    assert one.outline is not None
    assert one.outline.template.image == "none"
    assert one.model is not None
    assert one.model.spec.template.image == "example/a:1"


def test_a_spec_too_large_to_be_shared_is_read_for_itself(told: Told) -> None:
    many = [{"name": f"{n:060d}", "size": "1Gi", "region": "shanghai", "dataset": f"{n:060d}"} for n in range(32)]
    told.mirror.apply("ADDED", a_job(data={"inputs": many}))
    entry = told.entry()
    assert entry.problem == ""
    assert entry.outline is not None
    assert entry.outline.data is not None
    assert len(entry.outline.data.inputs) == 32


def test_a_job_that_is_removed_holds_no_room(told: Told) -> None:
    job = a_job(status={"assignment": an_assignment()})
    told.mirror.apply("ADDED", job)
    told.mirror.apply("DELETED", job)
    assert not list(told.mirror.held_at("east"))


def test_another_spec_ends_an_assumption(told: Told) -> None:
    told.mirror.apply("ADDED", a_job())
    told.mirror.assume(told.entry(), an_assumption())
    told.mirror.apply("MODIFIED", a_job(metadata={"generation": 2}, desiredState="Suspended"))
    assert told.entry().assumed is None
    assert not told.mirror.waiting
    assert not list(told.mirror.held_at("east"))


def test_another_word_of_the_hub_ends_an_assumption(told: Told) -> None:
    told.mirror.apply("ADDED", a_job())
    told.mirror.assume(told.entry(), an_assumption("west"))
    told.mirror.apply("MODIFIED", a_job(status={"assignment": an_assignment("east", 4)}))
    assert told.entry().assumed is None
    assert told.entry().holds == told.entry().assignment
    assert told.entry().epoch == 4


def test_a_status_that_changes_nothing_keeps_an_assumption(told: Told) -> None:
    told.mirror.apply("ADDED", a_job())
    told.mirror.assume(told.entry(), an_assumption())
    told.jobs.clear()
    told.mirror.apply("MODIFIED", a_job(status={"queue": {"position": 1, "ahead": 0}}))
    assert told.entry().assumed == an_assumption()
    assert told.jobs == [("uid-train", False)]


# --- nonsense


@pytest.mark.parametrize(
    ("assignment", "words"),
    [
        ({"site": "east"}, ["status.assignment.epoch", "required"]),
        ({**an_assignment(), "epoch": "two"}, ["status.assignment.epoch", '"two"']),
        ({**an_assignment(), "site": "Ost!"}, ["status.assignment.site", '"Ost!"']),
        ("east", ["status.assignment", '"east"']),
        ({**an_assignment(), "site": "\x1b[2J" + "界" * 500}, ["status.assignment.site"]),
    ],
)
def test_an_assignment_that_cannot_be_read_is_damage_and_no_reason_to_place_again(
    told: Told, assignment: object, words: list[str]
) -> None:
    told.mirror.apply("ADDED", a_job(status={"assignment": assignment}))
    entry = told.entry()
    assert all(word in entry.damage for word in words), entry.damage
    assert entry.damage.isprintable()
    assert len(entry.damage) < 400
    assert (entry.assignment, entry.waits, list(told.mirror.waiting)) == (None, False, [])


def test_an_assignment_that_somebody_took_away_is_damage(told: Told) -> None:
    told.mirror.apply("ADDED", a_job(status={"conditions": [a_condition("Placed")]}))
    assert "it is missing" in told.entry().damage
    kept = [a_condition("Placed", "Unknown", "StatusUnreadable")]
    told.mirror.apply("MODIFIED", a_job(status={"conditions": kept}))
    assert "it is missing" in told.entry().damage
    told.mirror.apply("MODIFIED", a_job(status={"conditions": []}))
    assert told.entry().waits


@given(st.dictionaries(st.sampled_from(NAMED), JSON, max_size=5) | JSON)
def test_no_status_breaks_the_mirror(status: Any) -> None:
    told = Told()
    told.mirror.apply("ADDED", a_job(status=status))
    entry = told.entry()
    assert entry.epoch >= 0
    assert entry.failures >= 0
    assert entry.waits + bool(entry.damage) + entry.finished + (entry.holds is not None) >= 1
    assert all(isinstance(c["type"], str) for c in entry.status.get("conditions", []))


@given(
    JSON, st.sampled_from(("ComputeRegion", "ComputeLink", "HubPolicy", "ComputeSite", "ComputeAccount", "ComputeJob"))
)
def test_no_spec_breaks_the_mirror(spec: object, kind: str) -> None:
    told = Told()
    namespace = {"namespace": "team-a"} if kind == JOB else {}
    told.mirror.apply("ADDED", an_object(kind, "bad", spec, **namespace))
    told.mirror.apply("ADDED", a_job("good"))
    assert told.entry("good").model is not None
    problem = told.entry("bad").problem if kind == JOB else told.mirror.problems.get((kind, "bad"), "")
    assert problem or (kind, spec) in [("HubPolicy", {}), ("ComputeAccount", {})]  # nothing of theirs is required
    assert problem.isprintable()  # "" is


@pytest.mark.parametrize("raw", [{}, {"kind": "ComputeJob"}, {"kind": "Pod", "metadata": {"uid": "u", "name": "n"}}])
def test_what_is_no_object_of_ours_is_left_aside(told: Told, raw: dict[str, Any]) -> None:
    told.mirror.apply("ADDED", raw)
    assert (told.jobs, told.maps) == ([], [])


def test_a_gigantic_spec_is_told_and_not_read(told: Told) -> None:
    told.mirror.apply("ADDED", a_job(template={"image": "x", "args": ["y" * 4_000] * 80}))
    assert "larger than 256 KiB" in told.entry().problem


def test_a_bad_object_that_is_mended_counts_again(told: Told) -> None:
    told.mirror.apply("ADDED", an_object("ComputeRegion", "shanghai", {"latitude": "north"}))
    assert told.mirror.problems
    told.mirror.apply("MODIFIED", {**(raw := a_region()), "metadata": {**raw["metadata"], "generation": 2}})
    assert not told.mirror.problems
    assert "shanghai" in told.mirror.country.regions


# --- the map


def test_the_country_is_the_same_object_until_it_changes(told: Told) -> None:
    told.mirror.apply("ADDED", a_region())
    before = told.mirror.country
    told.mirror.apply("ADDED", a_site())
    told.mirror.apply("MODIFIED", a_site(status={"jobs": 3}))
    assert told.mirror.country is before
    told.mirror.apply("ADDED", a_region("beijing"))
    assert told.mirror.country is not before


def test_paths_are_searched_again_only_where_a_link_changed(told: Told) -> None:
    for name in ("shanghai", "beijing"):
        told.mirror.apply("ADDED", a_region(name))
    told.mirror.apply("ADDED", an_object("ComputeLink", "one", {"endpoints": ["shanghai", "beijing"], "oneWay": "9ms"}))
    path = told.mirror.country.network.path("shanghai", "site", "beijing")
    told.mirror.apply("ADDED", a_region("wuhan"))
    assert told.mirror.country.network.path("shanghai", "site", "beijing") is path
    told.mirror.apply("ADDED", an_object("ComputeLink", "two", {"endpoints": ["shanghai", "beijing"], "oneWay": "8ms"}))
    assert told.mirror.country.network.path("shanghai", "site", "beijing").one_way_us == 8_000


def test_a_status_of_the_map_is_told_as_no_change(told: Told) -> None:
    told.mirror.apply("ADDED", a_site())
    told.mirror.apply("MODIFIED", a_site(status={"clusterId": "c1"}))
    told.mirror.apply("DELETED", a_site())
    assert told.maps == [(SITE, "east", True), (SITE, "east", False), (SITE, "east", True)]
    assert not told.mirror.site_status("east")


def test_a_mark_of_time_is_read_and_nonsense_is_none(told: Told) -> None:
    for n, stamp in enumerate(("2026-03-01T08:00:00Z", "yesterday", 7)):
        told.mirror.apply("ADDED", a_job(f"j{n}", metadata={"creationTimestamp": stamp, "generation": "one"}))
    first = [told.entry(f"j{n}").created_ms for n in range(3)]
    assert first == [1_772_352_000_000, 0, 0]
    assert list(itertools.chain(told.mirror.jobs)) == ["uid-j0", "uid-j1", "uid-j2"]
