"""A page that does not tell its format is read as the job says."""

from __future__ import annotations

from datetime import timedelta

import pytest

from tocsin.metrics_collector.ports import Page
from tocsin.metrics_collector.scrape import TargetSeries
from tocsin.metrics_collector.target import Target
from tocsin.model.labels import Labels
from tocsin.model.settings import Duration

MINUTE = Duration(minutes=1)
WHO = Labels.of({"job": "shop", "instance": "web:80"})


def error_of(body: bytes, content_type: str, fallback: str) -> str:
    target = Target("shop", "http://web/", MINUTE, MINUTE, WHO, WHO, fallback=fallback)
    page = Page(200, {"content-type": content_type} if content_type else {}, body)
    return TargetSeries(target).take(page, took=timedelta(0)).error


@pytest.mark.parametrize(
    ("content_type", "fallback", "read"),
    [
        ("", "", True),
        ("text/html", "PrometheusText0.0.4", True),
        ("text/plain", "OpenMetricsText1.0.0", True),
        ("", "OpenMetricsText1.0.0", False),
        ("application/openmetrics-text", "", False),
    ],
)
def test_only_openmetrics_must_end_with_eof(
    content_type: str, fallback: str, *, read: bool
) -> None:
    assert (error_of(b"a 1\n", content_type, fallback) == "") is read
    assert error_of(b"a 1\n# EOF\n", content_type, fallback) == ""
