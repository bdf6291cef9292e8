"""What goes wrong with a template, told with the file and line where it went wrong.

    InvalidInput
    ├── Overrun             a budget is used up; inside this room only
    └── TemplateError       the template is malformed, or failed while it was rendered
        └── BudgetExceeded  the template asked for more than its budget

Functions and operators raise plain `InvalidInput`; the interpreter adds the place.
"""

from __future__ import annotations

from tocsin.model.errors import InvalidInput


class Overrun(InvalidInput):
    """A budget is used up; the interpreter turns it into `BudgetExceeded` with a place."""


class TemplateError(InvalidInput):
    """A template is malformed or failed; `template` and `line` (from 1) say where."""

    def __init__(self, message: str, *, template: str, line: int) -> None:
        super().__init__(f"template: {template}:{line}: {message}")
        self.template = template
        self.line = line
        self.reason = message


class BudgetExceeded(TemplateError):
    """The template was stopped because a budget was used up."""
