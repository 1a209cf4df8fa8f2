"""What was used, account by account: a month has millions of events, and nobody needs those of two accounts at once."""

from collections import defaultdict
from collections.abc import Iterable
from typing import NamedTuple

from audit.package import Package, Record, parsed

FILE = "usage.jsonl"


class Event(NamedTuple):
    """One event. Units: ms since the epoch, `amount` in the kind's unit."""

    id: str
    start_ms: int
    end_ms: int
    amount: int
    kind: str
    site: str
    account: str
    namespace: str
    job: str
    job_uid: str
    epoch: int
    pod_uid: str
    class_: str
    precision: str
    link: str
    adjusts: str
    qos: str


class Events:
    """The events of a package: of each account where in the file they are."""

    def __init__(self, package: Package) -> None:
        self._path = package.folder / FILE
        self._spans: dict[str, list[list[int]]] = defaultdict(list)  # first byte, and the one after the last
        for begin, line in package.lines(FILE):
            spans, end = self._spans[parsed(line)["account"]], begin + len(line)
            if spans and spans[-1][1] == begin:
                spans[-1][1] = end
            else:
                spans.append([begin, end])

    @property
    def accounts(self) -> Iterable[str]:
        """Who used something."""
        return self._spans.keys()

    def of(self, account: str) -> list[Event]:
        """All that an account used, in the order of the file."""
        found, known = list[Event](), dict[str, str]()
        with self._path.open("rb") as file:
            for begin, end in self._spans.get(account, ()):
                file.seek(begin)
                found += [_event(parsed(line), known) for line in file.read(end - begin).split(b"\n") if line]
        return found


def _event(told: Record, known: dict[str, str]) -> Event:
    """With one copy of each text that many events have."""
    texts = (
        "kind",
        "site",
        "account",
        "namespace",
        "job",
        "job_uid",
        "pod_uid",
        "class",
        "precision",
        "link",
        "adjusts",
        "qos",
    )
    kind, site, account, namespace, job, job_uid, pod_uid, class_, precision, link, adjusts, qos = (
        known.setdefault(told[name], told[name]) for name in texts
    )
    return Event(
        told["id"], told["start_ms"], told["end_ms"], int(told["amount"]), kind, site, account, namespace, job, job_uid,
        told["epoch"], pod_uid, class_, precision, link, adjusts, qos,
    )  # fmt: skip
