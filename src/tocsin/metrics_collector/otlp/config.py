"""How OTLP metrics become series, as the `otlp` section of a configuration writes it.

Source: Prometheus documentation, "Configuration", `otlp`.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from enum import StrEnum

from tocsin.metrics_collector.http_config import Section
from tocsin.model.settings import Finding


class TranslationStrategy(StrEnum):
    """What becomes of names that are no names of Prometheus 2, and whether units are told."""

    ESCAPED_WITH_SUFFIXES = "UnderscoreEscapingWithSuffixes"
    ESCAPED = "UnderscoreEscapingWithoutSuffixes"
    WITH_SUFFIXES = "NoUTF8EscapingWithSuffixes"
    AS_SENT = "NoTranslation"

    @property
    def escapes(self) -> bool:
        """Tell whether characters beyond letters, digits, `_` and `:` become `_`."""
        return self.value.startswith("Underscore")

    @property
    def suffixes(self) -> bool:
        """Tell whether names get unit and type as suffixes."""
        return self.value.endswith("WithSuffixes")


class OtlpConfig(Section, frozen=True, kw_only=True):
    """How metrics that come by OTLP are named and labelled."""

    promote_resource_attributes: tuple[str, ...] = ()
    """Resource attributes that become labels of every series of the resource."""
    promote_all_resource_attributes: bool = False
    """Make every resource attribute a label, but those ignored."""
    ignore_resource_attributes: tuple[str, ...] = ()
    """Resource attributes that become no labels where all the others do."""
    keep_identifying_resource_attributes: bool = False
    """Keep `service.name`, `service.namespace` and `service.instance.id` as labels of
    `target_info`, beside `job` and `instance`."""
    promote_scope_metadata: bool = False
    """Add `otel_scope_name`, `otel_scope_version`, `otel_scope_schema_url` and the attributes
    of the instrumentation scope to every series."""
    translation_strategy: TranslationStrategy = TranslationStrategy.ESCAPED_WITH_SUFFIXES
    """Whether names are escaped with underscores, and get unit and type as suffixes."""
    label_name_underscore_sanitization: bool = True
    """Put `key` before label names that begin with one underscore, when names are escaped."""
    label_name_preserve_multiple_underscores: bool = True
    """Leave underscores that follow each other in label names, when names are escaped."""
    convert_histograms_to_nhcb: bool = False
    """Accepted; histograms stay classic."""


def check_otlp(config: OtlpConfig) -> Iterator[Finding]:
    """Return what is wrong with the section."""
    if config.promote_all_resource_attributes and config.promote_resource_attributes:
        message = "promote_all_resource_attributes and promote_resource_attributes exclude another"
        yield Finding(("promote_resource_attributes",), message)
    if config.ignore_resource_attributes and not config.promote_all_resource_attributes:
        message = "ignore_resource_attributes needs promote_all_resource_attributes: true"
        yield Finding(("ignore_resource_attributes",), message)
    for name in ("promote_resource_attributes", "ignore_resource_attributes"):
        for finding in _check_names(getattr(config, name)):
            yield finding.under(name)


def _check_names(names: Sequence[str]) -> Iterator[Finding]:
    for index, name in enumerate(names):
        if not name.strip():
            yield Finding((index,), "the name of a resource attribute is empty")
        elif name in names[:index]:
            yield Finding((index,), f'the resource attribute "{name}" stands there twice')
