"""The operator's rounds: a first job, a queue that waits for it, and jobs that arrive one by one."""

import asyncio
from collections.abc import Sequence

from bench.dispatch.figures import Dispatch, Latency, Pace, percentile
from bench.dispatch.ground import ARRIVE, PROBE, QUEUE, Ground
from bench.dispatch.journal import Journal
from bench.dispatch.process import STEP_S, NotMeasured, Operator
from bench.dispatch.work import Json, Made, jobs_path, made, manifest

ARRIVE_S = 30.0
FINISH_S = 300.0


def first_status(ground: Ground, operator: Operator) -> Json:
    """The status that the operator writes when it places a job; its image never comes, so that the status stays."""
    job = asyncio.run(ground.make([manifest(PROBE, 0, image="example/bench/missing:1")]))[0]
    journal = Journal.open(ground, PROBE)
    operator.start()
    _until_created(operator, journal, [job])
    ground.federation.wait_ready(seconds=ground.budget.left_s(STEP_S))
    status: Json = asyncio.run(ground.get(job))["status"]
    operator.stop()
    ground.clear(PROBE)
    return status


class Queue:
    """Jobs that all wait when the operator starts."""

    def __init__(self, ground: Ground, operator: Operator, jobs: int) -> None:
        self._ground = ground
        self._operator = operator
        self._jobs = jobs
        self._journal = Journal.open(ground, QUEUE)

    def dispatch(self) -> Dispatch:
        """Start the operator and wait until the last job is on its member; the operator keeps running."""
        ground, journal = self._ground, self._journal
        made = asyncio.run(ground.make(manifest(QUEUE, index) for index in range(self._jobs)))
        ground.quiet()
        self._operator.start()
        leading_us = self._operator.leading_us()
        began_cpu_s = self._operator.cpu_s()
        _until_created(self._operator, journal, made)
        cpu_s = self._operator.cpu_s() - began_cpu_s
        unwritten = sorted({job.name for job in made} - journal.committed_us.keys())
        if unwritten:
            raise NotMeasured(f"{len(unwritten)} jobs are on a member without a status on the hub: {unwritten[0]}, ...")
        last_us = max(journal.created_us.values())
        found = Dispatch(
            pace=Pace(self._jobs * 1_000_000 / (last_us - leading_us), cpu_s * 1000 / self._jobs),
            first_create_s=(min(journal.created_us.values()) - leading_us) / 1_000_000,
            last_create_s=(last_us - leading_us) / 1_000_000,
            window_hub_writes=sum(at_us <= last_us for at_us in journal.hub_us),
            per_site=dict(journal.per_site),
        )
        ground.say(
            f"operator, {self._jobs} jobs: {found.pace.jobs_per_s:.1f} jobs/s, last after {found.last_create_s:.1f} s"
        )
        return found

    def hub_writes_per_job(self) -> float:
        """How often the operator wrote of one job on the hub, once all have finished."""
        jobs, operator = self._jobs, self._operator
        operator.until(f"{jobs} jobs to finish", lambda: operator.finished >= jobs, FINISH_S)
        self._ground.quiet()
        self._journal.read()
        succeeded = asyncio.run(self._ground.states(QUEUE)).count("Succeeded")
        if succeeded != jobs:
            raise NotMeasured(f"{succeeded} of {jobs} jobs succeeded; all were to")
        found = len(self._journal.hub_us) / jobs
        self._ground.say(f"all {jobs} jobs have finished: {found:.3f} hub writes per job")
        return found


def latency(ground: Ground, operator: Operator, jobs_per_s: float) -> Latency:
    """Jobs arrive at a steady rate, whatever becomes of those before them."""
    journal = Journal.open(ground, ARRIVE)
    count = max(1, round(jobs_per_s * ARRIVE_S))
    made, took_s = asyncio.run(_arrive(ground, jobs_per_s, count))
    _until_created(operator, journal, made)
    took_ms = [(journal.created_us[job.uid] - journal.made_us[job.name]) / 1000 for job in made]
    to_hub_ms = [(journal.committed_us[job.name] - journal.made_us[job.name]) / 1000 for job in made]
    found = Latency(
        offered_jobs_per_s=jobs_per_s,
        created_jobs_per_s=count / took_s,
        jobs=count,
        p50_ms=percentile(took_ms, 50),
        p99_ms=percentile(took_ms, 99),
        max_ms=max(took_ms),
        first_status_p50_ms=percentile(to_hub_ms, 50),
    )
    ground.say(
        f"{count} jobs at {found.created_jobs_per_s:.1f}/s: p50 {found.p50_ms:.0f} ms, p99 {found.p99_ms:.0f} ms"
    )
    return found


async def _arrive(ground: Ground, jobs_per_s: float, count: int) -> tuple[list[Made], float]:
    loop = asyncio.get_running_loop()
    async with asyncio.timeout(ground.budget.left_s()), ground.admin("hub") as hub:
        began, posts = loop.time(), []
        for index in range(count):
            await asyncio.sleep(began + index / jobs_per_s - loop.time())
            posts.append(asyncio.create_task(hub.post(jobs_path(ARRIVE), manifest(ARRIVE, index))))
        answers = await asyncio.gather(*posts)
        return [made(raw) for raw in answers], loop.time() - began


def _until_created(operator: Operator, journal: Journal, jobs: Sequence[Made]) -> None:
    wanted = {job.uid for job in jobs}

    def all_there() -> bool:
        journal.read()
        return wanted <= journal.created_us.keys()

    try:
        operator.until(f"{len(jobs)} member Jobs", all_there)
    except TimeoutError as error:
        missing = len(wanted - journal.created_us.keys())
        raise TimeoutError(f"{missing} of {len(jobs)} jobs are on no member; {error}") from error
