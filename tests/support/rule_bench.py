"""Rule groups over a store, asked here or at a real Prometheus, for tests of backends."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
from house import Process, free_port, program, wait_ready

from tocsin.app.queries import EmbeddedQueries
from tocsin.app.remote_rules import TenantQueries, TenantSink
from tocsin.metrics_collector.backend.backends import Backends, Surroundings
from tocsin.metrics_collector.backend.config import BackendConfig, BackendKind
from tocsin.metrics_collector.backend.encode import Point, write_request
from tocsin.metrics_collector.backend.instruments import BackendInstruments
from tocsin.metrics_collector.backend.ports import Outgoing
from tocsin.metrics_collector.backend.tenants import Use
from tocsin.metrics_collector.fetch import AiohttpFetch
from tocsin.model.labels import Labels
from tocsin.model.series import Layout
from tocsin.model.settings import Duration, from_scalar
from tocsin.model.slots import to_ms
from tocsin.model.tenant import TenantId
from tocsin.promql.engine import Engine
from tocsin.promql.options import Options
from tocsin.rule_engine.config import RuleFile, RuleSettings
from tocsin.rule_engine.definition import groups_of
from tocsin.rule_engine.fakes import FakeDoor, LoopClock
from tocsin.rule_engine.group import GroupRun, GroupSpec, Neighbours
from tocsin.rule_engine.instruments import RuleInstruments
from tocsin.rule_engine.reads import metrics_read
from tocsin.rule_engine.views import AlertView
from tocsin.telemetry.metrics import Registry
from tocsin.timeseries.store import MetricStore

TENANT = TenantId("acme")
SETTINGS = RuleSettings(evaluation_interval=Duration(seconds=15))
Elements = Mapping[Labels, float]


@dataclass(slots=True)
class Peer:
    """A real Prometheus that takes remote writes; it scrapes nothing."""

    folder: Path
    port: int = field(default_factory=free_port)
    process: Process = field(init=False)

    def __post_init__(self) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        (self.folder / "prometheus.yml").write_text("scrape_configs: []\n")
        self.process = Process(
            [program("prometheus"), "--config.file=prometheus.yml", "--storage.tsdb.path=data",
             "--storage.tsdb.retention.time=100y", "--web.enable-remote-write-receiver",
             f"--web.listen-address=127.0.0.1:{self.port}"],
            self.folder / "prometheus.log",
            cwd=self.folder,
        )  # fmt: skip

    @property
    def url(self) -> str:
        """Return its address."""
        return f"http://127.0.0.1:{self.port}"

    def start(self) -> Peer:
        """Start it, or start it again, and wait until it is ready."""
        self.process.start()
        wait_ready(self.process, f"{self.url}/-/ready")
        return self

    def kill(self) -> None:
        """End it as a power cut would."""
        self.process.kill()


@dataclass(slots=True)
class Bench:
    """The groups of one rule file; each round is told its data and its time."""

    store: MetricStore
    door: FakeDoor
    runs: list[GroupRun]

    async def round(self, at: datetime) -> None:
        """Evaluate every group."""
        for run in self.runs:
            await run.evaluate(at)

    def feed(self, at: datetime, elements: Elements) -> None:
        """Store samples here."""
        layout = Layout(f"data{hash(tuple(elements))}", tuple(elements))
        self.store.append(TENANT, layout, to_ms(at), np.array(list(elements.values())))

    def alerts(self) -> list[AlertView]:
        """Return every alert, in an order of its own."""
        found = [a for run in self.runs for rule in run.view().rules for a in rule.alerts]
        return sorted(found, key=lambda alert: alert.labels.pairs)

    def errors(self) -> dict[str, str]:
        """Return the last error of each rule that has one."""
        rules = [rule for run in self.runs for rule in run.view().rules]
        return {rule.name: rule.last_error for rule in rules if rule.last_error}


@asynccontextmanager
async def benches(
    path: Path, rules: Mapping[str, Any], peer: Peer | None = None
) -> AsyncIterator[Bench]:
    """Run a rule file, its metrics here when there is no peer; `path` keeps its store."""
    async with AsyncExitStack() as opened:
        fetch = AiohttpFetch()
        opened.push_async_callback(fetch.close)
        store = MetricStore(path)
        opened.callback(store.close)
        registry = Registry(version="0")
        around = Surroundings(fetch, LoopClock(), lambda: 0.0, lambda: "n", metrics_read)
        backends = Backends(around, BackendInstruments(registry))
        opened.push_async_callback(backends.stop_all)
        if peer:
            await backends.start(TENANT, Use(config_of(peer), (TENANT,)))
        here = EmbeddedQueries(Engine(store, options=Options(mode="2.42")))
        door = FakeDoor()
        near = Neighbours(
            TenantQueries(here, backends),
            TenantSink(store, backends),
            door,
            RuleInstruments(registry),
            here,
        )
        file = msgspec.convert(rules, RuleFile, dec_hook=from_scalar)
        groups = groups_of({"rules.yml": file}, SETTINGS)
        runs = [GroupRun(GroupSpec(TENANT, g, SETTINGS, "http://x"), near) for g in groups]
        for run in runs:
            run.restore()
        yield Bench(store, door, runs)


def config_of(peer: Peer) -> BackendConfig:
    """Return a backend that is a Prometheus."""
    return BackendConfig(
        kind=BackendKind.PROMETHEUS,
        url=peer.url,
        remote_write_url=f"{peer.url}/api/v1/write",
        timeout=Duration(seconds=20),
    )


class Wire:
    """Writes to a peer and asks it, apart from the code that is tested."""

    def __init__(self, peer: Peer) -> None:
        """Talk to `peer`."""
        self._peer = peer
        self._fetch = AiohttpFetch()

    async def close(self) -> None:
        """Close its connections."""
        await self._fetch.close()

    async def write(self, samples: Mapping[Labels, Sequence[Point]]) -> None:
        """Store samples there."""
        body = write_request(samples.items())
        headers = {"Content-Encoding": "snappy", "Content-Type": "application/x-protobuf"}
        call = Outgoing("POST", f"{self._peer.url}/api/v1/write", headers, body)
        page = await self._fetch.exchange(call, timeout_s=30, limit=1 << 20)
        assert page.status == 204, page.body

    async def feed(self, at: datetime, elements: Elements) -> None:
        """Store one value of each series there."""
        await self.write({labels: [(to_ms(at), value)] for labels, value in elements.items()})

    async def samples(self, selector: str, at: datetime) -> dict[Labels, list[Point]]:
        """Return the samples of an hour up to `at`."""
        query = f"query={selector}[1h]&time={at.timestamp():.3f}".replace("+", "%2B")
        call = Outgoing("GET", f"{self._peer.url}/api/v1/query?{query}", {})
        page = await self._fetch.exchange(call, timeout_s=30, limit=64 << 20)
        assert page.status == 200, page.body
        return {
            Labels.of(series["metric"]): [(round(t * 1000), float(v)) for t, v in series["values"]]
            for series in msgspec.json.decode(page.body)["data"]["result"]
        }
