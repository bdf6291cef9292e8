"""The OpenTelemetry SDK exports to us; what its protobuf library writes, we read.

The SDK is no part of our own types: it is loaded by name, and the tests are skipped without it.
"""

from __future__ import annotations

import json
import secrets
import sys
import textwrap
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

import pytest
from house import PROJECT, Process, answers, free_port, running, wait_ready

from tocsin.metrics_collector.otlp.config import OtlpConfig
from tocsin.metrics_collector.otlp.json_form import as_protobuf
from tocsin.metrics_collector.otlp.reader import read
from tocsin.metrics_collector.otlp.streams import Directory
from tocsin.security.tokens import ENTROPY_BYTES, mint

http = pytest.importorskip("opentelemetry.exporter.otlp.proto.http.metric_exporter")
plain = pytest.importorskip("opentelemetry.exporter.otlp.proto.http")
sdk = pytest.importorskip("opentelemetry.sdk.metrics")
exported = pytest.importorskip("opentelemetry.sdk.metrics.export")
views = pytest.importorskip("opentelemetry.sdk.metrics.view")
resources = pytest.importorskip("opentelemetry.sdk.resources")
service = pytest.importorskip("opentelemetry.proto.collector.metrics.v1.metrics_service_pb2")
json_format = pytest.importorskip("google.protobuf.json_format")

DELTA = exported.AggregationTemporality.DELTA
CUMULATIVE = exported.AggregationTemporality.CUMULATIVE
WHO = {"service.name": "shop", "service.namespace": "eu", "service.instance.id": "a"}


@dataclass(slots=True)
class Server:
    """A Tocsin with one tenant."""

    url: str
    token: str

    def values(self, query: str) -> dict[str, float]:
        """Return the answer to a query: labels but the usual ones, and values."""
        asked = urlencode({"query": query, "time": time.time()})
        url = f"{self.url}/t/a/prometheus/api/v1/query?{asked}"
        _, text = answers(url, token=self.token)
        found = json.loads(text)["data"]["result"]
        return {_shown(each["metric"]): float(each["value"][1]) for each in found}


def _shown(metric: dict[str, str]) -> str:
    rest = {n: v for n, v in metric.items() if n not in ("__name__", "job", "instance")}
    return ",".join(f"{name}={value}" for name, value in sorted(rest.items()))


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    folder, port = tmp_path_factory.mktemp("otlp"), free_port()
    minted = mint(secrets.token_bytes(ENTROPY_BYTES))
    (folder / "tocsin.yaml").write_text(
        textwrap.dedent(f"""\
            tenants:
              - id: a
                tokens: [{{name: t, sha256: {minted.sha256}}}]
                otlp: {{promote_resource_attributes: [deployment.environment.name]}}
            """)
    )
    process = Process(
        [sys.executable, "-m", "tocsin", "serve", "--config=tocsin.yaml", "--data-dir=data",
         f"--listen=127.0.0.1:{port}"],
        folder / "tocsin.log",
        cwd=folder,
        env={"PYTHONPATH": str(PROJECT / "src")},
    )  # fmt: skip
    with running(process.start()):
        wait_ready(process, f"http://127.0.0.1:{port}/-/ready")
        yield Server(f"http://127.0.0.1:{port}", minted.plain.reveal())


class Program:
    """A program that measures, and exports when it is told to."""

    def __init__(self, server: Server, name: str, **exporter: Any) -> None:
        token = exporter.pop("token", server.token)
        given = {"headers": {"Authorization": f"Bearer {token}"}, "timeout": 30, **exporter}
        extra = given.pop("views", [])
        made = http.OTLPMetricExporter(endpoint=f"{server.url}/t/a/v1/metrics", **given)
        self.results: list[Any] = []
        send = made.export

        def export(*args: Any, **more: Any) -> Any:
            self.results.append(send(*args, **more))
            return self.results[-1]

        made.export = export
        reader = exported.PeriodicExportingMetricReader(made, export_interval_millis=1e9)
        attributes = {**WHO, "service.name": name, "deployment.environment.name": "test", "pid": 7}
        self.provider = sdk.MeterProvider(
            [reader], resource=resources.Resource(attributes), views=extra
        )
        self.meter = self.provider.get_meter("our.lib", "1.2")

    def export(self) -> None:
        """Export everything now."""
        self.provider.force_flush(60_000)

    def end(self) -> None:
        """Stop without a word more."""
        self.provider.shutdown()


