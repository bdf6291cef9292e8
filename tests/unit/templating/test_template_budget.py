"""A hostile template is stopped, whatever it tries to use up."""

from contextlib import suppress
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tocsin.templating.engine import Budget, BudgetExceeded, TemplateSet
from tocsin.templating.functions_alertmanager import alertmanager_functions
from tocsin.templating.gotime import ZERO

FUNCTIONS = alertmanager_functions(lambda: ZERO)


def render(text: str, *, html: bool = False, data: object = None) -> str:
    return TemplateSet(FUNCTIONS, budget=Budget()).render(text, data, name="bomb", html=html)


DOUBLE = '{{ $x := "aaaaaaaa" }}{{ range 60 }}{{ $x = print $x $x }}{{ end }}'
NESTED = "{{ $x := list 1 }}{{ range 60 }}{{ $x = list $x $x }}{{ end }}"
LINEAR = "{{ $x := list }}{{ range 2000 }}{{ $x = list $x }}{{ end }}"
BOMBS = {
    "range over a huge count": "{{ range 9223372036854775807 }}{{ end }}",
    "ranges in ranges": "{{ range 999 }}{{ range 999 }}{{ range 999 }}{{ end }}{{ end }}{{ end }}",
    "text in a range": "{{ range 100000 }}0123456789012345678901234567890{{ end }}",
    "values in a range": "{{ range 100000 }}{{ 1234567890123456 }}{{ end }}",
    "recursion": '{{ define "r" }}{{ template "r" }}{{ end }}{{ template "r" }}',
    "doubled string": DOUBLE,
    "shared lists printed": NESTED + "{{ $x }}",
    "shared lists as JSON": NESTED + "{{ toJson $x }}",
    "shared lists through printf": NESTED + '{{ printf "%v" $x | len }}',
    "deep list printed": LINEAR + "{{ $x }}",
    "deep list as JSON": LINEAR + "{{ toJson $x }}",
    "wide verb": '{{ range 100 }}{{ $x := printf "%999999d" 1 }}{{ end }}',
    "wide star": '{{ range 100 }}{{ $x := printf "%*d" 999999 1 }}{{ end }}',
    "precise verb": '{{ range 100 }}{{ $x := printf "%.999999f" 1.0 }}{{ end }}',
    "join": '{{ $s := printf "%100000s" "" }}{{ $l := list }}{{ range 500 }}'
    '{{ $l = append $l "" }}{{ end }}{{ join $s $l }}',
    "replacement": '{{ $s := printf "%20000s" "" }}{{ reReplaceAll " " $s $s }}',
    "growing lists": "{{ $l := list }}{{ $k := list }}{{ range 20000 }}"
    "{{ $l = append $l 1 }}{{ $k = append $k $l }}{{ end }}",
    "html growth": '{{ $s := printf "%60000s" "" }}{{ html $s }}{{ $s }}',
}


@pytest.mark.parametrize("text", BOMBS.values(), ids=BOMBS.keys())
@pytest.mark.parametrize("html", [False, True], ids=["text", "html"])
def test_a_bomb_is_stopped(text: str, html: bool) -> None:  # noqa: FBT001
    with pytest.raises(BudgetExceeded, match=r"template: bomb:1: budget exceeded"):
        render(text, html=html)


def test_the_error_names_the_line_that_went_over() -> None:
    with pytest.raises(BudgetExceeded) as caught:
        render("ok\n{{ range 10 }}\n{{ end }}\n{{ range 1000000 }}{{ end }}")
    assert caught.value.line == 4


def test_wall_time_is_taken_from_the_clock_that_was_given() -> None:
    ticks = iter(range(1000))
    templates = TemplateSet(
        {}, budget=Budget(wall=timedelta(seconds=5)), monotonic=lambda: float(next(ticks))
    )
    with pytest.raises(BudgetExceeded, match="took longer than 5 s"):
        templates.render("{{ range 5000 }}{{ end }}", None)


def test_a_long_replacement_looks_at_the_clock() -> None:
    ticks = iter(range(1000))
    templates = TemplateSet(
        FUNCTIONS, budget=Budget(wall=timedelta(seconds=5)), monotonic=lambda: float(next(ticks))
    )
    with pytest.raises(BudgetExceeded, match="took longer"):
        templates.render('{{ reReplaceAll "." "y" . }}', "x" * 5000)


def test_output_counts_bytes_not_characters() -> None:
    templates = TemplateSet({}, budget=Budget(output_bytes=10))
    assert templates.render("{{ . }}", "é" * 5) == "é" * 5
    with pytest.raises(BudgetExceeded, match="10 bytes of output"):
        templates.render("{{ . }}", "é" * 6)
    with pytest.raises(BudgetExceeded, match="10 bytes of output"):
        templates.render("é" * 6, None)


def test_the_output_budget_is_sixty_four_kibibytes_by_default() -> None:
    assert len(render("{{ . }}", data="x" * 65536)) == 65536
    with pytest.raises(BudgetExceeded):
        render("{{ . }}", data="x" * 65537)


def test_depth_that_outruns_python_is_still_a_budget() -> None:
    text = '{{ define "r" }}{{ template "r" }}{{ end }}{{ template "r" }}'
    templates = TemplateSet({}, budget=Budget(depth=10**6))
    with pytest.raises(BudgetExceeded, match="nested too deep"):
        templates.render(text, None)


def test_one_rendering_does_not_pay_for_another() -> None:
    templates = TemplateSet({}, budget=Budget(steps=50))
    for _ in range(10):
        assert templates.render("{{ range 5 }}{{ . }}{{ end }}", None) == "01234"


@given(
    st.recursive(
        st.sampled_from(["x", "{{ . }}", "{{ print . . }}", "{{ len (printf `%9d` 1) }}"]),
        lambda inner: st.tuples(st.integers(0, 10**12), inner).map(
            lambda pair: f"{{{{ range {pair[0]} }}}}{pair[1]}{{{{ end }}}}"
        ),
        max_leaves=4,
    )
)
def test_nested_ranges_end_in_output_or_in_a_budget(text: str) -> None:
    templates = TemplateSet({}, budget=Budget(steps=2000, output_bytes=1000))
    with suppress(BudgetExceeded):
        assert len(templates.render(text, 1)) <= 1000
