"""Sets of templates: adding, overriding, caching, calling functions."""

import gc
import weakref
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from tocsin.model.errors import InvalidInput, LimitExceeded
from tocsin.model.labels import Labels
from tocsin.templating import engine
from tocsin.templating.calls import Run
from tocsin.templating.data import KV
from tocsin.templating.engine import Budget, TemplateError, TemplateSet
from tocsin.templating.functions_alertmanager import alertmanager_functions
from tocsin.templating.gotime import ZERO
from tocsin.templating.values import StringMap, Struct


def new(**functions: Any) -> TemplateSet:
    return TemplateSet(functions, budget=Budget())


def test_a_file_of_defines_serves_later_texts() -> None:
    templates = new()
    templates.add('{{ define "hi" }}Hi {{ . }}{{ end }}', name="hi.tmpl")
    assert templates.render('{{ template "hi" . }}!', "Ada") == "Hi Ada!"
    assert "hi" in templates.names


def test_a_file_is_itself_a_template_under_its_name() -> None:
    templates = new()
    templates.add("body {{ . }}", name="whole.tmpl")
    assert templates.render('{{ template "whole.tmpl" 1 }}', None) == "body 1"


def test_a_users_define_overrides_a_default_one() -> None:
    templates = new()
    templates.add('{{ define "t" }}default{{ end }}', name="a")
    templates.add('{{ define "t" }}mine{{ end }}', name="b")
    assert templates.render('{{ template "t" }}', None) == "mine"


def test_a_blank_define_does_not_override_as_in_go() -> None:
    templates = new()
    templates.add('{{ define "t" }}default{{ end }}', name="a")
    templates.add('{{ define "t" }} \n{{ end }}', name="b")
    assert templates.render('{{ template "t" }}', None) == "default"


def test_a_define_in_a_rendered_text_stays_in_that_text() -> None:
    templates = new()
    templates.add('{{ define "t" }}set{{ end }}', name="a")
    assert templates.render('{{ define "t" }}own{{ end }}{{ template "t" }}', None) == "own"
    assert templates.render('{{ template "t" }}', None) == "set"


def test_a_file_with_a_fault_adds_nothing() -> None:
    templates = new()
    with pytest.raises(TemplateError, match=r"template: bad\.tmpl:2: "):
        templates.add('{{ define "t" }}x{{ end }}\n{{ nope }}', name="bad.tmpl")
    assert templates.names == ()


def test_an_error_inside_a_define_names_its_own_file_and_template() -> None:
    templates = new()
    templates.add('\n{{ define "t" }}\n{{ index . 9 }}{{ end }}', name="lib.tmpl")
    with pytest.raises(TemplateError) as caught:
        templates.render('{{ template "t" . }}', [1], name="main")
    assert str(caught.value) == (
        "template: lib.tmpl:3: executing 't': error calling index: index out of range: 9"
    )


def test_parsed_texts_are_kept_and_the_oldest_dropped(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engine, "_CACHED", 2)
    templates = new()
    for text in ("{{1}}", "{{2}}", "{{1}}", "{{3}}"):
        templates.render(text, None)
    assert [key[0] for key in templates._parsed] == ["{{1}}", "{{3}}"]


def test_check_parses_without_rendering() -> None:
    new().check("{{ .a.b.c }}")
    with pytest.raises(TemplateError):
        new().check("{{ . ", name="x")


def test_a_missing_name_is_an_error_with_a_place() -> None:
    with pytest.raises(TemplateError, match="template 'gone' not defined"):
        new().render('{{ template "gone" }}', None)


# ---- functions


def test_a_function_replaces_a_builtin_of_its_name() -> None:
    def shout(text: str) -> str:
        return text.upper()

    assert new(html=shout).render('{{ html "a" }}', None) == "A"


def everything(
    text: str, count: int, size: float, *, unused: object = None
) -> str:  # keyword-only parameters are no arguments of a template
    return f"{text}{count}{size}"


def many(first: str, *rest: int) -> str:
    return first + str(rest)


