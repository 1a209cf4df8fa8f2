"""What the pods of each job ran at each site, as the members' administrators see them."""

from collections.abc import Iterable
from dataclasses import dataclass

from harness.pods import Amount, Raw, ran
from suanli.base.names import LABEL_JOB_UID


@dataclass(frozen=True)
class PodRun:
    """One pod of one job at one site."""

    site: str
    job_uid: str
    name: str
    amount: Amount
    over: bool


def pod_run(raw: Raw, site: str) -> PodRun:
    """A pod's run. A container that has not ended counts nothing yet, and `over` is false."""
    metadata = raw["metadata"]
    over = raw.get("status", {}).get("phase") in ("Succeeded", "Failed")
    return PodRun(site, metadata.get("labels", {}).get(LABEL_JOB_UID, ""), metadata["name"], ran([raw]), over)


def by_job(runs: Iterable[PodRun]) -> dict[str, Amount]:
    """What each job's pods ran, by the job's UID."""
    found: dict[str, Amount] = {}
    for run in runs:
        found[run.job_uid] = found.get(run.job_uid, Amount()) + run.amount
    return found
