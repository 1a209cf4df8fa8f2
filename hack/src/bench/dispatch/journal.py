"""What the API servers' audit logs say of a batch of jobs."""

from collections.abc import Mapping
from pathlib import Path
from typing import Self

from bench.dispatch.ground import Ground
from bench.dispatch.tail import Tail, Write, writes
from harness.federation import NAMESPACE, RELEASE
from suanli.base.names import MEMBER_SYSTEM_NAMESPACE, member_account, member_namespace

OPERATOR = f"system:serviceaccount:{NAMESPACE}:{RELEASE}"
OF_JOBS = ("computejobs", "events")


class Journal:
    """The writes of one hub namespace's jobs from the moment it is opened."""

    def __init__(self, hub_id: str, namespace: str, hub_log: Path, member_logs: Mapping[str, Path]) -> None:
        self.made_us: dict[str, int] = {}  # by name: when the ComputeJob was created
        self.hub_us: list[int] = []  # every write of the operator to these jobs or about them, refused ones too
        self.committed_us: dict[str, int] = {}  # by name: when the operator first wrote a status
        self.created_us: dict[str, int] = {}  # by UID: when the first member Job was created
        self.per_site: dict[str, int] = dict.fromkeys(member_logs, 0)
        self._namespace = namespace
        self._member_namespace = member_namespace(hub_id, namespace)
        self._account = f"system:serviceaccount:{MEMBER_SYSTEM_NAMESPACE}:{member_account(hub_id)}"
        self._hub = Tail(hub_log)
        self._members = {name: Tail(log) for name, log in member_logs.items()}

    @classmethod
    def open(cls, ground: Ground, namespace: str) -> Self:
        """Begin now."""
        clusters = ground.federation.clusters
        logs = {name: clusters[name].audit_log for name in ground.sites}
        return cls(ground.hub_id, namespace, clusters["hub"].audit_log, logs)

    def read(self) -> None:
        """Take in what has come since."""
        for write in writes(self._hub.new(), OF_JOBS):
            if write.namespace == self._namespace:
                self._at_hub(write)
        for site, tail in self._members.items():
            for write in writes(tail.new(), ("jobs",)):
                if write.namespace == self._member_namespace:
                    self._at_member(site, write)

    def _at_hub(self, write: Write) -> None:
        if write.user == OPERATOR:
            self.hub_us.append(write.at_us)
            if write.resource == "computejobs/status" and write.code == 200:
                self.committed_us.setdefault(write.name, write.at_us)
        elif (write.resource, write.verb, write.code) == ("computejobs", "create", 201):
            self.made_us[write.name] = write.at_us

    def _at_member(self, site: str, write: Write) -> None:
        uid = write.name.removeprefix("j-").rpartition("-")[0]
        ours = write.user == self._account and (write.resource, write.verb, write.code) == ("jobs", "create", 201)
        if ours and uid not in self.created_us:
            self.created_us[uid] = write.at_us
            self.per_site[site] += 1
