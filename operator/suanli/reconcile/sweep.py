"""The guard of the sweep: what the hub does not know is removed on a member, but not so much at once that the hub must be wrong.

A hub that was restored from an older backup, or whose objects were lost, knows nothing of jobs that run; their owners still want
them. So a person is asked, by condition Swept of the ComputeSite, and answers with an annotation that holds for this once.
"""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass

from suanli.base.clock import time_text
from suanli.base.conditions import Condition, find, readable
from suanli.base.names import ANNOTATION_SWEEP
from suanli.base.reasons import Reason
from suanli.base.settings import Settings
from suanli.base.untrusted import mapping
from suanli.federation.facts import OwnJob
from suanli.reconcile.sites import Sites
from suanli.reconcile.state import SITE, JobEntry, Mirror

CONDITION = "Swept"
AGAIN_S = 5.0  # what is held is counted anew so often


@dataclass(frozen=True)
class _Count:
    """What one member held when it was last looked at."""

    unknown: frozenset[tuple[str, int]]  # job UID and epoch of Jobs that the hub does not know
    jobs: int  # all of ours
    is_mass: bool
    is_held: bool
    at_s: float


class Sweep:
    """By site, whether what the hub does not know there may be removed."""

    def __init__(self, *, mirror: Mirror, sites: Sites, settings: Settings, on_change: Callable[[str], None]) -> None:
        """`on_change` is told of a site where something begins or ceases to be held."""
        self._mirror = mirror
        self._sites = sites
        self._settings = settings
        self._on_change = on_change
        self._counts: dict[str, _Count] = {}

    def holds(self, site: str, entry: JobEntry | None, job: OwnJob) -> bool:
        """Whether this Job has to stay until a person has been asked. `entry` is its ComputeJob as far as it is known."""
        if not self._is_unknown(entry, job):
            return False
        count = self._counts.get(site)
        # While much is held one more changes nothing: a member that tells of ever new ones must not have all counted for each.
        if count is not None and count.is_held:
            due = self._now_s() >= count.at_s + AGAIN_S
        else:
            due = count is None or (job.job_uid, job.epoch) not in count.unknown
        if due:
            count = self._look(site)
        return count is not None and count.is_held

    def condition(self, site: str, now_ms: int) -> Condition | None:
        """What is to be said of a site; nothing where nothing was ever held, or while nobody can know."""
        count = self._counts.get(site)
        if not self._since(site) and not (count is not None and count.is_mass):
            return None
        count = self._look(site)
        if count is None:
            return None
        unknown, most = len(count.unknown), self._settings.sweep_percent
        if not count.is_mass:
            return Condition(CONDITION, True, Reason.SWEPT, "nothing that no ComputeJob owns is kept")
        told = f"{unknown} of the {count.jobs} Jobs of this hub here belong to no attempt that the hub knows"
        if not count.is_held:
            return Condition(CONDITION, False, Reason.SWEEPING, f"{told}; they are being removed, as was asked for")
        answer = f"kubectl annotate computesite {site} --overwrite {ANNOTATION_SWEEP}={self._since(site) or time_text(now_ms)}"
        why = (
            f"{told}; more than {self._settings.sweep_least} and {most} % at once are removed only when a person says so. "
            f"If the hub was restored from an older backup, restore a newer one; to have them removed: {answer}"
        )
        return Condition(CONDITION, False, Reason.SWEEP_HELD, why)

    def is_pending(self, site: str) -> bool:
        """Whether something there is held, or being removed after it was."""
        count = self._counts.get(site)
        return count is not None and count.is_mass

    def _look(self, site: str) -> _Count | None:
        """Count anew; None while the site cannot be used."""
        member = self._sites.trusted().get(site)
        if member is None or not member.usable:
            return None
        unknown, jobs = set(), 0
        for uid, of_uid in member.jobs.items():
            entry = self._mirror.jobs.get(uid)
            for job in of_uid.values():
                if job.deleting:
                    continue
                jobs += 1
                if self._is_unknown(entry, job):
                    unknown.add((uid, job.epoch))
        least, percent = self._settings.sweep_least, self._settings.sweep_percent
        is_mass = len(unknown) > least and len(unknown) * 100 > percent * jobs
        is_held = is_mass and not self._is_approved(site)
        before = self._counts.get(site)
        self._counts[site] = _Count(frozenset(unknown), jobs, is_mass, is_held, self._now_s())
        if is_held != (before is not None and before.is_held):
            self._on_change(site)
        return self._counts[site]

    def _is_unknown(self, entry: JobEntry | None, job: OwnJob) -> bool:
        """Whether the hub lacks it without having said that somebody deleted it."""
        if entry is None:
            return not self._mirror.was_deleted(job.job_uid)
        return job.epoch > entry.epoch

    def _is_approved(self, site: str) -> bool:
        since = self._since(site)
        metadata = mapping(self._mirror.raw.get((SITE, site), {}).get("metadata"))
        return bool(since) and mapping(metadata.get("annotations")).get(ANNOTATION_SWEEP) == since

    def _since(self, site: str) -> str:
        """Since when something is on record as held there: an approval names it, so that it holds for this once."""
        stated = find(readable(self._mirror.site_status(site).get("conditions")), CONDITION)
        return str(stated.get("lastTransitionTime", "")) if stated and stated["status"] == "False" else ""

    @staticmethod
    def _now_s() -> float:
        return asyncio.get_running_loop().time()
