"""Start, reload, drain, stop. What was opened last is closed first.

The listener opens before recovery and answers 503 until every tenant is back, so that a load
balancer sees a server that is coming, not one that is gone. A reload builds the new world,
then swaps; a file that is refused changes nothing.
"""

from __future__ import annotations

import asyncio
import gc
import signal
from collections.abc import Callable, Iterator
from contextlib import AsyncExitStack, contextmanager, suppress

import uvloop

from tocsin.app.access import access_of
from tocsin.app.chores import Chores
from tocsin.app.clock import SystemClock
from tocsin.app.keeping import keep, keeping_of
from tocsin.app.overrides import Overrides
from tocsin.app.wiring import Desk, Hooks, furnish
from tocsin.config_loader.loaded import Config, Loaded, TenantSettings
from tocsin.config_loader.report import Refused
from tocsin.config_loader.watch import changes
from tocsin.metrics_collector.process import ProcessMetrics
from tocsin.model.errors import TocsinError
from tocsin.model.tenant import TenantId
from tocsin.telemetry.logs import get_logger, set_up
from tocsin.timeseries.options import Keeping

Load = Callable[[], Loaded]
_FIXED = (  # what only a restart can change
    ("server", "listen"),
    ("server", "route_prefix"),
    ("server", "admin_api"),
    ("storage", "path"),
    ("reload", "watch"),
)
_STOPPING = (signal.SIGTERM, signal.SIGINT)
_log = get_logger("app")


class Runtime:
    """One running Tocsin. `start`, `reload` and `stop` belong to one event loop."""

    def __init__(
        self,
        load: Load,
        overrides: Overrides | None = None,
        *,
        process: ProcessMetrics | None = None,
    ) -> None:
        """Run what `load` gives; it is called again at every reload, in a thread.

        `process` holds the metrics of the program that runs us.
        """
        self._load = load
        self._overrides = overrides or Overrides()
        self._process = process or ProcessMetrics()
        self._opened = AsyncExitStack()
        self._reloading = asyncio.Lock()
        self._desk: Desk | None = None
        self._ready = False

    @property
    def desk(self) -> Desk:
        """Return what is in force. Raises RuntimeError before the start."""
        if self._desk is None:
            raise RuntimeError("this Tocsin has not been started")
        return self._desk

    @property
    def url(self) -> str:
        """Return the address of the first listener, route prefix included."""
        return f"{self.desk.listener.url}{self.desk.door.prefix}"

    def ready(self) -> bool:
        """Return true between the end of recovery and the beginning of the stop."""
        return self._ready

    async def start(self) -> None:
        """Open everything and recover every tenant; closes again what it opened when it fails.

        Raises ConfigError, TocsinError, OSError.
        """
        async with AsyncExitStack() as opened:
            loaded = await asyncio.to_thread(self._load)
            config = self._overrides.applied(loaded.config)
            self._say(config, loaded)
            hooks = Hooks(self.ready, self.reload, self._settings, self._keeping, self._process)
            self._desk = desk = await furnish(config, loaded.sources, hooks, opened)
            keep(desk.series, config)
            for tenant in config.tenants:
                await desk.tenancy.start(tenant, self._external_url(config, tenant.id))
            desk.instruments.loaded(loaded.hash, SystemClock().now())
            self._opened = opened.pop_all()
        self._work_in_background(desk)
        self._ready = True
        _log.info("ready", tenants=len(config.tenants), url=self.url)

    async def reload(self) -> None:
        """Load the configuration anew and put it in force.

        Raises ConfigError, TocsinError or OSError: logged and counted, and the old one stays.
        """
        async with self._reloading:
            try:
                await self._put_in_force(await asyncio.to_thread(self._load))
            except Refused as error:
                self.desk.sources = error.sources  # what would mend it may be a new file
                self._note_refusal(error)
                raise
            except (TocsinError, OSError) as error:
                self._note_refusal(error)
                raise

    def _note_refusal(self, error: Exception) -> None:
        self.desk.instruments.refused()
        _log.error("configuration refused, the old one stays", problems=str(error))

    async def stop(self) -> None:
        """Take nothing more, make durable what was taken, close. Idempotent."""
        self._ready = False
        await self._opened.aclose()
        _log.info("stopped")

    def _settings(self, tenant: TenantId) -> TenantSettings:
        return self.desk.settings(tenant)

    def _keeping(self, tenant: TenantId) -> Keeping:
        return keeping_of(self._settings(tenant).tsdb, self.desk.config.storage)

    def _say(self, config: Config, loaded: Loaded) -> None:
        set_up(level=config.log.level, style=config.log.format)
        for note in self._overrides.notes:
            _log.info("flag", note=note)
        for warning in loaded.warnings:
            _log.warn("configuration", warning=str(warning))

    async def _put_in_force(self, loaded: Loaded) -> None:
        """Bring every tenant to the new settings, then let callers in by the new tokens."""
        desk, config = self.desk, self._overrides.applied(loaded.config)
        self._say(config, loaded)
        for setting in _only_at_start(desk.config, config):
            _log.warn("takes effect at the next start", setting=setting)
        before, after = set(desk.tenants()), {tenant.id for tenant in config.tenants}
        await self._change_tenants(config)
        keep(desk.series, config)
        desk.config, desk.sources = config, loaded.sources
        desk.door.access = access_of(config)
        for gone in before - after:
            await desk.tenancy.stop(gone)
        desk.instruments.loaded(loaded.hash, SystemClock().now())
        _log.info("configuration in force", hash=loaded.hash[:12], tenants=len(config.tenants))

    async def _change_tenants(self, config: Config) -> None:
        """Start and reload tenants; when one fails, the others get their old settings back."""
        desk, old = self.desk, {tenant.id: tenant for tenant in self.desk.config.tenants}
        async with AsyncExitStack() as undo:
            for tenant in config.tenants:
                url = self._external_url(config, tenant.id)
                if before := old.get(tenant.id):
                    back = self._external_url(desk.config, tenant.id)
                    undo.push_async_callback(desk.tenancy.reload, before, back)
                    await desk.tenancy.reload(tenant, url)
                else:
                    undo.push_async_callback(desk.tenancy.stop, tenant.id)
                    await desk.tenancy.start(tenant, url)
            undo.pop_all()

    def _external_url(self, config: Config, tenant: TenantId) -> str:
        """Return the URL people reach a tenant under; several tenants have a mount each."""
        base = config.server.external_url.rstrip("/") or self.url
        return base if len(config.tenants) == 1 else f"{base}/t/{tenant}"

    def _work_in_background(self, desk: Desk) -> None:
        chores = Chores(
            series=desk.series,
            stores=desk.stores,
            clock=SystemClock(),
            gauges=desk.gauges,
            tenants=desk.tenants,
            history=lambda: desk.config.storage.history,
        )
        tasks = [asyncio.create_task(chores.run(), name="chores")]
        if desk.config.reload.watch:
            tasks.append(asyncio.create_task(self._watch(desk), name="watch"))

        async def end() -> None:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

        self._opened.push_async_callback(end)

    async def _watch(self, desk: Desk) -> None:
        """Reload whenever a file of the configuration has new content."""
        async for _ in changes(lambda: desk.sources):
            await self.try_reload()

    async def try_reload(self) -> None:
        """Reload; what goes wrong is logged and counted, and the old configuration stays."""
        with suppress(TocsinError, OSError):
            await self.reload()


