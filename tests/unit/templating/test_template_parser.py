"""Reading templates: where errors are, what is refused, what cannot crash."""

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tocsin.templating.builtins import BUILTINS
from tocsin.templating.engine import Budget, BudgetExceeded, TemplateError, TemplateSet
from tocsin.templating.nodes import Action, Branch, Call, Text
from tocsin.templating.parser import parse

WORDS = """
{{ }} {{- -}} /* */ ( ) | , := = $ $x . .A .A.b "s" `r` 'c' 1 -1 1.5 0x 1e9 nil true
if else end range with define template block break continue eq and printf len \\ " ' ` x é
"""
PIECES = st.sampled_from([*WORDS.split(), "\n", "\0"])


def render(text: str, data: object = None) -> str:
    return TemplateSet({}, budget=Budget()).render(text, data, name="f.tmpl")


@pytest.mark.parametrize(
    ("text", "line", "reason"),
    [
        ("a\nb{{ nope }}", 2, "function 'nope' not defined"),
        ("\n\n{{ $x }}", 3, "undefined variable '$x'"),
        ("{{ if true }}\n", 2, "unexpected EOF"),
        ("{{ end }}", 1, "unexpected {{end}}"),
        ("{{ break }}", 1, "{{break}} outside {{range}}"),
        ("{{ 1 | 2 }}", 1, "non executable command in pipeline"),
        ('{{\n`a\nb` "', 3, "unterminated quoted string"),
        ("{{/* a", 1, "unclosed comment"),
        ("{{/* a */ }}", 1, "comment ends before closing delimiter"),
        ("{{ (1 }}", 1, "unclosed left paren"),
        ("{{ 1) }}", 1, "unexpected right paren"),
        ("{{ 1", 1, "unclosed action"),
        ("{{ @ }}", 1, "unrecognized character in action: '@'"),
        ("{{ $x'a' }}", 1, "bad character"),
        ("{{ : }}", 1, "expected :="),
        ("{{ 1.2.3 }}", 1, "bad number syntax"),
        ("{{ 0b12 }}", 1, "bad number syntax"),
        ("{{ 0x1p }}", 1, "bad number syntax"),
        ("{{ 0x1p99999 }}", 1, "bad number syntax"),
        ("{{ 1e999 }}", 1, "number out of range"),
        ("{{ 9223372036854775808 }}", 1, "integer overflow"),
        ("{{ 'ab' }}", 1, "malformed character constant"),
        ('{{ "\\q" }}', 1, "invalid escape"),
        ('{{ "\\ud800" }}', 1, "invalid escape"),
        ('{{ "\\777" }}', 1, "invalid escape"),
        ("{{ if }}a{{ end }}", 1, "missing value for if"),
        ("{{ template x }}", 1, "unexpected 'x' in template clause"),
        ("{{ range $a, 1 := . }}{{ end }}", 1, "range can only initialize variables"),
        ("{{ $a, $b := . }}", 1, "too many declarations in command"),
        ("{{ 1.x }}", 1, "bad number syntax"),
        ("{{ true.x }}", 1, "unexpected .x after a constant"),
        ('{{define "a"}}1{{end}}{{define "a"}}2{{end}}', 1, "multiple definition"),
        ('{{define "a"}}1{{else}}{{end}}', 1, "unexpected {{else}}"),
        ('{{block "a" .}}1{{else}}{{end}}', 1, "unexpected {{else}}"),
    ],
)
def test_a_malformed_template_names_file_line_and_fault(text: str, line: int, reason: str) -> None:
    with pytest.raises(TemplateError) as caught:
        render(text)
    assert caught.value.template == "f.tmpl"
    assert caught.value.line == line
    assert reason in str(caught.value)
    assert str(caught.value).startswith(f"template: f.tmpl:{line}: ")


def test_the_tree_keeps_lines_and_names() -> None:
    found = parse(
        'a{{ define "x" }}b{{ end }}\n{{ if . }}{{ template "x" }}{{ end }}\n{{ . }}',
        "f",
        root="",
        functions=BUILTINS,
    )
    text, branch, gap, action = found[""].body[0], *found[""].body[2:]
    assert found["x"].body == (Text("b"),)
    assert text == Text("a")
    assert gap == Text("\n")
    assert isinstance(branch, Branch)
    assert isinstance(branch.arms[0][1][0], Call)
    assert branch.line == 2
    assert isinstance(action, Action)
    assert action.line == 3


def test_else_if_chains_may_be_long() -> None:
    text = "{{ if false }}" + "{{ else if false }}" * 500 + "{{ else }}x{{ end }}"
    assert render(text) == "x"


@pytest.mark.parametrize(
    "text",
    ["{{ if 1 }}" * 200 + "{{ end }}" * 200, "{{ " + "(" * 5000 + "1" + ")" * 5000 + " }}"],
)
def test_deep_nesting_is_refused(text: str) -> None:
    with pytest.raises(TemplateError, match="nested deeper"):
        render(text)


def test_a_long_text_is_refused_before_it_is_read() -> None:
    templates = TemplateSet({}, budget=Budget(source_chars=10))
    with pytest.raises(BudgetExceeded, match="longer than 10 characters"):
        templates.add("{{ . }}" * 10, name="f")


@given(st.lists(PIECES, max_size=25).map(" ".join) | st.lists(PIECES, max_size=25).map("".join))
def test_no_text_raises_anything_but_template_error(text: str) -> None:
    with suppress(TemplateError):
        TemplateSet({}, budget=Budget()).render(text, {"A": {"b": [1, "x"]}})


@given(st.text(max_size=60).map(lambda text: "{{" + text + "}}"))
def test_no_action_raises_anything_but_template_error(text: str) -> None:
    with suppress(TemplateError):
        TemplateSet({}, budget=Budget()).check(text)


@given(st.text(alphabet=st.characters(exclude_characters="{")))
def test_text_without_actions_is_copied(text: str) -> None:
    assert render(text + "{{/**/}}") == text
