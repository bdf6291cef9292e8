"""What Go prints, template by template; golden/main.go wrote the expected outputs."""

import json
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from tocsin.templating import functions_prometheus as prometheus
from tocsin.templating.engine import Budget, TemplateError, TemplateSet
from tocsin.templating.functions_alertmanager import alertmanager_functions, must_to_date
from tocsin.templating.values import StringMap, Struct

AT = datetime(2026, 3, 1, 9, 5, 7, 123456, tzinfo=UTC)
FILES = Path(__file__).with_name("golden")
UNITS = {"ms": "milliseconds", "s": "seconds", "h": "hours"}


def dur(text: str) -> timedelta:
    number = text.rstrip("smh")
    return timedelta(**{UNITS[text[len(number) :]]: float(number)})


def f64(value: float) -> float:
    return value


def fset(text: str) -> float:
    return float(text)


FUNCTIONS: Mapping[str, Callable[..., Any]] = {
    **alertmanager_functions(lambda: AT),
    "dur": dur,
    "f64": f64,
    "fset": fset,
    "title": prometheus.title,
    "toDate": must_to_date,
}
ROOT = Struct(
    "main.root",
    {
        "S": "a<b>&\"'c",
        "N": 42,
        "F": 3.14,
        "B": True,
        "M": StringMap({"k": "v", "a": "1"}),
        "A": {"x": 1, "y": "z", "n": None, "l": [1, "a", None, 2.5, True], "m": {"q": 1.0}},
        "L": ["x", "y", "z"],
        "LA": [1, "b"],
        "T": AT,
        "D": timedelta(minutes=90, milliseconds=5),
        "Nil": None,
        "Alerts": [
            Struct(
                "main.alert",
                {
                    "Status": "firing",
                    "Labels": StringMap({"a": "b"}),
                    "StartsAt": AT.replace(microsecond=0),
                },
            )
        ],
        "Pair": Struct("main.pair", {"Name": "n", "Value": "v"}),
    },
)
TEMPLATES = TemplateSet(FUNCTIONS, budget=Budget())


def cases(name: str) -> list[Any]:
    found = json.loads((FILES / f"{name}.json").read_text(encoding="utf-8"))
    return [pytest.param(each["template"], each["output"], id=each["template"]) for each in found]


def check(template: str, output: str | None, *, html: bool) -> None:
    if output is None:
        with pytest.raises(TemplateError):
            TEMPLATES.render(template, ROOT, html=html)
    else:
        assert TEMPLATES.render(template, ROOT, html=html) == output


@pytest.mark.parametrize(("template", "output"), cases("text"))
def test_text_is_what_go_prints(template: str, output: str | None) -> None:
    check(template, output, html=False)


@pytest.mark.parametrize(("template", "output"), cases("html"))
def test_html_is_what_go_prints(template: str, output: str | None) -> None:
    check(template, output, html=True)
