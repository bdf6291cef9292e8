"""Counters, gauges and histograms of a program."""

import threading
from collections.abc import Callable

import pytest

from tocsin.metrics_collector.collector import MetricsCollector
from tocsin.metrics_collector.fakes import FakeProcessSink
from tocsin.metrics_collector.process import ProcessMetrics, flattened
from tocsin.model.errors import InvalidInput, InvalidTenant
from tocsin.model.labels import Labels
from tocsin.model.tenant import tenant_id

ACME = tenant_id("acme")


@pytest.fixture
def sink() -> FakeProcessSink:
    return FakeProcessSink()


@pytest.fixture
def metrics(sink: FakeProcessSink) -> MetricsCollector:
    return MetricsCollector("acme", sink=sink)


def series(name: str, /, **labels: str) -> Labels:
    return Labels.of({"__name__": name, **labels})


def test_a_counter_counts_under_its_total(metrics: MetricsCollector, sink: FakeProcessSink) -> None:
    requests = metrics.counter("shop_requests", "Requests.", ("path",))
    requests.labels(path="/a").inc()
    requests.labels("/a").inc(2)
    assert sink.samples() == {series("shop_requests_total", path="/a"): 3}


def test_gauge_and_histogram_have_the_shapes_of_prometheus_client(
    metrics: MetricsCollector, sink: FakeProcessSink
) -> None:
    metrics.gauge("queue").set(7)
    metrics.histogram("took_seconds", buckets=(0.1, 1)).observe(0.5)
    assert sink.samples() == {
        series("queue"): 7,
        series("took_seconds_bucket", le="0.1"): 0,
        series("took_seconds_bucket", le="1.0"): 1,
        series("took_seconds_bucket", le="+Inf"): 1,
        series("took_seconds_sum"): 0.5,
        series("took_seconds_count"): 1,
    }


def test_the_quick_forms_make_the_metric_at_first_use(
    metrics: MetricsCollector, sink: FakeProcessSink
) -> None:
    metrics.inc("logins_total", outcome="ok", source=5)
    metrics.inc("logins_total", amount=2, source=5, outcome="ok")
    metrics.inc("plain")
    metrics.set("level", 1.5, room="a")
    metrics.observe("took", 3)
    metrics.gauge("jobs")
    metrics.inc("jobs", -2)
    found = sink.samples()
    assert found[series("logins_total", outcome="ok", source="5")] == 3
    assert found[series("plain_total")] == 1
    assert found[series("level", room="a")] == 1.5
    assert found[series("took_count")] == 1
    assert found[series("jobs")] == -2


def test_the_same_metric_may_be_asked_for_again(metrics: MetricsCollector) -> None:
    assert metrics.counter("a", labelnames=["x"]) is metrics.counter("a", labelnames=("x",))


def test_wrong_uses_say_what_is_wrong(metrics: MetricsCollector) -> None:
    metrics.counter("a", labelnames=("x",))
    with pytest.raises(InvalidInput, match="a is a counter already"):
        metrics.gauge("a")
    with pytest.raises(InvalidInput, match="a is a counter already"):
        metrics.set("a", 1)
    with pytest.raises(InvalidInput, match="has the labels"):
        metrics.counter("a", labelnames=("y",))
    with pytest.raises(InvalidInput, match=r"a has the labels \(x\), but was given \(y\)"):
        metrics.inc("a", y=1)
    with pytest.raises(InvalidInput, match=r"a has the labels \(x\), but was given \(none\)"):
        metrics.inc("a")
    metrics.inc("b")
    with pytest.raises(InvalidInput, match=r"b has the labels \(none\), but was given \(y\)"):
        metrics.inc("b", y=1)
    with pytest.raises(InvalidInput, match="a:"):
        metrics.inc("a", -1, x=1)
    with pytest.raises(InvalidInput, match="metric ''"):
        metrics.counter("")
    with pytest.raises(InvalidInput, match="a_total"):
        metrics.counter("a_total")
    with pytest.raises(InvalidInput, match="metric 'h'"):
        metrics.histogram("h", buckets=(2, 1))