@pytest.fixture
def program(server: Server) -> Iterator[Callable[..., Program]]:
    made: list[Program] = []

    def start(name: str, **exporter: Any) -> Program:
        made.append(Program(server, name, **exporter))
        return made[-1]

    yield start
    for each in made:
        each.end()


@pytest.mark.parametrize("compression", ["NoCompression", "Gzip"])
def test_what_the_sdk_measures_can_be_asked_for(
    server: Server, program: Callable[..., Program], compression: str
) -> None:
    name = f"all-{compression}"
    shop = program(name, compression=getattr(plain.Compression, compression))
    requests = shop.meter.create_counter("http.server.requests", "1", "Requests.")
    active = shop.meter.create_up_down_counter("http.server.active_requests", "{request}")
    duration = shop.meter.create_histogram(
        "http.server.request.duration",
        "s",
        explicit_bucket_boundaries_advisory=[0.25, 1],
    )
    used = shop.meter.create_gauge("memory.usage", "By")
    for value in (0.1, 0.3, 7.0):
        requests.add(2, {"http.route": "/a"})
        active.add(1)
        duration.record(value, {"http.route": "/a"})
        used.set(1024)
        shop.export()
    assert shop.results == [exported.MetricExportResult.SUCCESS] * 3
    job = f'job="eu/{name}",instance="a"'
    env = "deployment_environment_name=test"
    route = f"{env},http_route=/a"
    assert server.values(f"http_server_requests_total{{{job}}}") == {route: 6}
    assert server.values(f"http_server_active_requests{{{job}}}") == {env: 3}
    assert server.values(f"memory_usage_bytes{{{job}}}") == {env: 1024}
    buckets = server.values(f"http_server_request_duration_seconds_bucket{{{job}}}")
    assert buckets == {f"{route},le={le}": n for le, n in (("0.25", 1), ("1.0", 2), ("+Inf", 3))}
    assert server.values(f"http_server_request_duration_seconds_count{{{job}}}") == {route: 3}
    found = server.values(f"http_server_request_duration_seconds_sum{{{job}}}")
    assert found == {route: pytest.approx(7.4)}
    told = server.values(f"target_info{{{job}}}")
    assert told == {f"{env},pid=7": 1}


def test_deltas_of_the_sdk_add_up(server: Server, program: Callable[..., Program]) -> None:
    kinds = {sdk.Counter: DELTA, sdk.Histogram: DELTA, sdk.UpDownCounter: CUMULATIVE}
    shop = program("deltas", preferred_temporality=kinds)
    counter = shop.meter.create_counter("jobs")
    took = shop.meter.create_histogram("took", "ms", explicit_bucket_boundaries_advisory=[10])
    for amount in (1, 2, 4):
        counter.add(amount)
        took.record(amount * 4)
        shop.export()
    job = 'job="eu/deltas"'
    assert list(server.values(f"jobs_total{{{job}}}").values()) == [7]
    assert list(server.values(f"took_milliseconds_sum{{{job}}}").values()) == [28]
    buckets = server.values(f"took_milliseconds_bucket{{{job}}}")
    assert sorted(buckets.values()) == [2, 3]


def test_exponential_histograms_of_the_sdk_are_rejected_and_the_rest_is_taken(
    server: Server, program: Callable[..., Program]
) -> None:
    aggregation = views.ExponentialBucketHistogramAggregation()
    shop = program("expo", views=[views.View(instrument_name="took", aggregation=aggregation)])
    shop.meter.create_histogram("took").record(1)
    shop.meter.create_counter("kept").add(1)
    shop.export()
    assert shop.results == [exported.MetricExportResult.SUCCESS]
    assert list(server.values('kept_total{job="eu/expo"}').values()) == [1]
    assert server.values('{__name__=~"took.*",job="eu/expo"}') == {}
    _, metrics = answers(f"{server.url}/t/a/metrics", token=server.token)
    assert (
        'tocsin_otlp_data_points_rejected_total{reason="exponential_histogram",tenant="a"} 1.0'
        in metrics
    )


