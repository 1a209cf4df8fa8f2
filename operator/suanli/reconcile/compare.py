"""The full comparison of mirror, hub and members: repairs what events lost, and finds what nobody owns."""

import asyncio
import logging
from collections.abc import Callable, Iterable
from contextlib import aclosing

from suanli.api import PLACEMENT_KINDS
from suanli.api.kind import Kind
from suanli.base.names import GROUP, VERSION
from suanli.kube.client import ApiClient, ApiError, Unreachable
from suanli.reconcile.state import Mirror

LOG = logging.getLogger(__name__)
GONE = 410
REFUSALS = (401, 403, 404)
LEAST_S = 2.0  # between two comparisons, however much they are asked for
REST = (
    4  # times as long as one took: a member that tells of ever new jobs of ours does not keep the hub busy with lists
)
LOOKS, LOOKS_S = 100, 0.1  # so many jobs are looked at in so much time


async def fill(hub: ApiClient, mirror: Mirror) -> None:
    """Make the mirror equal to the hub. Raises: ApiError, Unreachable."""
    number = mirror.begin_comparison()
    for model in PLACEMENT_KINDS:
        try:
            await _compare(hub, mirror, model.kind_info)
        except ApiError as error:
            if error.status != GONE:
                raise
            # Reading took longer than the server keeps the moment of the first page: once more, from the beginning.
            await _compare(hub, mirror, model.kind_info)
    mirror.end_comparison(number)


async def _compare(hub: ApiClient, mirror: Mirror, info: Kind) -> None:
    """One kind, page by page: a whole list may be larger than the mirror."""
    present, version = set[str](), ""
    async with aclosing(hub.pages(f"/apis/{GROUP}/{VERSION}/{info.plural}")) as pages:
        async for page in pages:
            version = page.version
            present |= mirror.take(info.kind, page.items)
    mirror.keep_only(info.kind, present, int(version) if version.isdecimal() else 0)


async def fill_patiently(hub: ApiClient, mirror: Mirror) -> None:
    """The same, again and again while the hub is busy or away. Raises: ApiError when it refuses."""
    while True:
        try:
            await fill(hub, mirror)
        except (ApiError, Unreachable) as error:
            if isinstance(error, ApiError) and error.status in REFUSALS:
                raise
            LOG.warning("the hub cannot be read, will be tried again", extra={"error": str(error)[:300]})
            await asyncio.sleep(LEAST_S)
        else:
            return


class Comparison:
    """Compares again and again, and sooner when somebody asks."""

    def __init__(
        self,
        hub: ApiClient,
        mirror: Mirror,
        *,
        on_members: Callable[[], Iterable[str]],
        look_at: Callable[[str], None],
        every_s: float,
    ) -> None:
        """`on_members` are the UIDs of all jobs that have anything on a member; `look_at` has a job looked at anew."""
        self._hub = hub
        self._mirror = mirror
        self._on_members = on_members
        self._look_at = look_at
        self._every_s = every_s
        self._wish = asyncio.Event()

    def soon(self) -> None:
        """A member holds what the mirror does not know: ask the hub."""
        self._wish.set()

    async def run(self) -> None:
        """Compare until cancelled; every job, and everything on a member, is looked at anew."""
        while True:
            try:
                async with asyncio.timeout(self._every_s):
                    await self._wish.wait()
            except TimeoutError:
                pass
            self._wish.clear()
            loop = asyncio.get_running_loop()
            began_s = loop.time()
            try:
                await fill(self._hub, self._mirror)
            except (ApiError, Unreachable) as error:
                LOG.warning("full comparison put off", extra={"error": str(error)[:300]})
                self._wish.set()
                await asyncio.sleep(LEAST_S)
            else:
                ended_s = loop.time()
                await self._look_at_all()
                await asyncio.sleep(max(LEAST_S, REST * (ended_s - began_s)) - (loop.time() - ended_s))

    async def _look_at_all(self) -> None:
        """What nobody owns first, then every job, little by little: else nothing but looks would be done for long."""
        jobs = self._mirror.jobs
        unknown = [uid for uid in self._on_members() if uid not in jobs]
        for n, uid in enumerate([*unknown, *jobs], start=1):
            self._look_at(uid)
            if n % LOOKS == 0:
                await asyncio.sleep(LOOKS_S)
