"""Template texts of receivers, rendered over one notification in Alertmanager's data model.

A group of thousands of alerts can make a template exceed its budget. A shorter message is
better than none, so such a text is rendered again over fewer alerts, down to a single one.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime

import msgspec

from tocsin.model.notification import Notification
from tocsin.notification_dispatcher.provider import Renderer
from tocsin.templating.data import notification_data
from tocsin.templating.engine import Budget, BudgetExceeded, TemplateSet, with_defaults
from tocsin.templating.functions_alertmanager import alertmanager_functions

FEWER = (200, 20, 1)  # alerts shown when more do not fit the budget

# A mail may list many alerts in one text; rendering is done on the event loop, so not too many.
BUDGET = Budget(output_bytes=256 << 10)


class GroupRenderer(Renderer):
    """Renders over one notification; the data is made once for all its texts."""

    def __init__(
        self, templates: TemplateSet, notification: Notification, *, external_url: str
    ) -> None:
        """Render with `templates`; `external_url` is where people find this server."""
        self._templates = templates
        self._notification = notification
        self._external_url = external_url
        self._data: dict[int, object] = {}  # by how many alerts it shows

    def text(self, template: str) -> str:
        """Return the rendered text. Raises InvalidInput."""
        if "{{" not in template:
            return template  # most URLs: the data of a large group need not be made for them
        return self._render(template, as_html=False)

    def html(self, template: str) -> str:
        """Return the rendered text, values escaped for HTML. Raises InvalidInput."""
        return self._render(template, as_html=True)

    def _render(self, template: str, *, as_html: bool) -> str:
        total = len(self._notification.alerts)
        for most in (n for n in FEWER if n < total):
            try:
                return self._over(total, template, as_html=as_html)
            except BudgetExceeded:
                total = most
        return self._over(total, template, as_html=as_html)

    def _over(self, count: int, template: str, *, as_html: bool) -> str:
        if count not in self._data:
            self._data[count] = self._data_of(count)
        return self._templates.render(template, self._data[count], html=as_html)

    def _data_of(self, count: int) -> object:
        every = self._notification.alerts
        fewer = msgspec.structs.replace(self._notification, alerts=every[:count])
        return notification_data(fewer, external_url=self._external_url)


def template_set(now: Callable[[], datetime]) -> TemplateSet:
    """Return the default templates and the functions of notifications; `now` tells the time.

    The files a user adds afterwards override the defaults.
    """
    return with_defaults(TemplateSet(alertmanager_functions(now), budget=BUDGET))
