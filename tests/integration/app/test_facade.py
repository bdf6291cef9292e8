"""The two public names, as a program uses them."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from house import answers, eventually

import configs
import tocsin
from tocsin import AlertManager, MetricsCollector
from tocsin.app import facade
from tocsin.app.facade import NotRunning
from tocsin.app.server import CannotListen
from tocsin.metrics_collector.process import ProcessMetrics
from tocsin.model.errors import ConfigError, InvalidTenant, StoreUnusable

CONFIG = """\
tenant: acme
server: {{ listen: ["127.0.0.1:{port}"], auth: none }}
system_metrics: {{ enabled: false }}
alertmanager:
  route: {{ receiver: team }}
  receivers: [{{ name: team }}]
"""


def write(folder: Path, *, port: int = 0) -> Path:
    path = folder / "tenant_config.yaml"
    path.write_text(CONFIG.format(port=port))
    return path


@pytest.fixture(autouse=True)
def _signals() -> Iterator[None]:
    """Begin with the signals of a new program, and give the test runner its own back."""
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.fixture
def manager(tmp_path: Path) -> Iterator[AlertManager]:
    made = AlertManager.from_config(write(tmp_path))
    yield made
    made.stop()


def test_a_file_with_faults_is_refused_before_anything_starts(tmp_path: Path) -> None:
    path = write(tmp_path)
    path.write_text(path.read_text() + "scrape_confgs: []\n")
    with pytest.raises(ConfigError, match="scrape_configs"):
        AlertManager.from_config(str(path))


def test_before_the_start_there_is_no_address(manager: AlertManager) -> None:
    with pytest.raises(NotRunning, match="start_monitoring"):
        _ = manager.url
    assert manager.tenants == ("acme",)
    manager.stop()


def test_it_is_ready_when_the_start_returns_and_starting_twice_is_starting_once(
    manager: AlertManager,
) -> None:
    manager.start_monitoring()
    url = manager.url
    assert answers(f"{url}/-/ready") == (200, "OK")
    manager.start_monitoring()
    assert manager.url == url
    manager.stop()
    manager.stop()
    assert answers(f"{url}/-/ready")[0] == 0
    with pytest.raises(NotRunning):
        _ = manager.url


def test_it_starts_again_after_a_stop(manager: AlertManager) -> None:
    for _ in range(2):
        manager.start_monitoring()
        assert answers(f"{manager.url}/-/ready")[0] == 200
        manager.stop()


def test_a_with_block_starts_and_stops_even_after_an_exception(manager: AlertManager) -> None:
    urls: list[str] = []

    def fail() -> None:
        with manager:
            urls.append(manager.url)
            assert answers(f"{manager.url}/-/ready")[0] == 200
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    assert answers(f"{urls[0]}/-/ready")[0] == 0


def test_what_keeps_it_from_starting_is_raised_to_the_caller(
    manager: AlertManager, tmp_path: Path
) -> None:
    manager.start_monitoring()
    second = AlertManager.from_config(tmp_path / "tenant_config.yaml")
    with pytest.raises(StoreUnusable, match=r"in use|another process"):
        second.start_monitoring()
    second.stop()
    other = tmp_path / "other"
    other.mkdir()
    port = int(manager.url.rpartition(":")[2])
    third = AlertManager.from_config(write(other, port=port))
    with pytest.raises(CannotListen, match=f"cannot listen on 127.0.0.1:{port}"):
        third.start_monitoring()


def test_it_starts_from_any_thread(manager: AlertManager) -> None:
    thread = threading.Thread(target=manager.start_monitoring)
    thread.start()
    thread.join()
    assert answers(f"{manager.url}/-/ready")[0] == 200


@pytest.mark.parametrize(
    ("number", "ending"), [(signal.SIGINT, KeyboardInterrupt), (signal.SIGTERM, SystemExit)]
)
def test_a_signal_stops_it_and_ends_the_script_as_it_would_without_us(
    manager: AlertManager, number: signal.Signals, ending: type[BaseException]
) -> None:
    manager.start_monitoring()
    url = manager.url
    with pytest.raises(ending):
        signal.raise_signal(number)
    eventually(lambda: answers(f"{url}/-/ready")[0] == 0, what="a stop after the signal")


def test_stopping_gives_the_signals_back(manager: AlertManager) -> None:
    before = signal.getsignal(signal.SIGINT)
    manager.start_monitoring()
    assert signal.getsignal(signal.SIGINT) is not before
    manager.stop()
    assert signal.getsignal(signal.SIGINT) is before


def test_what_a_program_counts_is_in_the_store_of_its_tenant(manager: AlertManager) -> None:
    metrics = MetricsCollector(tenant_id="acme", job="shop")
    metrics.inc("playlist_saves", surface="home")
    manager.start_monitoring()
    url = f"{manager.url}/prometheus/api/v1/query?query=playlist_saves_total"
    eventually(lambda: '"surface":"home"' in answers(url)[1], what="the counter")


def test_a_collector_without_a_server_says_what_to_do() -> None:
    facade._newest.clear()  # what earlier tests made, and the collector has not come by yet
    with pytest.raises(NotRunning, match=r"AlertManager.from_config\(...\)\), or pass sink="):
        MetricsCollector(tenant_id="acme")


def test_a_collector_of_an_unknown_tenant_names_those_there_are(manager: AlertManager) -> None:
    with pytest.raises(NotRunning, match="'other' is not in the configuration, which has: acme"):
        MetricsCollector(tenant_id="other")
    with pytest.raises(InvalidTenant):
        MetricsCollector(tenant_id="NO")
    del manager


def test_a_collector_takes_a_sink_of_its_own() -> None:
    MetricsCollector("anybody", sink=ProcessMetrics()).inc("x")


def test_the_public_names_are_these() -> None:
    assert tocsin.__all__ == ["AlertManager", "MetricsCollector", "__version__"]
    assert configs.AlertManager is AlertManager
    assert configs.MetricsCollector is MetricsCollector
    with pytest.raises(AttributeError, match="no attribute 'Alerts'"):
        _ = tocsin.Alerts
