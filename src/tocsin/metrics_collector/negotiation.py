"""Which formats targets are asked for, and how they are to write names.

Source: Prometheus documentation, "Configuration", `scrape_protocols`, and "Content
negotiation".
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from tocsin.model.settings import Finding

_PROTOBUF = "PrometheusProto"
_TYPES = {
    "OpenMetricsText1.0.0": "application/openmetrics-text;version=1.0.0",
    "OpenMetricsText0.0.1": "application/openmetrics-text;version=0.0.1",
    "PrometheusText1.0.0": "text/plain;version=1.0.0",
    "PrometheusText0.0.4": "text/plain;version=0.0.4",
}
_ESCAPABLE = ("OpenMetricsText1.0.0", "PrometheusText1.0.0")
PROTOCOLS = (*_TYPES, _PROTOBUF)
VALIDATIONS = ("utf8", "legacy")
UTF8, UNDERSCORES = "allow-utf-8", "underscores"
ESCAPINGS = (UTF8, UNDERSCORES, "dots", "values")


def accept(protocols: Sequence[str], *, validation: str = "", escaping: str = "") -> str:
    """Return the Accept header that asks for these formats, the best one first; () for all.

    >>> accept(["PrometheusText0.0.4"])
    'text/plain;version=0.0.4;q=0.6,*/*;q=0.5'
    """
    wanted = [name for name in protocols if name in _TYPES] or list(_TYPES)
    scheme = escaping or (UNDERSCORES if validation == "legacy" else UTF8)
    weight, parts = len(PROTOCOLS) + 1, []
    for name in wanted:
        told = f";escaping={scheme}" if name in _ESCAPABLE else ""
        parts.append(f"{_TYPES[name]}{told};q=0.{weight}")
        weight -= 1
    return ",".join((*parts, f"*/*;q=0.{weight}"))


def is_openmetrics(content_type: str, fallback: str) -> bool:
    """Tell whether a page is OpenMetrics; what does not tell is read as `fallback` says.

    >>> is_openmetrics("", "OpenMetricsText1.0.0"), is_openmetrics("text/plain", "")
    (True, False)
    """
    kind = content_type.partition(";")[0].strip().lower()
    if kind in ("application/openmetrics-text", "text/plain"):
        return kind != "text/plain"
    return fallback.startswith("OpenMetrics")


def check_negotiation(
    protocols: Sequence[str], fallback: str, *, validation: str, escaping: str
) -> Iterator[Finding]:
    """Return what is wrong with formats and schemes."""
    for index, name in enumerate(protocols):
        if name not in PROTOCOLS:
            message = f'unknown scrape protocol "{name}" (known: {", ".join(PROTOCOLS)})'
            yield Finding(("scrape_protocols", index), message)
        elif name in protocols[:index]:
            yield Finding(("scrape_protocols", index), f'"{name}" stands there twice')
    if fallback and fallback not in _TYPES:
        message = f'"{fallback}" cannot be fallen back to (known: {", ".join(_TYPES)})'
        yield Finding(("fallback_scrape_protocol",), message)
    yield from _check_scheme("metric_name_validation_scheme", validation, VALIDATIONS)
    yield from _check_scheme("metric_name_escaping_scheme", escaping, ESCAPINGS)
    if validation == "legacy" and escaping == UTF8:
        message = f"{UTF8} needs metric_name_validation_scheme: utf8"
        yield Finding(("metric_name_escaping_scheme",), message)


def notes_on_negotiation(protocols: Sequence[str]) -> Iterator[Finding]:
    """Return which formats are accepted and never asked for."""
    for index, name in enumerate(protocols):
        if name == _PROTOBUF:
            message = "PrometheusProto has no effect: text formats are asked for"
            yield Finding(("scrape_protocols", index), message)


def _check_scheme(name: str, given: str, known: Sequence[str]) -> Iterator[Finding]:
    if given and given not in known:
        yield Finding((name,), f"{name} must be one of {', '.join(known)}")
