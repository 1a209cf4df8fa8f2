"""The bare client's rounds on throw-away jobs."""

import asyncio
from collections.abc import Sequence

from bench.dispatch import bare
from bench.dispatch.figures import Bodies, Floor, Pace
from bench.dispatch.ground import FLOOR, Ground
from bench.dispatch.work import Json, Made, Pair, manifest, pair, sizes
from suanli.base.settings import Settings
from suanli.federation import render
from suanli.federation.member import GUARDS, NAMESPACES
from suanli.federation.tenancy import Bounds, guards
from suanli.kube.client import ApiClient, Target

CONCURRENCIES = (8, 16, 32, 64)
TRIAL_SHARE = 8  # a short round has an eighth of the jobs
LEAST_TRIAL, MOST_TRIAL = 50, 250


class FloorRounds:
    """Each round makes its jobs, waits until the servers are quiet, dispatches, and removes everything."""

    def __init__(self, ground: Ground, hub: Target, status: Json) -> None:
        self._ground = ground
        self._hub = hub
        self._members = ground.joined()
        self._status = status
        self._tried: dict[int, float] = {}
        self._rounds: list[Pace] = []

    def bodies(self) -> Bodies:
        """How large the bodies of one dispatch are."""
        some = Made("0" * 36, FLOOR, "work-00000", "1000", manifest(FLOOR, 0)["spec"])
        return sizes(self._pairs([some])[0])

    def find_concurrency(self, jobs: int) -> None:
        """Short rounds, one for each concurrency."""
        asyncio.run(self._make_namespaces())
        count = min(MOST_TRIAL, max(LEAST_TRIAL, jobs // TRIAL_SHARE))
        for concurrency in CONCURRENCIES:
            self._tried[concurrency] = self._round(count, concurrency).jobs_per_s
            self._ground.say(f"floor, {count} jobs, concurrency {concurrency}: {self._tried[concurrency]:.1f} jobs/s")

    def measure(self, jobs: int) -> None:
        """A round of full length with the best concurrency."""
        self._rounds.append(self._round(jobs, self._best()))
        self._ground.say(f"floor, {jobs} jobs, concurrency {self._best()}: {self._rounds[-1].jobs_per_s:.1f} jobs/s")

    def found(self) -> Floor:
        """All rounds."""
        return Floor(dict(self._tried), self._best(), tuple(self._rounds))

    def _best(self) -> int:
        return max(self._tried, key=lambda concurrency: self._tried[concurrency])

    def _round(self, jobs: int, concurrency: int) -> Pace:
        ground = self._ground
        made = asyncio.run(ground.make(manifest(FLOOR, index) for index in range(jobs)))
        pairs = self._pairs(made)
        ground.quiet()
        pace = asyncio.run(self._dispatch(pairs, concurrency))
        ground.clear(FLOOR)
        return pace

    async def _dispatch(self, pairs: Sequence[Pair], concurrency: int) -> Pace:
        async with asyncio.timeout(self._ground.budget.left_s()):
            return await bare.dispatch(self._hub, self._members, pairs, concurrency)

    def _pairs(self, made: Sequence[Made]) -> list[Pair]:
        """The members take turns."""
        sites = list(self._ground.sites.values())
        hub_id = self._ground.hub_id
        return [pair(job, self._status, sites[index % len(sites)], hub_id) for index, job in enumerate(made)]

    async def _make_namespaces(self) -> None:
        """As the operator makes them: every pod of a namespace with a quota is one more write on its member."""
        hub_id = self._ground.hub_id
        namespace = render.namespace_manifest(hub_id, FLOOR)
        name = namespace["metadata"]["name"]
        for site, target in self._members.items():
            async with ApiClient(target, name=site) as member:
                await member.post(NAMESPACES, namespace)
                for guard in guards(hub_id, name, Bounds.of(Settings())):
                    await member.post(GUARDS[guard["kind"]].format(f"/namespaces/{name}"), guard)
