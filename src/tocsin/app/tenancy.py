"""Tenants come, change and go while the house runs. From the receivers up, and down again."""

from __future__ import annotations

from dataclasses import dataclass

from tocsin.app.pipeline import House
from tocsin.app.rule_uploads import RuleUploads
from tocsin.config_loader.loaded import TenantSettings
from tocsin.config_loader.schema import defaults_of, receivers_of
from tocsin.model.clock import Clock
from tocsin.model.tenant import TenantId
from tocsin.notification_dispatcher.receivers import Receivers
from tocsin.notification_dispatcher.registry import Providers
from tocsin.notification_dispatcher.render import template_set
from tocsin.rule_engine.schedule import TenantRules


@dataclass(frozen=True, slots=True)
class Tenancy:
    """Starts, reloads and stops what belongs to one tenant, in every stage."""

    house: House
    uploads: RuleUploads
    providers: Providers
    clock: Clock

    async def start(self, settings: TenantSettings, external_url: str) -> None:
        """Recover a tenant and begin to work for it: receivers first, metrics last."""
        tenant, house = settings.id, self.house
        house.budgets.put(tenant, settings.query)
        self._receive(settings)
        await house.correlate.start(tenant)
        await house.notify.start(tenant, self.receivers(settings, external_url))
        await house.alerts.start(tenant, settings.alertmanager.engine)
        await house.backends.start(tenant, settings.backend)
        await self.uploads.put_in_force(tenant, rules_of(settings, external_url))
        await house.metrics.start(tenant, settings.metrics)

    async def reload(self, settings: TenantSettings, external_url: str) -> None:
        """Put new settings of a running tenant in force; what is unchanged runs on."""
        tenant, house = settings.id, self.house
        house.budgets.put(tenant, settings.query)
        self._receive(settings)
        house.notify.reload(tenant, self.receivers(settings, external_url))
        await house.alerts.reload(tenant, settings.alertmanager.engine)
        await house.backends.reload(tenant, settings.backend)
        await self.uploads.put_in_force(tenant, rules_of(settings, external_url))
        await house.metrics.reload(tenant, settings.metrics)

    def _receive(self, settings: TenantSettings) -> None:
        metrics, ahead = settings.metrics, settings.metrics.max_sample_ahead
        self.house.received.configure(settings.id, ahead=ahead)
        self.house.otlp.configure(settings.id, metrics.otlp, ahead=ahead)

    async def stop(self, tenant: TenantId) -> None:
        """Stop working for a tenant; what it has stays on disk."""
        house = self.house
        await house.metrics.stop(tenant)
        house.received.forget(tenant)
        house.otlp.forget(tenant)
        await self.uploads.forget(tenant)
        await house.rules.stop(tenant)
        await house.backends.stop(tenant)
        await house.alerts.stop_tenant(tenant)
        await house.notify.stop_tenant(tenant)
        house.correlate.stop(tenant)
        house.budgets.forget(tenant)

    async def stop_all(self) -> None:
        """Stop every tenant: nothing new comes in, then what is known is made durable."""
        house = self.house
        await house.metrics.stop_all()
        await house.rules.stop_all()
        await house.backends.stop_all()
        await house.alerts.stop()
        await house.notify.stop()

    def receivers(self, settings: TenantSettings, external_url: str) -> Receivers:
        """Return the tenant's receivers with its templates. Raises TemplateError."""
        written = settings.alertmanager
        templates = template_set(self.clock.now)
        for template in written.templates:
            templates.add(template.text, name=template.file)
        return Receivers(
            receivers=receivers_of(written.file),
            defaults=defaults_of(written.file),
            templates=templates,
            external_url=external_url,
            providers=self.providers,
        )


def rules_of(settings: TenantSettings, external_url: str) -> TenantRules:
    """Return the tenant's configured rules as the rule stage takes them."""
    return TenantRules(settings.rule_files, settings.rule_settings, external_url)
