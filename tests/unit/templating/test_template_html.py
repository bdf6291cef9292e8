"""Escaping by place, where golden files do not reach: scripts, styles and odd markup."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tocsin.templating.engine import Budget, TemplateSet
from tocsin.templating.functions_alertmanager import alertmanager_functions
from tocsin.templating.gotime import ZERO

TEMPLATES = TemplateSet(alertmanager_functions(lambda: ZERO), budget=Budget())
HOSTILE = """"'</script></style><b onx=1>&`\\\n;javascript:alert(1)//"""


def html(text: str, data: object = HOSTILE) -> str:
    return TEMPLATES.render(text, data, html=True)


@pytest.mark.parametrize(
    ("text", "data", "shown"),
    [
        ("<script>x = {{ . }}</script>", "a'b", '<script>x = "a\\u0027b"</script>'),
        ("<script>x = '{{ . }}'</script>", "a'b", "<script>x = 'a\\u0027b'</script>"),
        ("<script>x = {{ . }}</script>", [1, "<"], '<script>x = [1,"\\u003c"]</script>'),
        ("<script>x = {{ . }}</script>", None, "<script>x =  null </script>"),
        ("<script>// {{ . }}\ny = {{ . }}</script>", 1, "<script>// \ny =  1 </script>"),
        ("<script>/* {{ . }} */ y = {{ . }}</script>", 1, "<script>/*  */ y =  1 </script>"),
        ("<script>x = \"\\\"{{ . }}\"</script>", "\U0001f600",
         '<script>x = "\\"\\ud83d\\ude00"</script>'),
        ('<p onclick="f({{ . }})">', "a", '<p onclick="f(&#34;a&#34;)">'),
        ("<style>p { color: {{ . }} }</style>", "red", "<style>p { color: red }</style>"),
        ("<style>p { {{ . }} }</style>", "a:expression(1)", "<style>p { ZgotmplZ }</style>"),
        ("<style>p { {{ . }} }</style>", "url(x)", "<style>p { ZgotmplZ }</style>"),
        ('<p style="width: {{ . }}">', 40, '<p style="width: 40">'),
        ("<textarea>{{ . }}</textarea>{{ . }}", "<b>",
         "<textarea>&lt;b&gt;</textarea>&lt;b&gt;"),
        ("<title>{{ safeHtml . }}</title>", "a&amp;<", "<title>a&amp;&lt;</title>"),
        ("<p {{ . }}=x>", "title", "<p title=x>"),
        ("<p {{ . }}=x>", "a b", "<p ZgotmplZ=x>"),
        ("<p x{{ . }}>", "href", "<p xZgotmplZ>"),
        ("<p title = {{ . }} x>", "a b", "<p title = a&#32;b x>"),
        ("<p title=>{{ . }}", "<", "<p title=>&lt;"),
        ("<p title\n>{{ . }}", "<", "<p title\n>&lt;"),
        ("<a href='{{ safeHtml . }}'>", "javascript:x", "<a href='#ZgotmplZ'>"),
        ("<a title={{ safeHtml . }}>", "<b>a b</b>", "<a title=a&#32;b>"),
        ("<a href='x{{ if . }}?{{ end }}{{ . }}'>", "a b&c", "<a href='x?a%20b%26c'>"),
        ("<a href=' {{ . }}'>", "javascript:x", "<a href=' #ZgotmplZ'>"),
        ("<a href='{{ . }}'>", "/a/b:c", "<a href='/a/b:c'>"),
        ("<a xlink:href='{{ . }}'>", "javascript:x", "<a xlink:href='#ZgotmplZ'>"),
        ("<!--{{ . }}--", "x", ""),
        ("<!-- a --><p>{{ . }}</p", "<", "<p>&lt;</p"),
        ("<{{ . }}", "b", "&lt;b"),
        ("</{{ . }}", "b", "&lt;/b"),
        ("a<1 {{ . }}", "é<", "a&lt;1 é&lt;"),
        ("<br{{ . }}", "é", "<brZgotmplZ"),
        ("<a b='1' c", None, "<a b='1' c"),
        ("<a b =", None, "<a b ="),
        ("<a 'b' \"c\" =d>{{ . }}", "<", "<a 'b' \"c\" =d>&lt;"),
        ("{{ js . }}", "a'b", "a\\&#39;b"),
        ("{{ urlquery . }}", "a b", "a&#43;b"),
        ("plain", None, "plain"),
    ],
)  # fmt: skip
def test_a_value_is_escaped_for_its_place(text: str, data: object, shown: str) -> None:
    assert html(text, data) == shown


@pytest.mark.parametrize(
    "text",
    [
        "<p>{{ . }}</p>",
        '<p title="{{ . }}">',
        "<p title='{{ . }}'>",
        "<p title={{ . }}>",
        '<a href="{{ . }}">',
        '<a href="/x?q={{ . }}">',
        '<p style="color: {{ . }}">',
        '<p onclick="f({{ . }})">',
        "<script>x = {{ . }}</script>",
        "<script>x = '{{ . }}'</script>",
        "<style>p { {{ . }} }</style>",
        "<title>{{ . }}</title>",
        "<p {{ . }}>",
    ],
)
@given(value=st.text(max_size=40) | st.just(HOSTILE))
def test_no_value_adds_markup(text: str, value: str) -> None:
    shown = html(text, value)
    assert shown.count("<") == text.count("<")
    assert shown.count(">") == text.count(">")
    assert "javascript:alert(1)" not in shown.replace("&#58;", ":") or "href" not in shown


def test_following_long_markup_takes_linear_time() -> None:
    templates = TemplateSet({}, budget=Budget(output_bytes=1 << 20))
    text = "<p " + "a = b " * 40_000 + "{{ . }}>"
    assert len(templates.render(text, "c", html=True)) == len(text) - 6


@given(st.text(alphabet="<>!-/='\" abhrefstylescriptonclick", max_size=60))
def test_any_markup_of_a_template_can_be_followed(text: str) -> None:
    html(text + "{{ . }}")
