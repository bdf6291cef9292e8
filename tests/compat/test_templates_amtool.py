"""Templates against the real `amtool template render`, expression by expression."""

from __future__ import annotations

import runpy
import shutil
import subprocess
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from tocsin.model.alert import Phase
from tocsin.model.labels import Labels
from tocsin.model.notification import Notification, NotifiedAlert, Reason
from tocsin.model.tenant import TenantId
from tocsin.templating.data import notification_data
from tocsin.templating.defaults import DEFAULTS
from tocsin.templating.engine import Budget, TemplateError, TemplateSet, with_defaults
from tocsin.templating.functions_alertmanager import alertmanager_functions

AMTOOL = shutil.which("amtool")
DEBIAN_DEFAULTS = Path("/usr/share/prometheus/alertmanager")
CORPUS = runpy.run_path(str(Path(__file__).with_name("templates_corpus.py")))
AT = datetime(2026, 3, 1, 9, 5, 7, 123456, tzinfo=UTC)


def _amtool(*arguments: str) -> subprocess.CompletedProcess[str]:
    assert AMTOOL
    command = [AMTOOL, "template", "render", *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)


def _missing() -> str:
    """Say why amtool cannot judge here, "" when it can."""
    if not AMTOOL:
        return "amtool is not installed"
    if "--template.data" not in _amtool("--help").stdout + _amtool("--help").stderr:
        return "this amtool has no `template render --template.data`"
    return ""


REASON = _missing()
pytestmark = pytest.mark.skipif(bool(REASON), reason=REASON)


def _alert(status: Phase, instance: str, ends_at: datetime | None) -> NotifiedAlert:
    labels = {
        "alertname": "CPU<High>",
        "job": "node",
        "instance": instance,
        "severity": "critical",
    }
    notes = {"summary": f"{instance} is hot", "desc": "a <b> & 'c' \"d\""}
    return NotifiedAlert(
        status=status,
        labels=Labels.of(labels),
        annotations=Labels.of(notes),
        starts_at=AT,
        ends_at=ends_at,
        fingerprint="63d26608c976e743",
        generator_url="http://prom:9090/graph?g0.expr=up&g0.tab=1",
    )


NOTIFICATION = Notification(
    id="1",
    tenant=TenantId("a"),
    receiver="team.x y",
    integration="slack[0]",
    group_key="{}:{}",
    group_labels=Labels.of({"alertname": "CPU<High>", "job": "node"}),
    alerts=(
        _alert(Phase.FIRING, "h1:9100", None),
        _alert(Phase.RESOLVED, "h2:9100", AT.replace(hour=10)),
    ),
    reason=Reason.FIRST,
    flushed_at=AT,
)
DATA: Any = notification_data(NOTIFICATION, external_url="http://am.example:9093")
OURS = with_defaults(TemplateSet(alertmanager_functions(lambda: AT), budget=Budget()))


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a directory with the data of the notification and an empty template file."""
    where = tmp_path_factory.mktemp("amtool")
    (where / "data.json").write_text(OURS.render("{{ toJson . }}", DATA), encoding="utf-8")
    (where / "none.tmpl").write_text("", encoding="utf-8")
    return where


def test_the_judge_is_known(record_property: Callable[[str, object], None]) -> None:
    version = subprocess.run(  # its first line, which may go to either stream
        [str(AMTOOL), "--version"], capture_output=True, text=True, timeout=30, check=True
    )
    shown = (version.stdout + version.stderr).splitlines()[0]
    record_property("amtool", shown)
    assert shown.startswith("amtool, version")


def _compare(template: str, files: Path, *, glob: str = "", html: bool = False) -> None:
    theirs = _amtool(
        f"--template.glob={glob or files / 'none.tmpl'}",
        f"--template.text={template}",
        f"--template.data={files / 'data.json'}",
        f"--template.type={'html' if html else 'text'}",
    )
    if theirs.returncode:
        with pytest.raises(TemplateError):
            OURS.render(template, DATA, html=html)
    else:
        assert OURS.render(template, DATA, html=html) == theirs.stdout


def test_the_corpus_is_large_and_without_repeats() -> None:
    every = CORPUS["TEXT"] + CORPUS["HTML"]
    assert len(set(every)) == len(every) >= 150


@pytest.mark.parametrize("template", CORPUS["TEXT"])
def test_text_renders_as_amtool_renders_it(template: str, files: Path) -> None:
    _compare(template, files)


@pytest.mark.parametrize("template", CORPUS["HTML"])
def test_html_renders_as_amtool_renders_it(template: str, files: Path) -> None:
    _compare(template, files, html=True)


def _shared_names() -> list[str]:
    """Return the default templates that we and Debian's Alertmanager both define."""
    theirs = "".join(f.read_text(encoding="utf-8") for f in sorted(DEBIAN_DEFAULTS.glob("*.tmpl")))
    names = TemplateSet(alertmanager_functions(lambda: AT), budget=Budget())
    names = with_defaults(names)
    return [n for n in names.names if f'define "{n}"' in theirs and n != "email.default.html"]


@pytest.mark.skipif(not DEBIAN_DEFAULTS.is_dir(), reason="no default.tmpl of Alertmanager here")
def test_our_default_templates_say_what_alertmanager_says(files: Path) -> None:
    names = _shared_names()
    assert len(names) >= 30
    for name in names:
        data = ".Alerts.Firing" if name.endswith(("_alert_list", "instances")) else "."
        text = f'{{{{ template "{name}" {data} }}}}'
        _compare(text, files, glob=str(DEBIAN_DEFAULTS / "*.tmpl"))


def test_amtool_renders_our_default_subject_from_our_file(files: Path) -> None:
    glob = files / "shared.tmpl"
    glob.write_text(DEFAULTS["default/shared.tmpl"], encoding="utf-8")
    _compare('{{ template "__subject" . }}', files, glob=str(glob))
