"""Events on the wire: what is written is read again; what cannot be true is refused with field, value and remedy."""

import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from manifests import a_tariff
from rates import DAY, HOUR, HUB, SITE, T0, a_book, an_event, an_owner, identified
from suanli.billing.cloudevents import MAX_BYTES, EventRefused, Sender, read, source, written
from suanli.billing.event import Owner, UsageEvent, UsageKind, full_hours

NOW = T0 + DAY
Raw = dict[str, Any]


def owner_of(job_uid: str, epoch: int) -> Owner | None:
    return an_owner() if (job_uid, epoch) == ("u1", 1) else None


SENDER = Sender(HUB, SITE, full_hours, owner_of)


def sent(event: UsageEvent, change: Callable[[Raw], object] = lambda _: None) -> bytes:
    whole = written(event, HUB)
    change(whole)
    return json.dumps(whole).encode()


def refusal(raw: bytes, sender: Sender = SENDER) -> tuple[str, str]:
    with pytest.raises(EventRefused) as refused:
        read(raw, sender, NOW)
    return refused.value.field, str(refused.value)


EVENTS = [
    an_event(),
    an_event(UsageKind.MEMORY_TIME, amount=(1 << 50) * HOUR),
    an_event(UsageKind.TRANSFER, link="wuhan-wuhu", pod_uid="", class_="", precision="", end_ms=T0, amount=5 << 40),
    an_event(adjusts=an_event().id, amount=-3),
    an_event(UsageKind.ENERGY, amount=1),
]


@pytest.mark.parametrize("event", EVENTS, ids=lambda event: f"{event.kind}{'-adjusted' if event.adjusts else ''}")
def test_what_is_written_is_read_again(event: UsageEvent) -> None:
    assert read(sent(event), SENDER, NOW) == event


def test_the_form_is_that_of_cloudevents() -> None:
    whole = written(an_event(), HUB)
    assert {name: whole[name] for name in whole if name != "data"} == {
        "specversion": "1.0",
        "id": an_event().id,
        "source": f"/suanli/hubs/{HUB}/sites/{SITE}",
        "type": "io.suanli.usage.v1alpha1",
        "subject": "u1",
        "time": "2026-10-31T17:00:00.000Z",
        "datacontenttype": "application/json",
    }
    assert whole["data"]["amount"] == "14400000"
    assert whole["data"]["class"] == "nvidia-a100-80g"


def test_what_brokers_add_is_passed_over() -> None:
    assert read(sent(an_event(), lambda w: w.update(traceparent="00-1", time="yesterday")), SENDER, NOW) == an_event()


def whole(**fields: object) -> Callable[[Raw], object]:
    return lambda w: w.update(fields)


def data(**fields: object) -> Callable[[Raw], object]:
    return lambda w: w["data"].update({name.rstrip("_"): value for name, value in fields.items()})