def test_a_tenant_must_be_one(sink: FakeProcessSink) -> None:
    with pytest.raises(InvalidTenant):
        MetricsCollector("No Tenant", sink=sink)


def test_job_and_instance_are_labels_where_given(sink: FakeProcessSink) -> None:
    MetricsCollector("acme", sink=sink, job="shop").set("a", 1, instance="x")
    assert sink.samples() == {series("a", job="shop", instance="x"): 1}
    assert sink.attached[0][0] == ACME


def test_threads_lose_no_count(metrics: MetricsCollector, sink: FakeProcessSink) -> None:
    def work() -> None:
        for _ in range(500):
            metrics.inc("a", who="x")

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sink.samples() == {series("a_total", who="x"): 4000}


def test_two_collectors_of_a_tenant_add_up_their_counts_and_the_later_gauge_wins() -> None:
    process = ProcessMetrics()
    one, other = (MetricsCollector("acme", sink=process) for _ in range(2))
    stranger = MetricsCollector("other", sink=process)
    for each in (one, other, stranger):
        each.inc("a")
        each.observe("h", 0.5)
    one.set("g", 1)
    other.set("g", 2)
    found = dict(zip(*flattened(process.read(ACME)), strict=True))
    assert found[series("a_total")] == 2
    assert found[series("h_count")] == 2
    assert found[series("g")] == 2
    assert process.read(tenant_id("nobody")) == []


def test_families_are_named_as_their_series(metrics: MetricsCollector) -> None:
    metrics.counter("a", "Help.")
    metrics.gauge("b")
    assert [(f.name, f.metadata.type, f.metadata.help) for f in metrics.read()] == [
        ("a_total", "counter", "Help."),
        ("b", "gauge", ""),
    ]


def test_a_metric_of_the_catalogue_needs_only_its_name(
    metrics: MetricsCollector, sink: FakeProcessSink
) -> None:
    metrics.counter("recommendation_clicks_total").labels(surface="home", model="als").inc()
    metrics.gauge("user_active_sessions").set(3)
    metrics.histogram("ml_model_inference_duration_seconds").labels(model="als").observe(0.2)
    found = sink.samples()
    assert found[series("recommendation_clicks_total", surface="home", model="als")] == 1
    assert found[series("user_active_sessions")] == 3
    assert found[series("ml_model_inference_duration_seconds_count", model="als")] == 1
    families = {family.name: family for family in metrics.read()}
    assert families["user_active_sessions"].metadata.help == "Sessions that are open now."


def test_a_counter_is_the_same_with_and_without_its_ending(metrics: MetricsCollector) -> None:
    metrics.inc("playlist_saves")
    assert metrics.counter("playlist_saves_total") is metrics.counter("playlist_saves")


def a_gauge_for_a_counter(metrics: MetricsCollector) -> None:
    metrics.set("playlist_saves", 1)


def a_label_too_few(metrics: MetricsCollector) -> None:
    metrics.inc("ml_model_predictions", model="a")


@pytest.mark.parametrize(
    ("use", "why"),
    [
        (a_gauge_for_a_counter, "the catalogue has a counter, this is a gauge"),
        (a_label_too_few, "the catalogue has the labels outcome"),
    ],
)
def test_a_use_unlike_the_catalogue_is_warned_of_once(
    metrics: MetricsCollector,
    caplog: pytest.LogCaptureFixture,
    use: Callable[[MetricsCollector], None],
    why: str,
) -> None:
    use(metrics)
    use(metrics)
    [told] = caplog.records
    assert vars(told)["fields"]["why"] == why


def test_labels_of_its_own_and_names_of_its_own_are_no_ones_business(
    metrics: MetricsCollector, caplog: pytest.LogCaptureFixture
) -> None:
    metrics.inc("playlist_saves", surface="home")
    metrics.inc("of_my_own", x=1)
    assert caplog.records == []