def _only_at_start(old: Config, new: Config) -> list[str]:
    """Return the settings that differ and that only a restart can change."""
    return [
        f"{section}.{name}"
        for section, name in _FIXED
        if getattr(getattr(old, section), name) != getattr(getattr(new, section), name)
    ]


def serve_forever(load: Load, overrides: Overrides) -> int:
    """Run until SIGTERM or SIGINT; SIGHUP reloads. Return the exit status.

    Raises ConfigError, TocsinError or OSError when the start fails.
    """
    with _signals_given_back(), asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(_serve(Runtime(load, overrides)))


@contextmanager
def _signals_given_back() -> Iterator[None]:
    """Put back the signal handlers at the end; the loop leaves ones that do nothing."""
    before = {number: signal.getsignal(number) for number in (*_STOPPING, signal.SIGHUP)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


async def _serve(runtime: Runtime) -> int:
    loop, stop, hangup = asyncio.get_running_loop(), asyncio.Event(), asyncio.Event()
    for number in _STOPPING:
        loop.add_signal_handler(number, stop.set)
    loop.add_signal_handler(signal.SIGHUP, hangup.set)
    await runtime.start()
    gc.collect()
    gc.freeze()  # what was built at the start lives as long as the process
    reloader = asyncio.create_task(_reload_on(hangup, runtime), name="sighup")
    await stop.wait()
    reloader.cancel()
    await asyncio.gather(reloader, return_exceptions=True)
    await runtime.stop()
    return 0


async def _reload_on(hangup: asyncio.Event, runtime: Runtime) -> None:
    while True:
        await hangup.wait()
        hangup.clear()
        await runtime.try_reload()
