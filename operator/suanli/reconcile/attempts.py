"""What this process remembers of the attempts it began: only what no server could tell it."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from suanli.federation.facts import OwnPod
from suanli.kube.client import ApiError, NotSent, Unreachable
from suanli.reconcile.job import Attempt

FINAL_REFUSALS = (400, 413, 422)
LATE_S = 10.0  # a request that got no answer is not carried out later than this


@dataclass
class _Memory:
    epoch: int
    first_try_s: float | None = None
    first_seen_s: float | None = None
    late_until_s: float = 0.0  # of the last create without an answer; that a later one was answered does not end it
    before_s: float = 0.0  # the same, before the create that is on its way
    created: bool = False
    missing: bool = False
    refused: str = ""
    put_off: str = ""


class Attempts:
    """By job UID, the current attempt. Times are seconds of a clock that does not jump."""

    def __init__(self) -> None:
        self._begun_s = 0.0
        self._of_job: dict[str, _Memory] = {}
        self._leaving: dict[str, dict[str, float]] = {}

    def begin(self, now_s: float) -> None:
        """From now on this process leads."""
        self._begun_s = now_s

    def look(self, uid: str, epoch: int, *, seen: bool, now_s: float) -> Attempt:
        """What is remembered of an attempt; an older one's memory goes. `seen`: its Job is on the member now."""
        memory = self._of_job.get(uid)
        if memory is None or memory.epoch != epoch:
            if not seen:  # who led before may have sent a create
                return Attempt(unanswered_s=max(0.0, self._begun_s + LATE_S - now_s))
            memory = self._begin(uid, epoch)
        if seen:
            memory.missing = False
        if seen and memory.first_seen_s is None:
            memory.first_seen_s, memory.created = now_s, True
        return Attempt(
            created=memory.created,
            unanswered_s=max(0.0, memory.late_until_s - now_s),
            missing=memory.missing,
            refused=memory.refused,
            put_off=memory.put_off,
            tried_s=_since(memory.first_try_s, now_s),
            seen_s=_since(memory.first_seen_s, now_s),
        )

    def leaving(self, uid: str, pods: Iterable[OwnPod], now_s: float) -> Mapping[str, float]:
        """By pod that is being deleted and has not ended, for how long that is known."""
        before = self._leaving.pop(uid, {})
        since = {p.uid: before.get(p.uid, now_s) for p in pods if p.deleting and not p.ended}
        if since:
            self._leaving[uid] = since
        return {pod: now_s - moment for pod, moment in since.items()}

    def try_create(self, uid: str, epoch: int, now_s: float) -> None:
        """A create is about to be sent: from now on it may come true, whatever is answered."""
        memory = self._of_job.get(uid)
        if memory is None or memory.epoch != epoch:
            memory = self._of_job[uid] = _Memory(epoch)
        if memory.first_try_s is None:
            memory.first_try_s = now_s
        memory.before_s = memory.late_until_s
        memory.late_until_s = max(memory.late_until_s, now_s + LATE_S)

    def answered(self, uid: str, error: ApiError | Unreachable | None, now_s: float) -> None:
        """How the create ended: None when the Job is there."""
        memory = self._of_job[uid]
        memory.created = memory.created or error is None
        if error is None or isinstance(error, NotSent) or (isinstance(error, ApiError) and 400 <= error.status < 500):
            memory.late_until_s = memory.before_s
        else:
            memory.late_until_s = now_s + LATE_S
        memory.refused = str(error) if is_final(error) else ""
        memory.put_off = str(error) if error is not None and not is_final(error) else ""

    def missed(self, uid: str, epoch: int) -> None:
        """The member was asked for the attempt's Job, and has none."""
        memory = self._of_job.get(uid)
        if memory is None or memory.epoch != epoch:
            memory = self._begin(uid, epoch)
        memory.missing = True

    def forget(self, uid: str) -> None:
        """The job is no more."""
        self._of_job.pop(uid, None)
        self._leaving.pop(uid, None)

    def _begin(self, uid: str, epoch: int) -> _Memory:
        """Remember an attempt that was begun by who led before, whose last create may still come true."""
        memory = self._of_job[uid] = _Memory(epoch, late_until_s=self._begun_s + LATE_S)
        return memory


def is_final(error: ApiError | Unreachable | None) -> bool:
    """Whether the server will never take what was sent."""
    return isinstance(error, ApiError) and error.status in FINAL_REFUSALS


def _since(moment_s: float | None, now_s: float) -> float:
    return 0.0 if moment_s is None else now_s - moment_s
