"""Prometheus metrics: names and units by convention, every label from a bounded set."""

from collections.abc import Iterable, Mapping

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
CYCLE_BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)


class Metrics:
    """All that the operator counts, in a registry of its own."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        reg = self.registry
        self.requests = Counter(
            "suanli_api_requests_total",
            "Requests to API servers.",
            ["cluster", "verb", "resource", "code"],
            registry=reg,
        )
        self.cycle_seconds = Histogram(
            "suanli_placement_cycle_seconds", "Time to place all waiting jobs.", buckets=CYCLE_BUCKETS, registry=reg
        )
        self.surprises = Counter(
            "suanli_unexpected_errors_total", "Errors that nobody foresaw; each is in the log.", registry=reg
        )
        self._batch = Gauge("suanli_placement_batch_jobs", "Jobs in the last cycle.", registry=reg)
        self._unplaced = Gauge(
            "suanli_placement_unplaced_jobs", "Jobs that the last cycle could not place.", registry=reg
        )
        self._gap = Gauge(
            "suanli_placement_gap_ratio", "Proven gap of the last cycle's plan to the optimum.", registry=reg
        )
        self._placed = Counter("suanli_jobs_placed_total", "Assignments committed.", ["site"], registry=reg)
        self._dispatched = Counter("suanli_jobs_dispatched_total", "Jobs created on members.", ["site"], registry=reg)
        self._finished = Counter("suanli_jobs_finished_total", "Jobs that ended for good.", ["reason"], registry=reg)
        self._jobs = Gauge("suanli_jobs", "Jobs by state, site and reason.", ["state", "site", "reason"], registry=reg)
        self._heard = Gauge(
            "suanli_member_last_heard_age_seconds", "Time since a member last answered.", ["site"], registry=reg
        )
        self._ready = Gauge("suanli_site_ready", "1 if new jobs can be placed there.", ["site"], registry=reg)
        self._kpi = Gauge("suanli_policy_kpi", "Figures of the policy in force.", ["kpi"], registry=reg)
        self._kpi_met = Gauge(
            "suanli_policy_kpi_met",
            "1 if the target of a figure is met, for figures with a target.",
            ["kpi"],
            registry=reg,
        )
        self._unknown_usage = Counter(
            "suanli_usage_gap_pods_total", "Pods that ran, and nobody will know for how long.", ["site"], registry=reg
        )
        self._leader = Gauge("suanli_leader", "1 while this replica leads.", registry=reg)

    def request(self, client: str, verb: str, resource: str, result: str) -> None:
        """Count one request."""
        self.requests.labels(client, verb, resource, result).inc()

    def placed(self, site: str) -> None:
        """Count one committed assignment."""
        self._placed.labels(site).inc()

    def dispatched(self, site: str) -> None:
        """Count one created member Job."""
        self._dispatched.labels(site).inc()

    def finished(self, reason: str) -> None:
        """Count one ended job."""
        self._finished.labels(reason).inc()

    def cycle(self, jobs: int, unplaced: int, gap_ppm: int) -> None:
        """Note what the last cycle did."""
        self._batch.set(jobs)
        self._unplaced.set(unplaced)
        self._gap.set(gap_ppm / 1_000_000)

    def kpis(self, figures: Iterable[tuple[str, float, str | None]]) -> None:
        """Note the policy's figures: name, value, and whether the target is met where there is one."""
        for gauge in (self._kpi, self._kpi_met):
            gauge.clear()
        for name, value, met in figures:
            self._kpi.labels(name).set(value)
            if met is not None:
                self._kpi_met.labels(name).set(int(met == "True"))

    def unknown_usage(self, site: str, pods: int) -> None:
        """Count pods of which nobody will know what they used."""
        self._unknown_usage.labels(site).inc(pods)

    def leading(self, leads: bool) -> None:
        """Note whether this replica leads."""
        self._leader.set(int(leads))

    def scrape(
        self, jobs: Mapping[tuple[str, str, str], int], heard_age_s: Mapping[str, float], ready: Mapping[str, bool]
    ) -> bytes:
        """The text exposition, with the gauges that are counted only when somebody asks."""
        for gauge in (self._jobs, self._heard, self._ready):
            gauge.clear()
        for labels, count in jobs.items():
            self._jobs.labels(*labels).set(count)
        for site, age in heard_age_s.items():
            self._heard.labels(site).set(age)
        for site, is_ready in ready.items():
            self._ready.labels(site).set(int(is_ready))
        return generate_latest(self.registry)