def optional(first: str, second: str = "b") -> str:
    return first + second


def lists(items: Sequence[str], pairs: Mapping[str, str]) -> str:
    return f"{len(items)}{len(pairs)}"


def times(at: datetime, span: timedelta, *, flag: bool = True) -> str:
    return str(at + span)


def twice() -> object:
    return lambda number: number * 2


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ('{{ everything "a" 1 2 }}', "a12.0"),
        ('{{ everything "a" 1.0 2.5 }}', "a12.5"),
        ('{{ many "a" 1 2 }}', "a(1, 2)"),
        ('{{ optional "a" }}{{ optional "a" "c" }}', "abac"),
        ("{{ lists .l .m }}", "21"),
        ("{{ times .t .d }}", "2026-01-01 00:00:01+00:00"),
        ("{{ (.t.Add .d).Second }}", "1"),
        ("{{ call twice 3 }}", "6"),
    ],
)
def test_arguments_are_fitted_to_the_annotations(text: str, shown: str) -> None:
    templates = new(
        everything=everything, many=many, optional=optional, lists=lists, times=times, twice=twice
    )
    data = {
        "l": ("a", "b"),
        "m": {"k": "v"},
        "t": datetime(2026, 1, 1, tzinfo=UTC),
        "d": timedelta(seconds=1),
    }
    assert templates.render(text, data) == shown


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("{{ everything 1 2 3 }}", "wrong type for value; expected string; got int"),
        ('{{ everything "a" 1.5 3 }}', "expected int; got float64"),
        ('{{ everything "a" true 3 }}', "expected int; got bool"),
        ('{{ everything "a" 1 }}', "wrong number of args for everything: want 3 got 2"),
        ("{{ many }}", "wrong number of args for many: want at least 1 got 0"),
        ("{{ optional nil }}", "invalid value; expected string"),
        ("{{ lists 1 2 }}", "expected a list; got int"),
        ("{{ optional . }}", "expected string; got map[string]interface {}"),
    ],
)
def test_arguments_that_do_not_fit_are_refused(text: str, reason: str) -> None:
    templates = new(everything=everything, many=many, optional=optional, lists=lists)
    with pytest.raises(TemplateError) as caught:
        templates.render(text, {})
    assert reason in str(caught.value)


def test_a_failing_function_is_an_error_with_its_name() -> None:
    def broken() -> str:
        raise LimitExceeded("query needs more samples than allowed")

    with pytest.raises(TemplateError, match="error calling broken: query needs more samples"):
        new(broken=broken).render("{{ broken }}", None)


def test_a_function_may_ask_for_the_run() -> None:
    def peek(run: Run, name: str) -> str:
        return f"{run.html} {run.root} {run.expand(name, 5)}"

    templates = new(peek=peek)
    templates.add('{{ define "t" }}<{{ . }}>{{ end }}', name="a")
    assert templates.render('{{ peek "t" }}', "root") == "False root <5>"


def test_a_callable_object_is_a_function() -> None:
    class Adder:
        def __call__(self, number: int) -> int:
            return number + 1

    assert new(inc=Adder()).render("{{ inc 4 }}", None) == "5"


def test_an_annotation_that_cannot_be_read_takes_everything() -> None:
    assert new(size=len).render('{{ size "abc" }}', None) == "3"


# ---- values


class Secretive:
    """A value with attributes that a template must not reach."""

    shared = "s3cr3t"

    def __init__(self) -> None:
        self.hidden = "s3cr3t"


@pytest.mark.parametrize("name", ["shared", "hidden", "__class__", "__init__", "__dict__"])
def test_python_attributes_cannot_be_reached(name: str) -> None:
    with pytest.raises(TemplateError, match="can't evaluate field"):
        new().render("{{ .x." + name + " }}", {"x": Secretive()})


def test_a_value_of_no_known_kind_prints_no_content() -> None:
    assert "s3cr3t" not in new().render("{{ . }}{{ printf `%v %T` . . }}", Secretive())


