"""Charts as SVG: dark on light, with titles, units and legends, and nothing told by colour alone."""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from xml.etree import ElementTree as ET

from suanli.base.clock import time_text
from suanli.simulate.outcome import ALL, Flow, Outcome, Use

INK, GREY, PALE, BLUE, LIGHT = "#1a1a1a", "#5a5a5a", "#d9d9d9", "#0b4f8a", "#a9c9e6"
FONT = "system-ui, sans-serif"
WIDTH = 960
LEFT = 210
RIGHT = 70
NAMESPACE = "http://www.w3.org/2000/svg"
MOST_FLOWS = 30
COLUMNS = ("West", "Outside", "East")  # as on a map
DASHED = "6 4"
SLICE = 0.004  # flows below this share of all work are not drawn
LABELLED = 0.02
LABELS_AT = (0.5, 0.3, 0.7, 0.4, 0.6)  # along an arrow, in turn, so that labels lie apart


@dataclass(frozen=True)
class Chart:
    """A picture with its file name, title and a sentence on what is to be seen."""

    name: str
    title: str
    text: str
    svg: str

    @property
    def file(self) -> str:
        """As a file of its own."""
        return self.svg.replace("<svg ", f'<svg xmlns="{NAMESPACE}" ', 1) + "\n"


class _Canvas:
    """Draws shapes in pixels from the upper left."""

    def __init__(self, name: str, title: str, text: str, height: float) -> None:
        self._about = name, title, text
        size = f"0 0 {WIDTH} {_n(height)}"
        ids = f"{name}-title {name}-text"
        self._root = ET.Element(
            "svg", {"viewBox": size, "role": "img", "aria-labelledby": ids, "font-family": FONT, "font-size": "12"}
        )
        self._add("title", {"id": f"{name}-title"}).text = title
        self._add("desc", {"id": f"{name}-text"}).text = text
        self.box(0, 0, WIDTH, height, fill="#ffffff")

    def _add(self, tag: str, attributes: Mapping[str, str]) -> ET.Element:
        return ET.SubElement(self._root, tag, dict(attributes))

    def box(self, x: float, y: float, width: float, height: float, **style: str) -> None:
        """A rectangle."""
        at = {"x": _n(x), "y": _n(y), "width": _n(max(0.0, width)), "height": _n(height)}
        self._add("rect", {**at, **_style(style)})

    def line(self, points: Iterable[tuple[float, float]], **style: str) -> None:
        """A line through points."""
        at = {"points": " ".join(f"{_n(x)},{_n(y)}" for x, y in points)}
        self._add("polyline", {**at, **_style({"fill": "none", "stroke": INK, **style})})

    def path(self, d: str, hint: str = "", **style: str) -> None:
        """A path, with a hint for who points at it."""
        made = self._add("path", {"d": d, **_style(style)})
        if hint:
            ET.SubElement(made, "title").text = hint

    def words(self, x: float, y: float, text: str, anchor: str = "start", **style: str) -> None:
        """A line of text."""
        at = {"x": _n(x), "y": _n(y), "text-anchor": anchor}
        self._add("text", {**at, **_style({"fill": INK, **style})}).text = text

    def mark(self, kind: str, x: float, y: float) -> None:
        """A circle, a square or a triangle."""
        if kind == "circle":
            self._add(
                "circle", {"cx": _n(x), "cy": _n(y), "r": "4", "fill": "#ffffff", "stroke": INK, "stroke-width": "1.5"}
            )
        elif kind == "square":
            self.box(x - 4, y - 4, 8, 8, fill=LIGHT, stroke=INK)
        else:
            self.path(f"M{_n(x)} {_n(y - 5)}L{_n(x + 5)} {_n(y + 4)}L{_n(x - 5)} {_n(y + 4)}Z", fill=BLUE, stroke=INK)

    def chart(self) -> Chart:
        """What was drawn."""
        return Chart(*self._about, ET.tostring(self._root, encoding="unicode"))


