"""The configuration in force as YAML: defaults filled in, secrets shown as `<secret>`.

`original_yaml` is what `GET /api/v2/status` gives as `config.original`. Clients parse it:
amtool 0.25 refuses keys it does not know, so keys younger than it appear only where they
differ from their default, and a secret URL keeps a scheme.
"""

from __future__ import annotations

import enum
from collections.abc import Mapping
from typing import Any

import msgspec
import yaml

from tocsin.config_loader.describe import default_of
from tocsin.config_loader.loaded import AlertmanagerSettings, Config, TenantSettings
from tocsin.config_loader.schema import AlertmanagerFile
from tocsin.config_loader.secret_files import twins
from tocsin.model.secret import MASK, Secret
from tocsin.model.settings import ByteSize, Duration
from tocsin.rule_engine.config import RuleFile

# contracts/alertmanager.md, section 8: keys that came after 0.25 and have a default that shows.
_YOUNGER = frozenset(
    ("slack_app_url", "rocketchat_api_url", "timeout", "update_message", "app_url", "threading")
)


def original_yaml(settings: AlertmanagerSettings) -> str:
    """Return a tenant's routing and receivers as a valid alertmanager.yml."""
    return _dump(_alertmanager(settings.file))


def effective_yaml(config: Config) -> str:
    """Return the whole configuration, in the long form, files included inline."""
    sections = {name: masked(getattr(config, name)) for name in ("server", "storage", "log")}
    tenants = [_tenant(tenant) for tenant in config.tenants]
    return _dump({**sections, "reload": masked(config.reload), "tenants": tenants})


def rules_yaml(rules: RuleFile) -> str:
    """Return a rule file as Prometheus reads it."""
    return _dump(masked(rules))


def prometheus_yaml(tenant: TenantSettings) -> str:
    """Return what a tenant scrapes and evaluates under the keys of a prometheus.yml."""
    metrics, rules = masked(tenant.metrics), masked(tenant.rule_settings)
    jobs = metrics.pop("scrape_configs", [])
    names = [name for name in tenant.rule_files if not name.startswith("pack:")]
    sections = {"global": {**metrics, **rules}, "rule_files": names, "scrape_configs": jobs}
    return _dump({key: value for key, value in sections.items() if value})


def masked(value: Any) -> Any:
    """Return plain data for a struct: secrets masked, defaults filled in, empty ones left out."""
    if isinstance(value, Secret | Duration | ByteSize | enum.StrEnum):
        return str(value)
    if isinstance(value, msgspec.Struct):
        return _struct(value)
    if isinstance(value, Mapping):
        return {str(key): masked(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [masked(item) for item in value]
    return value


def _struct(value: msgspec.Struct) -> dict[str, Any]:
    from_files = {name for name in twins(type(value)) if getattr(value, f"{name}_file")}
    out: dict[str, Any] = {}
    for field in msgspec.structs.fields(value):
        item = getattr(value, field.name)
        if field.name in from_files or _left_out(field, item):
            continue
        plain = masked(item)
        is_url = isinstance(item, Secret) and field.name == "url"
        out[field.encode_name] = f"http://{MASK}" if is_url else plain
    return out


def _left_out(field: msgspec.structs.FieldInfo, value: Any) -> bool:
    if field.required:
        return False
    default = default_of(field)
    return bool(value == default) and (not default or field.encode_name in _YOUNGER)


def _alertmanager(file: AlertmanagerFile) -> dict[str, Any]:
    """Return the sections in the order people know; null rules mean nothing and are left out."""
    sections = masked(file)
    if "inhibit_rules" in sections:
        sections["inhibit_rules"] = [rule for rule in sections["inhibit_rules"] if rule]
    first = ("global", "route")
    return {key: sections[key] for key in (*first, *sorted(sections.keys() - first))}


def _tenant(tenant: TenantSettings) -> dict[str, Any]:
    """Return an entry of `tenants`; its rule files are shown inline, as one list of groups."""
    return {
        "id": str(tenant.id),
        "name": tenant.name,
        "tokens": [masked(token) for token in tenant.tokens],
        **masked(tenant.metrics),
        **masked(tenant.rule_settings),
        **({"backend": masked(tenant.backend.config)} if tenant.backend else {}),
        "groups": [masked(loaded.group) for loaded in tenant.rules],
        "alertmanager": _alertmanager(tenant.alertmanager.file),
    }


def _dump(data: Any) -> str:
    return yaml.dump(
        data,
        Dumper=_Dumper,
        sort_keys=False,
        allow_unicode=True,
        default_flow_style=False,
        width=100,
    )


class _Dumper(yaml.SafeDumper):
    """Writes block style without anchors, which not every reader takes."""

    def ignore_aliases(self, data: Any) -> bool:
        """Write a value that occurs twice twice."""
        return True
