"""The jobs as they stand: fed with what the hub says, asked by the table."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from demo.country import ANY_TIER, Country, Rooms
from demo.report import site_of, state_of, why
from suanli.api.job import ComputeJobSpec
from suanli.base.units import duration_text

Raw = Mapping[str, Any]
ENDED = ("Succeeded", "Failed", "Deleted")
HELD = ("Starting", "Running", "Unknown")


@dataclass(frozen=True)
class Row:
    """One job for a person's eyes."""

    name: str
    state: str
    site: str
    wants: str
    tier: str
    why: str
    class_: str = ""
    units: int = 0


@dataclass(frozen=True)
class SiteRow:
    """One class at one site for a person's eyes."""

    site: str
    side: str
    class_: str
    used: int
    units: int
    running: int
    ended: int


class Board:
    """The jobs' rows in the order of their last change."""

    def __init__(self, country: Country, rooms: Rooms) -> None:
        self._country = country
        self._rooms = rooms
        self._rows: dict[str, Row] = {}

    def see(self, job: Raw, *, gone: bool = False) -> Row | None:
        """Take in what the hub says of a job; its row if a person would care about the change."""
        row = self._row(job, gone=gone)
        old = self._rows.pop(row.name, None)
        self._rows[row.name] = row
        if old and (old.state, old.site) == (row.state, row.site) and (row.state != "Waiting" or old.why == row.why):
            return None
        return row

    def counts(self) -> dict[str, int]:
        """Jobs by state."""
        found: dict[str, int] = {}
        for row in self._rows.values():
            found[row.state] = found.get(row.state, 0) + 1
        return found

    def sites(self) -> list[SiteRow]:
        """What is held and what has ended, by site and class."""
        rows = []
        for (site, class_), room in self._rooms.items():
            here = [r for r in self._rows.values() if (r.site, r.class_) == (site, class_)]
            held = [r for r in here if r.state in HELD]
            rows.append(
                SiteRow(
                    site,
                    self._country.site_side(site),
                    class_,
                    sum(r.units for r in held),
                    room.nodes * room.units_per_node,
                    len(held),
                    sum(r.state in ENDED for r in here),
                )
            )
        return rows

    def latest(self, states: Sequence[str], most: int) -> list[Row]:
        """The rows in these states that changed last, the latest first."""
        return [row for row in reversed(self._rows.values()) if row.state in states][:most]

    def _row(self, job: Raw, *, gone: bool) -> Row:
        spec = ComputeJobSpec.model_validate(job["spec"])
        site, per_task = site_of(job), spec.resources.per_task
        each = per_task.cards or int(per_task.cpu)
        noun = ("card" if per_task.cards else "core") + ("s" if each > 1 else "")
        return Row(
            name=job["metadata"]["name"],
            state="Deleted" if gone else state_of(job),
            site=site,
            wants=f"{spec.tasks} × {each} {noun}, {spec.origin}",
            tier=self._tier(spec, site),
            why=why(job),
            class_=str(job.get("status", {}).get("assignment", {}).get("class", "")),
            units=spec.tasks * each,
        )

    def _tier(self, spec: ComputeJobSpec, site: str) -> str:
        tier = self._country.tier(spec)
        bound = self._country.bound_us(tier)
        limit = f"{tier} {duration_text(bound)}" if bound is not None and tier != ANY_TIER else ANY_TIER
        return f"{duration_text(self._country.one_way_us(spec.origin, site))} of {limit}" if site else limit