@pytest.mark.parametrize(
    ("text", "data", "shown"),
    [
        ("{{ .a }}|{{ .zz }}", Labels.of({"a": "1"}), "1|"),
        ("{{ . }}{{ range $k, $v := . }} {{ $k }}{{ $v }}{{ end }}",
         Labels.of({"b": "1", "a": "2"}), "map[a:2 b:1] a2 b1"),
        ("{{ . }}", {1: "a", "b": 2}, "map[1:a b:2]"),
        ("{{ .x }}", {}, "<no value>"),
        ('{{ index . "x" }}', StringMap({}), ""),
        ("{{ . }}", float("nan"), "NaN"),
        ("{{ . }}", float("inf"), "+Inf"),
        ("{{ printf `%5.1f|%05d|%+v` . 3 . }}", float("-inf"), " -Inf|00003|-Inf"),
        ("{{ . }}", 1e300, "1e+300"),
        ("{{ .Month.String }} {{ eq .Month 3 }}", datetime(2026, 3, 1, tzinfo=UTC), "March true"),
        ("{{ printf `%T %T %T` .a .b .c }}", {"a": ["x"], "b": [1], "c": StringMap({})},
         "[]string []interface {} map[string]string"),
        ("{{ printf `%d` . }}", timedelta(seconds=1), "1000000000"),
        ("{{ printf `%v` . }}", [datetime(2026, 3, 1, tzinfo=UTC)],
         "[2026-03-01 00:00:00 +0000 UTC]"),
        ("{{ printf `%x %X` . . }}", "hi", "6869 6869"),
        ("{{ printf `%*d|%*d` 3 1 -3 1 }}", None, "  1|1  "),
        ("{{ printf `%*d` `a` 1 }}", None, "%!(BADWIDTH)1"),
        ("{{ printf `%.*f` -1 1.5 }}", None, "%!(BADPREC)1.500000"),
        ("{{ printf `%9999999d` 1 }}", None, "%!(BADWIDTH)1"),
        ("{{ printf `%[5]d` 1 }}", None, "%!d(BADINDEX)"),
        ("{{ printf `%#x %#o %O %#q %#q` 255 8 8 `a` . }}", "a`b", "0xff 010 0o10 `a` \"a`b\""),
        ("{{ printf `%# x|%.1x|% X` . . . }}", "hi", "0x68 0x69|68|68 69"),
        ("{{ printf `%v %s` . . }}", Struct("t", {}), "{} {}"),
        ("{{ slice . 1 1 }}", [1, 2], "[]"),
    ],
)  # fmt: skip
def test_values_print_as_in_go(text: str, data: object, shown: str) -> None:
    assert new().render(text, data) == shown


@pytest.mark.parametrize(
    ("text", "data"),
    [
        ("{{ . }}{{ len . }}", b"bytes"),
        ("{{ range . }}{{ end }}", b"bytes"),
        ("{{ eq . . }}", b"x"),
        ("{{ index . true }}", [1]),
        ("{{ index . nil }}", [1]),
        ("{{ slice . 1 2 3 4 }}", [1]),
        ("{{ toJson . }}", object()),
        ("{{ toJson . }}", float("nan")),
        ("{{ slice nil 1 }}", None),
        ("{{ call . }}", 3),
        ("{{ .t.Add .d }}", {"t": datetime.max.replace(tzinfo=UTC), "d": timedelta(days=1)}),
    ],
)
def test_impossible_operations_are_template_errors(text: str, data: object) -> None:
    templates = TemplateSet(alertmanager_functions(lambda: ZERO), budget=Budget())
    with pytest.raises(TemplateError) as caught:
        templates.render(text, data)
    assert isinstance(caught.value, InvalidInput)


class Held(KV):
    """A label set that can be watched."""


def test_a_call_keeps_no_data_alive() -> None:
    data = Held({"a": "1"})
    gone = weakref.ref(data)
    assert new().render("{{ .Names }}{{ (.Remove .Names).Names }}", data) == "[a][]"
    del data
    gc.collect()
    assert gone() is None
