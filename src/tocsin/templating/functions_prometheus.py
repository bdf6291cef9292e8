"""The functions of Prometheus' alerting-rule templates.

Source: Prometheus documentation, "Template reference".
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from tocsin.model.duration import parse_duration
from tocsin.model.errors import InvalidInput
from tocsin.templating import humanize
from tocsin.templating.builtins import query_escape
from tocsin.templating.calls import Run
from tocsin.templating.functions_alertmanager import match, re_replace_all, to_lower, to_upper
from tocsin.templating.values import Kind, SafeHtml, StringMap, Struct, kind, type_name

_WORD_START = re.compile(r"(?<!\w|[^\x00-\x7f\s])\w")
_HOST_PORT = re.compile(r"(?:\[([^\[\]]*)\]|([^:\[\]]*)):([^:\[\]]*)")


@dataclass(frozen=True, slots=True)
class QuerySample:
    """One element of a query's answer: its labels and its value."""

    labels: Mapping[str, str]
    value: float


Query = Callable[[str], Sequence[QuerySample]]


def sample(found: QuerySample) -> Struct:
    """Return a sample as templates see it: `.Labels` and `.Value`."""
    fields = {"Labels": StringMap(found.labels), "Value": found.value}
    return Struct("*template.sample", fields)


def first(samples: list[object]) -> object:
    """Return the first sample. Raises InvalidInput when there is none."""
    if not samples:
        raise InvalidInput("first() called on vector with no elements")
    return samples[0]


def label(name: str, of: object) -> str:
    """Return the value of label `name`, "" when it is absent."""
    labels = _sample(of).fields["Labels"]
    return labels.get(name, "") if isinstance(labels, StringMap) else ""


def value(of: object) -> object:
    """Return the value of a sample."""
    return _sample(of).fields["Value"]


def strvalue(of: object) -> str:
    """Return the `__value__` label of a sample."""
    return label("__value__", of)


def sort_by_label(name: str, samples: list[object]) -> list[object]:
    """Return the samples sorted by the value of label `name`; equal ones keep their order."""
    return sorted(samples, key=lambda each: label(name, each))


def title(text: str) -> str:
    """Return `text` with the first letter of each word in upper case."""
    return _WORD_START.sub(lambda letter: letter[0].title(), text)


def safe_html(text: str) -> str:
    """Return `text` marked as HTML."""
    return SafeHtml(text)


def args(*values: object) -> dict[str, object]:
    """Return the values as a map of arg0, arg1 and so on."""
    return {f"arg{index}": each for index, each in enumerate(values)}


def tmpl(run: Run, name: str, data: object) -> str:
    """Return what the template called `name` makes of `data`."""
    return SafeHtml(run.expand(name, data))


def graph_link(expr: str) -> str:
    """Return the path of the expression browser's graph of `expr`."""
    return f"/graph?g0.expr={query_escape(expr)}&g0.tab=0"


def table_link(expr: str) -> str:
    """Return the path of the expression browser's table of `expr`."""
    return f"/graph?g0.expr={query_escape(expr)}&g0.tab=1"


def strip_port(host_port: str) -> str:
    """Return `host:port` without the port; anything else as it is."""
    found = _HOST_PORT.fullmatch(host_port)
    return (found[1] or found[2] or "") if found else host_port


def strip_domain(host_port: str) -> str:
    """Return `host.domain:port` without the domain; an address as it is."""
    found = _HOST_PORT.fullmatch(host_port)
    host, port = (found[1] or found[2] or "", found[3]) if found else (host_port, "")
    if _is_address(host):
        return host_port
    host = host.partition(".")[0]
    return f"{host}:{port}" if port else host


def duration_seconds(text: str) -> float:
    """Return a Prometheus duration such as `1h30m` in seconds."""
    sign = -1.0 if text.startswith("-") else 1.0
    return sign * parse_duration(text.removeprefix("-")).total_seconds()


def prometheus_functions(*, query: Query, external_url: str) -> Mapping[str, Callable[..., Any]]:
    """Return the functions of rule templates.

    `query` answers an instant query at the time of the evaluation; what it raises from
    TocsinError's tree becomes a TemplateError.
    """

    def run_query(expr: str) -> list[Struct]:
        return [sample(found) for found in query(expr)]

    def path_prefix() -> str:
        return urlsplit(external_url).path

    return {
        "args": args,
        "externalURL": lambda: external_url,
        "first": first,
        "graphLink": graph_link,
        "humanize": humanize.humanize,
        "humanize1024": humanize.humanize_1024,
        "humanizeDuration": humanize.humanize_duration,
        "humanizePercentage": humanize.humanize_percentage,
        "humanizeTimestamp": humanize.humanize_timestamp,
        "label": label,
        "match": match,
        "parseDuration": duration_seconds,
        "pathPrefix": path_prefix,
        "query": run_query,
        "reReplaceAll": re_replace_all,
        "safeHtml": safe_html,
        "sortByLabel": sort_by_label,
        "stripDomain": strip_domain,
        "stripPort": strip_port,
        "strvalue": strvalue,
        "tableLink": table_link,
        "title": title,
        "tmpl": tmpl,
        "toLower": to_lower,
        "toTime": humanize.to_time,
        "toUpper": to_upper,
        "value": value,
    }


def _sample(of: object) -> Struct:
    if kind(of) is Kind.STRUCT and isinstance(of, Struct) and "Labels" in of.fields:
        return of
    raise InvalidInput(f"wrong type for value; expected a sample; got {type_name(of)}")


def _is_address(host: str) -> bool:
    try:
        ipaddress.ip_address(host.partition("%")[0])
    except ValueError:
        return False
    return True
