import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from bench.dispatch.journal import OPERATOR, Journal
from bench.dispatch.tail import moment_us
from suanli.base.names import member_account, member_job_name, member_namespace

Build = Callable[..., dict[str, Any]]
HUB_ID = "11111111-2222-3333-4444-555555555555"
UID = "aaaaaaaa-bbbb-cccc-dddd-eeeeeeeeeeee"
ACCOUNT = f"system:serviceaccount:suanli-system:{member_account(HUB_ID)}"
AT = "2026-01-01T00:00:0{}.000000Z"


@pytest.fixture
def journal(tmp_path: Path) -> Journal:
    return Journal(HUB_ID, "bench-queue", tmp_path / "hub", {"west": tmp_path / "west", "east": tmp_path / "east"})


def log(path: Path, *events: dict[str, Any]) -> None:
    with path.open("a") as file:
        file.writelines(json.dumps(event, separators=(",", ":")) + "\n" for event in events)


def member_create(an_event: Build, epoch: int, at: int, **more: Any) -> dict[str, Any]:
    namespace = member_namespace(HUB_ID, "bench-queue")
    name = member_job_name(UID, epoch)
    return an_event("create", "jobs", name, **{"user": ACCOUNT, "namespace": namespace, "at": AT.format(at), **more})


def test_a_job_is_followed_from_its_create_to_its_member(journal: Journal, an_event: Build, tmp_path: Path) -> None:
    status = {"user": OPERATOR, "subresource": "status", "code": 200}
    log(
        tmp_path / "hub",
        an_event(at=AT.format(1)),
        an_event("patch", at=AT.format(2), **status),
        an_event("patch", at=AT.format(4), **status),
    )
    log(tmp_path / "east", member_create(an_event, 1, 3), member_create(an_event, 2, 5))
    journal.read()
    assert journal.made_us == {"work-00000": moment_us(AT.format(1))}
    assert journal.committed_us == {"work-00000": moment_us(AT.format(2))}
    assert journal.created_us == {UID: moment_us(AT.format(3))}
    assert journal.per_site == {"west": 0, "east": 1}
    assert len(journal.hub_us) == 2


def test_all_writes_about_jobs_count_and_those_of_others_do_not(
    journal: Journal, an_event: Build, tmp_path: Path
) -> None:
    log(
        tmp_path / "hub",
        an_event("patch", user=OPERATOR, subresource="status", code=409),
        an_event("create", "events", user=OPERATOR),
        an_event("update", "leases", user=OPERATOR),
        an_event("patch", user=OPERATOR, namespace="bench-floor"),
        an_event("patch", user="admin", subresource="status", code=200),
    )
    journal.read()
    assert len(journal.hub_us) == 2
    assert journal.committed_us == {}


def test_only_the_operators_own_successful_create_counts(journal: Journal, an_event: Build, tmp_path: Path) -> None:
    log(
        tmp_path / "west",
        member_create(an_event, 1, 1, code=409),
        member_create(an_event, 1, 1, user="admin"),
        member_create(an_event, 1, 1, namespace="elsewhere"),
    )
    journal.read()
    assert journal.created_us == {}
    log(tmp_path / "west", member_create(an_event, 1, 2))
    journal.read()
    assert journal.created_us == {UID: moment_us(AT.format(2))}