def test_a_wrong_token_fails_the_export(server: Server, program: Callable[..., Program]) -> None:
    shop = program("stranger", token="wrong")  # noqa: S106 - that is the point
    shop.meter.create_counter("c").add(1)
    shop.export()
    assert shop.results == [exported.MetricExportResult.FAILURE]
    assert server.values('c_total{job="eu/stranger"}') == {}


def _message(second: int) -> Any:
    """Return a request made by the protobuf library, with something of everything."""
    made = service.ExportMetricsServiceRequest()
    told = made.resource_metrics.add()
    for key, value in WHO.items():
        told.resource.attributes.add(key=key).value.string_value = value
    many = told.resource.attributes.add(key="many").value
    many.array_value.values.add().int_value = -1
    many.array_value.values.add().kvlist_value.values.add(key="k").value.bool_value = True
    scope = told.scope_metrics.add(schema_url="s")
    scope.scope.name, scope.scope.version = "lib", "1"
    ns = (1_700_000_000 + second) * 10**9
    gauge = scope.metrics.add(name="g", unit="1", description="G.").gauge
    gauge.data_points.add(time_unix_nano=ns, as_double=float("nan"))
    point = gauge.data_points.add(time_unix_nano=ns, as_int=-(2**60) - 1, flags=0)
    point.attributes.add(key="a.b").value.double_value = 1e21
    point.attributes.add(key="raw").value.bytes_value = b"\x00\xff"
    scope.metrics.add(name="ended").gauge.data_points.add(time_unix_nano=ns, flags=1)
    total = scope.metrics.add(name="c").sum
    total.aggregation_temporality, total.is_monotonic = 1, True
    exemplar = total.data_points.add(start_time_unix_nano=1, time_unix_nano=ns, as_double=2.5)
    exemplar.exemplars.add(time_unix_nano=ns, as_int=1, trace_id=b"\x01" * 16, span_id=b"\x02" * 8)
    spread = scope.metrics.add(name="h", unit="ms").histogram
    spread.aggregation_temporality = 2
    for bounds in ([], [0.5, 1.0]):
        counts = [second + 1] * (len(bounds) + 1)
        spread.data_points.add(
            start_time_unix_nano=1,
            time_unix_nano=ns,
            count=sum(counts),
            sum=float("inf"),
            bucket_counts=counts,
            explicit_bounds=bounds,
            min=-1.0,
            max=1.0,
        )
    summary = scope.metrics.add(name="s").summary.data_points.add(time_unix_nano=ns, count=3, sum=4)
    summary.quantile_values.add(quantile=0.99, value=7)
    scope.metrics.add(name="e").exponential_histogram.data_points.add(time_unix_nano=ns)
    return made


def _held(body: bytes, known: Directory) -> list[tuple[str, int, str, bool]]:
    found = read(body, known)
    assert found.rejected == {"exponential_histogram": 1}
    assert found.exemplars == 1
    return sorted(
        (str(known.series.labels[slot]), int(nanos), repr(value), block.delta)
        for block in [*found.blocks, *([found.info] if found.info else [])]
        for row, nanos, values in zip(block.slots, block.nanos, block.values, strict=True)
        for slot, value in zip(row.tolist(), values.tolist(), strict=True)
    )


def test_what_the_protobuf_library_writes_is_read_in_both_encodings() -> None:
    config = OtlpConfig(promote_scope_metadata=True)
    one, other = Directory(config), Directory(config)
    for second in range(3):
        message = _message(second)
        binary = _held(message.SerializeToString(), one)
        text = as_protobuf(json_format.MessageToJson(message).encode())
        assert _held(text, other) == binary
        assert len(binary) == 3 + 1 + 3 + 5 + 3 + 1