WRONG: dict[str, tuple[Callable[[Raw], object], str, str]] = {
    "another-version": (whole(specversion="0.3"), "specversion", "1.0"),
    "another-type": (whole(type="com.example.usage"), "type", "io.suanli.usage.v1alpha1"),
    "another-source": (whole(source=source(HUB, "east")), "source", SITE),
    "another-hub": (whole(source=source("hub-2", SITE)), "source", HUB),
    "xml": (whole(datacontenttype="text/xml"), "datacontenttype", "application/json"),
    "no-id": (lambda w: w.pop("id"), "id", "32 hexadecimal digits"),
    "id-as-a-number": (whole(id=7), "id", "32 hexadecimal digits"),
    "id-in-capitals": (whole(id="A" * 32), "id", "32 hexadecimal digits"),
    "id-of-something-else": (whole(id="0" * 32), "id", an_event().id),
    "data-as-a-list": (whole(data=[]), "data", "is not an object"),
    "data-missing": (lambda w: w.pop("data"), "data", "is not an object"),
    "field-unknown": (data(price="0"), "data.price", "there are kind, site"),
    "field-missing": (lambda w: w["data"].pop("amount"), "data.amount", "whole number in quotes"),
    "kind-unknown": (data(kind="gpu-time"), "data.kind", "card-time"),
    "kind-as-a-list": (data(kind=["card-time"]), "data.kind", "card-time"),
    "site-forged": (data(site="east"), "data.site", f"{SITE} may send its own use only"),
    "site-of-a-bad-name": (data(site="../x"), "data.site", "is not a name"),
    "job-never-there": (data(job_uid="u2"), "data.job_uid", "never was at site"),
    "attempt-never-there": (data(epoch=2), "data.job_uid", "attempt 2"),
    "job-uid-with-a-line-break": (data(job_uid="u1\n"), "data.job_uid", "is not a UID"),
    "account-of-somebody-else": (data(account="other"), "data.account", '"lab"'),
    "namespace-of-somebody-else": (data(namespace="other"), "data.namespace", '"team-a"'),
    "cheaper-service": (data(qos="Low"), "data.qos", '"Normal"'),
    "service-unknown": (data(qos="Best"), "data.qos", "Low, Normal, High"),
    "precision-unknown": (data(precision="FP8"), "data.precision", "FP16"),
    "epoch-as-text": (data(epoch="1"), "data.epoch", "without quotes"),
    "epoch-as-truth": (data(epoch=True), "data.epoch", "without quotes"),
    "epoch-below-zero": (data(epoch=-1), "data.epoch", "from 0"),
    "start-beyond-all-times": (data(start_ms=10**30), "data.start_ms", "from 0"),
    "no-time": (data(end_ms=T0), "data.end_ms", "is not after start_ms"),
    "end-before-start": (data(end_ms=T0 - 1), "data.end_ms", "is not after start_ms"),
    "from-the-future": (data(start_ms=NOW + HOUR - 2, end_ms=NOW + HOUR - 1), "data.end_ms", "set the site's clock"),
    "from-another-age": (data(start_ms=HOUR, end_ms=2 * HOUR), "data.start_ms", "five years"),
    "over-a-full-hour": (data(end_ms=T0 + HOUR + 1), "data.end_ms", "2026-10-31T17:00:00.000Z"),
    "amount-below-zero": (data(amount="-1"), "data.amount", "adjusts another"),
    "amount-of-nothing": (data(amount="0"), "data.amount", "send no event"),
    "amount-absurd": (data(amount=str(10**13)), "data.amount", "look at the site's meter"),
    "amount-giant": (data(amount="9" * 4_000), "data.amount", "whole number in quotes"),
    "amount-with-a-point": (data(amount="1.5"), "data.amount", "without a point"),
    "amount-as-a-number": (data(amount=14_400_000), "data.amount", "in quotes"),
    "amount-with-a-zero-before": (data(amount="014400000"), "data.amount", "whole number"),
    "amount-in-other-digits": (data(amount="１"), "data.amount", "whole number"),
    "link-without-a-transfer": (data(link="wuhan-wuhu"), "data.link", "a transfer names its link"),
    "transfer-without-a-link": (data(kind="transfer"), "data.link", "a transfer names its link"),
    "no-pod": (data(pod_uid=""), "data.pod_uid", "only a transfer is of no pod"),
    "adjusts-nonsense": (data(adjusts="that one"), "data.adjusts", "is not the id of an event"),
    "adjusts-itself": (data(adjusts=an_event().id), "data.adjusts", "is the event itself"),
}  # fmt: skip


@pytest.mark.parametrize("case", WRONG)
def test_what_cannot_be_true_is_refused_with_field_value_and_remedy(case: str) -> None:
    change, field, says = WRONG[case]
    found, message = refusal(sent(an_event(), change))
    assert (found, says in message) == (field, True), message
    assert message.startswith("usage event ")
    assert len(message) < 600


@pytest.mark.parametrize(
    ("raw", "says"),
    [
        (b"", "not JSON"),
        (b"\xff\xfe", "not JSON"),
        (b"[]", "not an object"),
        (b"[" * 10_000, "not JSON"),
        (b'{"id": 1e999}', "no whole number"),
        (b'{"id": NaN}', "no whole number"),
        (b'{"id": "a", "id": "b"}', "twice"),
        (b'{"id": ' + b"9" * 9_000 + b"}", "not JSON"),
        (b" " * (MAX_BYTES + 1), "too long"),
    ],
)
def test_what_is_no_event_is_refused(raw: bytes, says: str) -> None:
    field, message = refusal(raw)
    assert (field, says in message) == ("event", True), message


def test_an_event_over_a_border_of_a_band_is_refused() -> None:
    """22:00 in Shanghai is a full hour; half past is none."""
    odd = [{"from": "00:00", "to": "00:30", "band": "a"}, {"from": "00:30", "to": "24:00", "band": "b"}]
    items = [{"name": "it", "unit": "CardHour", "price": "1"}]
    book = a_book(a_tariff(schedules=[{"name": "all", "bands": odd}], items=items, packages=[]))
    field, message = refusal(sent(an_event()), replace(SENDER, borders=book.borders(SITE)))
    assert (field, "cut the event there" in message) == ("data.end_ms", True)


def test_clocks_may_be_off_by_some_minutes() -> None:
    event = an_event(start_ms=NOW, end_ms=NOW + 5 * 60_000)
    assert read(sent(event), SENDER, NOW) == event


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(max_size=20),
        lambda x: st.lists(x, max_size=3) | st.dictionaries(st.text(max_size=8), x, max_size=4),
        max_leaves=8,
    ),
    st.sampled_from([*written(an_event(), HUB), *(f"data.{n}" for n in written(an_event(), HUB)["data"])]),
)
@settings(max_examples=150, deadline=None)
def test_whatever_stands_in_a_field_it_is_taken_or_refused_in_words(value: object, field: str) -> None:
    def change(w: Raw) -> None:
        place, _, name = field.rpartition(".")
        (w[place] if place else w)[name] = value

    try:
        event = read(sent(an_event(), change), SENDER, NOW)
    except EventRefused:
        return
    assert event == identified(HUB, event)