def use_by_site(uses: Sequence[Use], begin_ms: int, end_ms: int, policy: str) -> Chart:
    """A strip a site: the share of its cards (filled) and of its cores (dashed) that jobs held, over time."""
    shown = [use for use in uses if use.units]
    sites = list(dict.fromkeys(use.site for use in shown))
    strip, top = 46, 40
    title = f"Use by site over time ({policy})"
    text = (
        "Share of each site's cards (filled area) and cores (dashed line) that jobs held; each strip from 0 to 100 %."
    )
    c = _Canvas("use", title, text, top + strip * len(sites) + 34)
    c.box(LEFT, 12, 24, 12, fill=LIGHT, stroke=BLUE)
    c.words(LEFT + 30, 22, "cards held")
    c.line([(LEFT + 120, 18), (LEFT + 150, 18)], **{"stroke-dasharray": DASHED, "stroke-width": "1.5"})
    c.words(LEFT + 156, 22, "cores held")
    c.words(WIDTH - 6, 22, "mean", "end", fill=GREY)
    wide = WIDTH - LEFT - RIGHT
    for i, site in enumerate(sites):
        y, high = top + strip * i, strip - 10
        c.box(LEFT, y, wide, high, fill="#ffffff", stroke=PALE)
        mine = [use for use in shown if use.site == site]
        told = ", ".join(f"{use.units} {use.unit.lower()}s" for use in mine)
        c.words(LEFT - 8, y + 14, site, "end", **{"font-weight": "bold"})
        c.words(LEFT - 8, y + 30, f"{mine[0].side}: {told}", "end", fill=GREY, **{"font-size": "11"})
        for k, use in enumerate(mine):
            step = wide / max(1, len(use.share))
            points = [(LEFT + step * (b + 0.5), y + high * (1 - min(1.0, share))) for b, share in enumerate(use.share)]
            if use.unit == "Card":
                ends = [(points[0][0], y + high), *points, (points[-1][0], y + high)] if points else []
                c.line(ends, fill=LIGHT, stroke=BLUE)
            else:
                c.line(points, **{"stroke-dasharray": DASHED, "stroke-width": "1.2"})
            mean = sum(use.share) / max(1, len(use.share))
            c.words(WIDTH - 6, y + 14 + 16 * k, f"{mean:.0%} {use.unit.lower()}s", "end", **{"font-size": "11"})
    base = top + strip * len(sites) - 10
    for i in range(5):
        x = LEFT + wide * i / 4
        c.line([(x, base), (x, base + 5)])
        c.words(x, base + 20, time_text(begin_ms + (end_ms - begin_ms) * i // 4)[:10], "middle")
    return c.chart()


def network(flows: Sequence[Flow], policy: str) -> Chart:
    """Hubs as boxes, western ones left; arrows from where the demand is to where it ran. A scheme, not a map."""
    cards = any(flow.card_hours for flow in flows)
    unit = "card-hours" if cards else "core-hours"
    amount = {(f.source, f.target): f.card_hours if cards else f.core_hours for f in flows}
    total = sum(amount.values()) or 1.0
    side = {name: s for f in flows for name, s in ((f.source, f.source_side), (f.target, f.target_side))}
    at, height = _columns(side)
    title = f"Work from where it arises to where it ran ({policy})"
    text = (
        f"Share of all {unit} ({total:,.0f}). Boxes are hubs; an arrow leads from the origin of "
        "jobs to the site that ran them, thicker with more work. Solid: from the East to the West. Dashed: all others. A scheme, not a map."
    )
    c = _Canvas("network", title, text, height)
    for column, name in ((0, "West"), (2, "East")):
        c.words(_column_x(column) + BOX[0] / 2, 22, name, "middle", **{"font-weight": "bold", "font-size": "14"})
    labels = []
    drawn = sorted((k for k in amount if k[0] != k[1] and amount[k] / total >= SLICE), key=lambda k: -amount[k])
    drawn = drawn[:MOST_FLOWS]
    ends = _ends(drawn, at)
    for i, (source, target) in reversed(list(enumerate(drawn))):
        share = amount[source, target] / total
        moves_west = side[source] == "East" and side[target] == "West"
        curve = _curve(*ends[source, target])
        style = {"stroke": BLUE if moves_west else GREY, "stroke-width": _n(1 + 40 * share), "fill": "none"}
        style |= {"stroke-opacity": "0.75"} if moves_west else {"stroke-dasharray": DASHED}
        hint = f"{source} to {target}: {amount[source, target]:,.0f} {unit}, {share:.1%}"
        c.path(curve.d, hint, **style)
        c.path(curve.head, fill=BLUE if moves_west else GREY)
        if share >= LABELLED:
            labels.append((*curve.at(LABELS_AT[i % len(LABELS_AT)]), f"{share:.0%}"))
    for name, (x, y) in sorted(at.items()):
        comes = sum(v for (s, _), v in amount.items() if s == name) / total
        runs = sum(v for (_, t), v in amount.items() if t == name) / total
        stays = amount.get((name, name), 0.0) / total
        c.box(x, y, *BOX, fill="#ffffff", stroke=INK, rx="4")
        c.words(x + BOX[0] / 2, y + 17, name, "middle", **{"font-weight": "bold"})
        told = f"arises {comes:.0%}, runs {runs:.0%}, both {stays:.0%}"
        c.words(x + BOX[0] / 2, y + 33, told, "middle", fill=GREY, **{"font-size": "11"})
    for x, y, label in labels:
        halo = {"stroke": "#ffffff", "stroke-width": "4", "paint-order": "stroke", "font-weight": "bold"}
        c.words(x, y + 4, label, "middle", **halo)
    y = height - 16
    c.line([(20, y), (60, y)], stroke=BLUE, **{"stroke-width": "5", "stroke-opacity": "0.75"})
    c.words(66, y + 4, "from the East to the West")
    c.line([(250, y), (290, y)], stroke=GREY, **{"stroke-width": "2", "stroke-dasharray": DASHED})
    c.words(296, y + 4, f"other ways; figures are shares of {total:,.0f} {unit}")
    return c.chart()


def queue_times(outcomes: Sequence[Outcome]) -> Chart:
    """Median, 95th and 99th percentile from arrival to start, by tier and policy, on a logarithmic scale."""
    tiers = list(dict.fromkeys(q.tier for o in outcomes for q in o.queue if q.tier != ALL))
    rows = [(tier, o.policy, q) for tier in tiers for o in outcomes for q in o.queue if q.tier == tier]
    longest = max([60.0, *(q.p99_s for _, _, q in rows)])
    decades = math.ceil(math.log10(longest))
    high, top = 22, 48
    text = "Circle: half of the jobs started within this time of their arrival. Square: 95 %. Triangle: 99 %. Times up to 1 s are drawn at 1 s."
    c = _Canvas("queue", "Queue time by latency tier", text, top + high * len(rows) + 12 * len(tiers) + 40)
    for kind, label, x in (("circle", "p50", LEFT), ("square", "p95", LEFT + 80), ("triangle", "p99", LEFT + 160)):
        c.mark(kind, x, 18)
        c.words(x + 10, 22, label)
    wide = WIDTH - LEFT - RIGHT

    def across(seconds: float) -> float:
        return LEFT + wide * math.log10(max(1.0, seconds)) / decades

    y = float(top)
    for (tier, policy, q), after in zip(rows, [*rows[1:], None], strict=True):
        c.line([(LEFT, y), (WIDTH - RIGHT, y)], stroke=PALE)
        c.words(LEFT - 8, y + 4, f"{tier}: {policy}", "end")
        c.line([(across(q.p50_s), y), (across(q.p99_s), y)], stroke=GREY)
        for kind, seconds in (("circle", q.p50_s), ("square", q.p95_s), ("triangle", q.p99_s)):
            c.mark(kind, across(seconds), y)
        c.words(WIDTH - 6, y + 4, short_time(q.p99_s), "end")
        y += high + (12 if after and after[0] != tier else 0)
    for i in range(decades + 1):
        at = across(10.0**i)
        c.line([(at, top - 14), (at, y - 4)], stroke=PALE)
        c.words(at, y + 12, short_time(10.0**i), "middle")
    c.words(LEFT + wide / 2, y + 30, "from arrival to start", "middle", fill=GREY)
    return c.chart()


def bars(name: str, title: str, text: str, values: Sequence[tuple[str, float, str]]) -> Chart:
    """A bar a policy, with its figure; the first is suanli's, filled dark."""
    high, top = 28, 14
    c = _Canvas(name, title, text, top + high * len(values) + 8)
    least, most = min([0.0, *(v for _, v, _ in values)]), max([0.0, *(v for _, v, _ in values)])
    scale = (WIDTH - LEFT - 190) / ((most - least) or 1.0)
    zero = LEFT - least * scale
    for i, (label, value, told) in enumerate(values):
        y, end = top + high * i, zero + value * scale
        c.box(min(zero, end), y, abs(end - zero), high - 8, fill=LIGHT if i else BLUE, stroke=INK)
        c.words(LEFT - 8, y + 15, label, "end", **({} if i else {"font-weight": "bold"}))
        c.words(max(zero, end) + 6, y + 15, told)
    c.line([(zero, top - 4), (zero, top + high * len(values))])
    return c.chart()


def short_time(seconds: float) -> str:
    """A time for a person: "45 s", "12 min", "3.5 h", "2 d"."""
    for unit, size in (("d", 86_400), ("h", 3_600), ("min", 60)):
        if seconds >= size * 1.5:
            return f"{seconds / size:.3g} {unit}"
    return f"{seconds:.3g} s"


# --- the scheme of the network

BOX = (190, 42)
_GAP = 26


def _column_x(column: int) -> float:
    return 20 + column * (WIDTH - 40 - BOX[0]) / 2


def _columns(side: Mapping[str, str]) -> tuple[dict[str, tuple[float, float]], float]:
    """Where each box stands, and how high the picture is. What is outside the hubs stands at the bottom, out of the way."""
    names = {column: sorted(n for n, s in side.items() if s == column) for column in COLUMNS}
    most = max(1, *(len(n) for n in names.values()))
    high = most * (BOX[1] + _GAP)
    found = {}
    for column, side_ in enumerate(COLUMNS):
        mine = names[side_]
        step = high / max(1, len(mine))
        for i, name in enumerate(mine):
            y = high + 50 if side_ == "Outside" else 40 + step * i + (step - BOX[1]) / 2
            found[name] = (_column_x(column), y)
    return found, high + 50 + BOX[1] + 50


Point = tuple[float, float]


def _ends(drawn: Sequence[tuple[str, str]], at: Mapping[str, Point]) -> dict[tuple[str, str], tuple[Point, Point]]:
    """Where each arrow begins and ends: those at one side of a box lie apart, in the order of their other ends."""
    sides: dict[tuple[str, bool], list[tuple[float, tuple[str, str], bool]]] = {}
    for flow in drawn:
        for mine, other, begins in ((flow[0], flow[1], True), (flow[1], flow[0], False)):
            same = at[mine][0] == at[other][0]
            right = at[mine][0] < WIDTH / 2 - BOX[0] if same else at[other][0] > at[mine][0]
            sides.setdefault((mine, right), []).append((at[other][1], flow, begins))
    found: dict[tuple[str, str], list[Point]] = {flow: [(0, 0), (0, 0)] for flow in drawn}
    for (name, right), arrows in sides.items():
        for i, (_, flow, begins) in enumerate(sorted(arrows)):
            y = at[name][1] + BOX[1] * (i + 1) / (len(arrows) + 1)
            found[flow][0 if begins else 1] = (at[name][0] + (BOX[0] if right else 0.0), y)
    return {flow: (one, other) for flow, (one, other) in found.items()}


@dataclass(frozen=True)
class _Curve:
    """A curve with its head: four points of Bézier."""

    points: tuple[Point, Point, Point, Point]

    @property
    def d(self) -> str:
        """As a path."""
        (x, y), *rest = self.points
        return f"M{_n(x)} {_n(y)}C" + " ".join(f"{_n(a)} {_n(b)}" for a, b in rest)

    @property
    def head(self) -> str:
        """The arrow's head at its end."""
        (before, _), (x, y) = self.points[2:]
        back = 9.0 if before > x else -9.0
        return f"M{_n(x)} {_n(y)}L{_n(x + back)} {_n(y - 5)}L{_n(x + back)} {_n(y + 5)}Z"

    def at(self, t: float) -> Point:
        """A point of it, from 0 to 1."""
        weights = ((1 - t) ** 3, 3 * (1 - t) ** 2 * t, 3 * (1 - t) * t * t, t**3)
        x, y = (sum(w * p[k] for w, p in zip(weights, self.points, strict=True)) for k in (0, 1))
        return x, y


def _curve(one: Point, other: Point) -> _Curve:
    """Level at both ends; between boxes of one column it bulges to the middle of the picture."""
    (x1, y1), (x2, y2) = one, other
    if x1 == x2:
        far = x1 + (1 if x1 < WIDTH / 2 else -1) * (30 + abs(y2 - y1) * 0.2)
        return _Curve((one, (far, y1), (far, y2), other))
    middle = (x1 + x2) / 2
    return _Curve((one, (middle, y1), (middle, y2), other))


def _style(style: Mapping[str, str]) -> dict[str, str]:
    return dict(style)


def _n(value: float) -> str:
    """A coordinate to a tenth of a pixel."""
    return f"{value:.1f}".rstrip("0").rstrip(".")
