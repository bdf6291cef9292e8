"""The public face: a set of templates that is parsed once and rendered often.

templates = TemplateSet(functions, budget=Budget())
templates.add(text_of_a_file, name="slack.tmpl")
templates.render('{{ template "slack.default.title" . }}', data)
"""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Callable, Mapping
from typing import Any

from tocsin.templating.budget import Budget, Meter
from tocsin.templating.builtins import BUILTINS
from tocsin.templating.defaults import DEFAULTS
from tocsin.templating.errors import BudgetExceeded, TemplateError
from tocsin.templating.escaping import HtmlWriter
from tocsin.templating.interpreter import Interpreter, PlainWriter
from tocsin.templating.nodes import Template
from tocsin.templating.parser import parse

__all__ = ["Budget", "BudgetExceeded", "TemplateError", "TemplateSet", "with_defaults"]

_CACHED = 2048  # parsed texts kept by one set, the least recently used going first


class TemplateSet:
    """Templates that know each other by name. Rendering changes nothing: safe from any thread
    once every file has been added."""

    def __init__(
        self,
        functions: Mapping[str, Callable[..., Any]],
        *,
        budget: Budget,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        """Offer `functions` beside Go's own; `monotonic` returns seconds and meters wall time."""
        self._functions: Mapping[str, Callable[..., Any]] = {**BUILTINS, **functions}
        self._budget = budget
        self._monotonic = monotonic
        self._named: dict[str, Template] = {}
        self._parsed: OrderedDict[tuple[str, str], dict[str, Template]] = OrderedDict()

    @property
    def names(self) -> tuple[str, ...]:
        """Return the names of the templates that were added, sorted."""
        return tuple(sorted(self._named))

    def add(self, text: str, *, name: str) -> None:
        """Add a file of defines; `name` is the file's. Raises TemplateError, then adds nothing.

        A later definition of a template replaces an earlier one, unless it is blank (as in Go).
        """
        found = self._parse(text, name, root=name)
        for template in found.values():
            old = self._named.get(template.name)
            if old is None or old.is_blank or not template.is_blank:
                self._named[template.name] = template

    def check(self, text: str, *, name: str = "") -> None:
        """Parse `text` without rendering it. Raises TemplateError."""
        self._cached(text, name)

    def render(self, text: str, data: object, *, name: str = "", html: bool = False) -> str:
        """Return what `text` makes of `data`; `html` escapes each value for its context.

        `name` tells in errors which text it was. Raises TemplateError; BudgetExceeded when a
        budget is used up.
        """
        if "{{" not in text and not html:
            return self._plain(text, name)
        own = self._cached(text, name)
        run = Interpreter(
            {**self._named, **own},
            self._functions,
            Meter(self._budget, self._monotonic),
            HtmlWriter if html else PlainWriter,
            root=data,
            html=html,
        )
        try:
            return run.expand("", data)
        except RecursionError as error:  # the depth budget ends first, unless set very high
            raise BudgetExceeded(
                "budget exceeded: nested too deep", template=name, line=1
            ) from error

    def _plain(self, text: str, name: str) -> str:
        limit = self._budget.output_bytes
        if len(text.encode("utf-8", "replace")) > limit:
            raise BudgetExceeded(
                f"budget exceeded: more than {limit} bytes of output", template=name, line=1
            )
        return text

    def _cached(self, text: str, name: str) -> dict[str, Template]:
        key = (text, name)
        found = self._parsed.pop(key, None)
        if found is None:
            found = self._parse(text, name, root="")
        self._parsed[key] = found
        while len(self._parsed) > _CACHED:
            self._parsed.popitem(last=False)
        return found

    def _parse(self, text: str, name: str, *, root: str) -> dict[str, Template]:
        limit = self._budget.source_chars
        if len(text) > limit:
            raise BudgetExceeded(
                f"budget exceeded: the text is longer than {limit} characters",
                template=name,
                line=1,
            )
        return parse(text, name, root=root, functions=self._functions)


def with_defaults(templates: TemplateSet) -> TemplateSet:
    """Return `templates` after the default ones were added; add the user's own files later."""
    for name, text in DEFAULTS.items():
        templates.add(text, name=name)
    return templates
