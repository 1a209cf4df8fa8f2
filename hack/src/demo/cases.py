"""Jobs with a purpose beside those of the trace: three that cannot run anywhere, one that fails, one that is deleted."""

from dataclasses import dataclass
from enum import StrEnum

from demo.country import Country, Rooms
from demo.jobs import A100, X86, Manifest, manifest
from suanli.api.job import ComputeJobSpec


class End(StrEnum):
    """What is to become of a job."""

    SUCCEEDS = "Succeeds"
    FAILS = "Fails"
    DELETED = "Deleted"
    WAITS = "Waits"


@dataclass(frozen=True)
class Case:
    """A job, when it comes, and what is to become of it."""

    job: Manifest
    at_s: float
    end: End

    @property
    def name(self) -> str:
        """The job's name."""
        return str(self.job["metadata"]["name"])


def special(country: Country, rooms: Rooms, over_s: float) -> list[Case]:
    """The five. Raises: ValueError if a site of the country could take one of the impossible ones."""
    most = max(room.nodes for (_, class_), room in rooms.items() if class_ == A100)
    site = next(name for name, class_ in rooms if class_ == A100)
    region = country.sites[site].spec.region
    cores = {"cpu": "1", "memory": "2Gi"}
    eight = {"cpu": "48", "memory": "320Gi", "cards": 8}
    one = {"cpu": "6", "memory": "40Gi", "cards": 1}
    cases = [
        Case(_job("too-far", "IndustrialControl", _far(country), X86, 1, cores, "5s", tier="city"), 2.0, End.WAITS),
        Case(_job("no-such-card", "ModelTraining", region, "nvidia-h200-141g", 1, one, "5s"), 4.0, End.WAITS),
        Case(_job("too-large", "ModelTraining", region, A100, most + 1, eight, "5s"), 6.0, End.WAITS),
        Case(_job("exits-with-3", "MachineLearning", region, A100, 1, one, "3s; exit 3"), over_s / 3, End.FAILS),
        Case(_job("deleted-by-user", "MachineLearning", region, A100, 2, one, "600s"), over_s / 4, End.DELETED),
    ]
    cases[-1].job["spec"]["data"] = {"inputs": [{"name": "input", "region": region, "size": "100Gi"}]}
    for case in cases:
        if case.end is End.WAITS and country.homes(ComputeJobSpec.model_validate(case.job["spec"]), rooms):
            raise ValueError(f"{case.name} was meant to have no site, and has one")
    return cases


def _far(country: Country) -> str:
    """The region that is farthest from its nearest site."""
    return max(country.regions, key=lambda region: min(country.one_way_us(region, site) for site in country.sites))


def _job(
    name: str, category: str, origin: str, class_: str, tasks: int, per_task: Manifest, run: str, tier: str = ""
) -> Manifest:
    spec: Manifest = {
        "category": category,
        "origin": origin,
        **({"latency": {"tier": tier}} if tier else {}),
        "tasks": tasks,
        "resources": {"class": [class_], "perTask": per_task},
        "template": {"image": "example/demo:1", "command": ["sh", "-c", f"sleep {run}"]},
        "timing": {"expectedDuration": "10m"},
    }
    return manifest(name, spec)
