"""The front door of the package: two names that make a monitored process of a program.

`AlertManager` runs a whole Tocsin on a thread of its own; `MetricsCollector` counts in the
caller's process and hands its samples to the Tocsin of the same process.
"""

from __future__ import annotations

import asyncio
import signal
import threading
import weakref
from collections.abc import Callable
from pathlib import Path
from types import FrameType
from typing import Any, Self

import uvloop

from tocsin.app.lifecycle import Runtime
from tocsin.config_loader.load import load
from tocsin.config_loader.loaded import Loaded
from tocsin.metrics_collector import collector
from tocsin.metrics_collector.ports import ProcessSink
from tocsin.metrics_collector.process import ProcessMetrics
from tocsin.model.errors import TocsinError
from tocsin.model.tenant import tenant_id as checked_tenant

START_WITHIN_S = 120.0
STOP_WITHIN_S = 40.0
_STOPPING = (signal.SIGINT, signal.SIGTERM)


class NotRunning(TocsinError):
    """Something needs a Tocsin in this process, and there is none."""


class AlertManager:
    """A whole Tocsin inside your process, from one configuration file.

    >>> manager = AlertManager.from_config("tenant_config.yaml")  # doctest: +SKIP
    >>> manager.start_monitoring()  # doctest: +SKIP

    `start_monitoring` returns once the server is ready; the process then lives until
    `stop()`, SIGTERM or Ctrl-C, even after the end of your own script. Safe to call from
    any thread; signals are handled only when it was called from the main thread.
    """

    def __init__(self, path: Path, loaded: Loaded) -> None:
        """Prefer `from_config`, which reads and checks the file first."""
        self._path = path
        self._loaded = loaded
        self._runtime: Runtime | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._stopping: asyncio.Event | None = None
        self._thread: threading.Thread | None = None
        self._ready = threading.Event()
        self._failure: BaseException | None = None
        self._before: dict[int, Callable[[int, FrameType | None], Any] | int | None] = {}
        self._script_is_over = False
        self.process = ProcessMetrics()
        """Where the metrics of this program are handed in."""

    @classmethod
    def from_config(cls, path: str | Path) -> Self:
        """Read `path`, a tocsin.yaml or its single-tenant short form.

        Raises ConfigError with every fault of the file, each with file, line and column.
        """
        manager = cls(Path(path), load(path))
        _newest[:] = [weakref.ref(manager)]
        return manager

    @property
    def url(self) -> str:
        """Return the address the server listens on. Raises NotRunning before the start."""
        if self._runtime is None or not self._runtime.ready():
            raise NotRunning("call start_monitoring() first")
        return self._runtime.url

    @property
    def tenants(self) -> tuple[str, ...]:
        """Return the tenants of the configuration."""
        return tuple(tenant.id for tenant in self._loaded.config.tenants)

    def start_monitoring(self) -> None:
        """Start the server on a thread of its own and return once it is ready.

        Raises what kept it from starting: ConfigError, TocsinError, OSError. Calling it again
        while it runs does nothing.
        """
        if self._thread is not None and self._thread.is_alive():
            return
        self._ready.clear()
        self._failure = None
        self._thread = threading.Thread(target=self._main, name="tocsin")
        self._thread.start()
        _at_the_end_of_the_script(self._outlive)
        if not self._ready.wait(START_WITHIN_S):
            self.stop()
            raise NotRunning(f"Tocsin was not ready within {START_WITHIN_S:.0f} s")
        failure = self._failed_with()
        if failure is not None:
            self._thread.join()
            raise failure
        if _in_main_thread():
            self._before = {n: signal.signal(n, self._on_signal) for n in _STOPPING}

    def stop(self) -> None:
        """Stop cleanly: nothing new is taken, what was taken is made durable. Idempotent."""
        if _newest and _newest[0]() is self:
            _newest.clear()
        self._ask_to_stop()
        if self._thread is not None and self._thread is not threading.current_thread():
            self._thread.join(STOP_WITHIN_S)
        if _in_main_thread():
            for number, handler in self._before.items():
                signal.signal(number, handler)
            self._before.clear()

    def __enter__(self) -> Self:
        """Start on entering a `with` block."""
        self.start_monitoring()
        return self

    def __exit__(self, *exc: object) -> None:
        """Stop on leaving it."""
        del exc
        self.stop()

    def _failed_with(self) -> BaseException | None:
        return self._failure

    def _main(self) -> None:
        try:
            with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
                runner.run(self._serve())
        except BaseException as error:  # noqa: BLE001 - handed to the caller of start_monitoring
            self._failure = error
        finally:
            self._ready.set()

    async def _serve(self) -> None:
        self._loop, self._stopping = asyncio.get_running_loop(), asyncio.Event()
        self._runtime = Runtime(lambda: load(self._path), process=self.process)
        await self._runtime.start()
        self._ready.set()
        await self._stopping.wait()
        await self._runtime.stop()

    def _on_signal(self, number: int, frame: FrameType | None) -> None:
        """Stop the server; while the script runs, end that too, as it would without us."""
        self._ask_to_stop()
        before = self._before.get(number)
        if self._script_is_over:
            return
        if callable(before):
            before(number, frame)
        elif before is signal.SIG_DFL:
            raise SystemExit(128 + number)

    def _outlive(self) -> None:
        """Wait, at the end of the script, until the server is stopped."""
        self._script_is_over = True
        if self._thread is not None:
            self._thread.join()

    def _ask_to_stop(self) -> None:
        if self._loop is not None and self._stopping is not None and not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._stopping.set)


def _in_main_thread() -> bool:
    return threading.current_thread() is threading.main_thread()


def _at_the_end_of_the_script(wait: Callable[[], None]) -> None:
    """Keep the interpreter whole until `wait` returns, although the main script has ended.

    After the last line the interpreter shuts its thread pools before it waits for threads, and
    nothing could be written any more. A call registered later than those of the pools is made
    before them; `concurrent.futures` registers its own in just this way.
    """
    threading._register_atexit(wait)  # type: ignore[attr-defined]  # noqa: SLF001


class MetricsCollector(collector.MetricsCollector):
    """Counters, gauges and histograms of this program, for one tenant.

    >>> metrics = MetricsCollector(tenant_id="spotify_tenant_1")  # doctest: +SKIP
    >>> metrics.inc("playlist_saves", surface="home")  # doctest: +SKIP

    Works before `start_monitoring` and from any thread: values wait until they are asked for.
    """

    def __init__(
        self, tenant_id: str, *, sink: ProcessSink | None = None, job: str = "", instance: str = ""
    ) -> None:
        """Count for `tenant_id`; without `sink`, for the AlertManager made last in this process.

        Raises NotRunning when there is none, or it does not know the tenant; InvalidTenant.
        """
        chosen = sink if sink is not None else _process_of(checked_tenant(tenant_id))
        super().__init__(tenant_id, sink=chosen, job=job, instance=instance)


_newest: list[weakref.ref[AlertManager]] = []
"""The AlertManager made last in this process and not stopped, for collectors that name none."""


def _process_of(tenant: str) -> ProcessMetrics:
    manager = _newest[0]() if _newest else None
    if manager is None:
        raise NotRunning(
            "MetricsCollector has nowhere to put samples: make an AlertManager in this process "
            "first (AlertManager.from_config(...)), or pass sink="
        )
    if tenant not in manager.tenants:
        known = ", ".join(manager.tenants)
        raise NotRunning(f"tenant {tenant!r} is not in the configuration, which has: {known}")
    return manager.process
