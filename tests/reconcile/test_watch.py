"""kopf is asked for events of every kind, keeps nothing of its own, and writes nothing."""

import asyncio
from typing import Any

import kopf
import pytest

from builders import a_job
from suanli.api import PLACEMENT_KINDS
from suanli.kube.client import Json, Target
from suanli.reconcile.watch import Unremembered, registry

TARGET = Target(server="https://hub.example:6443", ca_pem="CA", token="t")


class Heard:
    """A registry, and what it passed on."""

    def __init__(self) -> None:
        self.events: list[tuple[str | None, Json]] = []
        self.registry = registry(TARGET, lambda event, raw: self.events.append((event, raw)))

    def activity(self, name: str) -> Any:
        """One of its handlers."""
        return next(h.fn for h in self.registry._activities.get_all_handlers() if h.id.endswith(name))


@pytest.fixture
def heard() -> Heard:
    return Heard()


def test_every_kind_that_placement_goes_by_is_watched_and_nothing_else_is_handled(heard: Heard) -> None:
    watched = [str(h.selector.any_name) for h in heard.registry._watching.get_all_handlers() if h.selector]
    assert watched == [model.kind_info.plural for model in PLACEMENT_KINDS]
    others: list[Any] = [heard.registry._changing, heard.registry._spawning, heard.registry._indexing]
    assert [list(other.get_all_handlers()) for other in others] == [[], [], []]


def test_an_event_is_passed_on_as_it_is(heard: Heard) -> None:
    handler: Any = heard.registry._watching.get_all_handlers()
    raw = a_job()
    asyncio.run(list(handler)[-1].fn(event={"type": "DELETED", "object": raw}))
    assert heard.events == [("DELETED", raw)]


def test_kopf_neither_posts_nor_elects_nor_kills_nor_remembers(heard: Heard) -> None:
    settings = kopf.OperatorSettings()
    heard.activity("quiet")(settings=settings)
    assert (settings.posting.enabled, settings.peering.standalone, settings.scanning.disabled) == (False, True, True)
    assert settings.process.ultimate_exiting_timeout is None
    assert isinstance(settings.persistence.diffbase_storage, Unremembered)


def test_it_goes_to_the_hub_with_the_same_credentials(heard: Heard) -> None:
    info = heard.activity("login")()
    assert (info.server, info.token, info.ca_data) == (TARGET.server, "t", "Q0E=")
    assert (info.certificate_data, info.private_key_data) == (None, None)
