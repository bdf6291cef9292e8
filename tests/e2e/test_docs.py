"""The documentation does what it says: configurations load, commands run, links lead somewhere.

The comment before a block says what the block is:

    <!-- config -->             a configuration of ours: it loads
    <!-- alertmanager.yml -->   an Alertmanager configuration: it loads
    <!-- rules -->              a rule file: it loads
    <!-- prometheus.yml -->     promtool takes it
    <!-- template -->           a template file: it parses
    <!-- file: NAME -->         one of these, by its name; and it lies in the folder of the page
    <!-- save: NAME -->         it lies in the folder of the page
    <!-- run -->                it runs, after the blocks before it, in the folder of the page
    <!-- run: background -->    it runs until the page is at its end
    <!-- run: PROGRAM -->       it runs where the program is installed
    <!-- run NEWLINE … -->      the comment itself runs: what the page takes for granted
    <!-- shown: why -->         it is not tried

All blocks of a page that run are one shell script, in one folder, against servers that the page
itself starts. Ports of the pages stand for free ones.
"""

from __future__ import annotations

import ast
import builtins
import importlib
import os
import re
import shutil
import signal
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import pytest
from house import PROJECT, free_port, program

from tocsin.config_loader.load import load, load_alertmanager
from tocsin.config_loader.report import Report
from tocsin.config_loader.rules import read_rule_file
from tocsin.metrics_collector.sd_file import groups_of
from tocsin.notification_dispatcher.render import template_set

README = PROJECT / "README.md"
DOCS = PROJECT / "docs"
PAGES = sorted(path for path in DOCS.rglob("*.md") if path.parent.name != "adr")
PORTS = ("9093", "9094", "8080")  # of the pages; each stands for a free one
MARKED = ("yaml", "bash", "python")  # languages of which every block says what it is
CHECKED = ("config", "alertmanager.yml", "rules", "prometheus.yml", "template", "file")
WITHIN_S = 120

_PARTS = re.compile(
    r"^<!-- run\n(?P<silent>.*?)^-->$"
    r"|^(?:<!-- (?P<mark>[^\n]*?) -->\n)?```(?P<language>[a-z]*)\n(?P<text>.*?)^```$",
    re.MULTILINE | re.DOTALL,
)


@dataclass(frozen=True, slots=True)
class Block:
    """One block of a page; `kind` and `rest` are what the comment before it says."""

    page: Path
    number: int
    language: str
    kind: str
    rest: str
    text: str

    def __str__(self) -> str:
        return f"{self.page.relative_to(PROJECT)}:{self.number}"


def blocks(page: Path) -> list[Block]:
    """Return the blocks of a page, in order; silent ones are bash."""
    return list(_blocks(page))


def _blocks(page: Path) -> Iterator[Block]:
    for number, part in enumerate(_PARTS.finditer(page.read_text()), start=1):
        if part["silent"] is not None:
            yield Block(page, number, "bash", "run", "", part["silent"])
            continue
        kind, _, rest = (part["mark"] or "").partition(":")
        yield Block(page, number, part["language"], kind.strip(), rest.strip(), part["text"])


EVERY = [block for page in (README, *PAGES) for block in blocks(page)]
CONFIGURATIONS = [block for block in EVERY if block.kind in CHECKED]
RUNNING = [page for page in PAGES if any(block.kind == "run" for block in blocks(page))]


@pytest.mark.parametrize("page", PAGES, ids=str)
def test_every_block_says_what_it_is(page: Path) -> None:
    known = {*CHECKED, "save", "run", "shown"}
    marked = [b for b in blocks(page) if b.language in MARKED or b.kind]
    assert [str(b) for b in marked if b.kind not in known] == []
    assert [str(b) for b in marked if b.kind == "shown" and not b.rest] == [], "say why"


@pytest.mark.parametrize("block", CONFIGURATIONS, ids=str)
def test_a_configuration_loads(block: Block, tmp_path: Path) -> None:
    companions(tmp_path)
    name = block.rest if block.kind == "file" else block.kind
    path = tmp_path / (Path(name).name if block.kind == "file" else "page.yml")
    path.write_text(block.text)
    check(path, name)


@pytest.mark.parametrize("path", sorted(PROJECT.glob("examples/*.y*ml")), ids=lambda p: p.name)
def test_an_example_loads(path: Path) -> None:
    check(path, path.name)


@pytest.mark.parametrize("block", [b for b in EVERY if b.language == "python"], ids=str)
def test_a_program_compiles_and_its_names_are_there(block: Block) -> None:
    tree = ast.parse(block.text)
    compile(tree, str(block), "exec")
    loaded = {n.id for n in ast.walk(tree) if isinstance(n, ast.Name)}
    unknown = loaded - set(_bound(tree)) - set(dir(builtins))
    assert unknown == set()
    for module, name in _imported(tree):
        assert not name or hasattr(importlib.import_module(module), name), f"{module}.{name}"


@pytest.mark.timeout(2 * WITHIN_S)
@pytest.mark.parametrize("page", RUNNING, ids=str)
def test_a_page_runs(page: Path, installed: Path, tmp_path: Path) -> None:
    program("curl")
    ports = dict(zip(PORTS, distinct_ports(len(PORTS)), strict=True))
    script = as_script(blocks(page), tmp_path, ports)
    environment = {
        **os.environ,
        "HOME": str(tmp_path),
        "PATH": f"{installed}:{os.environ['PATH']}",
        "TOCSIN_URL": f"http://127.0.0.1:{ports['9093']}",
    }
    try:
        status, output = finished(script, tmp_path, environment)
    finally:
        down = [str(installed / "tocsin"), "down", "--data-dir", str(tmp_path / ".tocsin")]
        subprocess.run(down, check=True, capture_output=True, env=environment)
    assert status == 0, output + "".join(log_of(path) for path in tmp_path.glob("*/*.log"))


def test_every_link_leads_somewhere() -> None:
    broken = [
        f"{page.relative_to(PROJECT)} -> {link}"
        for page in (README, PROJECT / "CONTRIBUTING.md", *sorted(DOCS.rglob("*.md")))
        for link in links(page)
        if not leads_somewhere(page, link)
    ]
    assert broken == []


def test_every_page_is_reached_from_the_readme() -> None:
    reached, waiting = set[Path](), [README]
    while waiting:
        page = waiting.pop()
        reached.add(page)
        targets = {(page.parent / link.partition("#")[0]).resolve() for link in links(page)}
        waiting += [t for t in targets - reached if t.suffix == ".md" and t.is_file()]
    assert sorted(set(DOCS.rglob("*.md")) - reached) == []


def companions(folder: Path) -> None:
    """Put the files there that configurations of the pages name."""
    (folder / "rules").mkdir()
    (folder / "templates").mkdir()
    shutil.copy(PROJECT / "examples" / "rules" / "node.yml", folder / "rules")
    shutil.copy(PROJECT / "examples" / "alertmanager.yml", folder)
    (folder / "prometheus.yml").write_text("rule_files: [rules/*.yml]\n")
    shutil.copy(PROJECT / "examples" / "templates" / "subject.tmpl", folder / "templates")
    for name in ("slack.url", "smtp.password"):
        (folder / name).write_text("https://hooks.slack.example/services/x\n")
        (folder / name).chmod(0o600)


def check(path: Path, kind: str) -> None:
    """Fail unless `path` is a good file of its kind, which may be a file's name."""
    match kind.removesuffix(".yaml"):
        case "template":
            template_set(lambda: datetime.now(UTC)).add(path.read_text(), name=path.name)
        case "prometheus.yml":
            promtool = [program("promtool"), "check", "config", "--syntax-only", str(path)]
            subprocess.run(promtool, check=True, capture_output=True)
        case "alertmanager.yml":
            load_alertmanager(path)
        case "rules":
            _check_rules(path)
        case name if name.startswith("rules/"):
            _check_rules(path)
        case name if name.startswith("targets/"):
            assert groups_of(str(path), path.read_bytes())
        case _:
            load(path, environ={})


def _check_rules(path: Path) -> None:
    report = Report()
    read_rule_file(path, report=report)
    assert report.problems == []


def distinct_ports(count: int) -> list[str]:
    """Return free ports, each another one."""
    found: set[str] = set()
    while len(found) < count:
        found.add(str(free_port()))
    return sorted(found)


def as_script(of_page: list[Block], folder: Path, ports: dict[str, str]) -> str:
    """Write the files of a page to `folder` and return its commands as one script."""
    lines = ["set -euo pipefail"]
    for block in of_page:
        text = re.sub(r"\b(" + "|".join(ports) + r")\b", lambda m: ports[m[1]], block.text)
        if block.kind in ("file", "save"):
            (folder / block.rest).parent.mkdir(exist_ok=True)
            (folder / block.rest).write_text(text)
        elif block.kind == "run" and block.language == "python":
            (folder / f"block_{block.number}.py").write_text(text)
            lines.append(f"python block_{block.number}.py")
        elif block.kind == "run":
            lines.append(_commands(block, text))
    return "\n".join(lines)


def _commands(block: Block, text: str) -> str:
    if block.rest == "background":
        return f"({text}) &"
    return text if not block.rest or shutil.which(block.rest) else ""


def finished(script: str, folder: Path, environment: dict[str, str]) -> tuple[int, str]:
    """Run a script to its end and return its status and output; what it left running ends."""
    log = folder / "output.log"
    with log.open("wb") as out:
        shell = subprocess.Popen(
            ["bash", "-x", "-c", script],  # noqa: S607 - the shell of the pages
            cwd=folder,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=out,
            start_new_session=True,
        )
        try:
            status = shell.wait(WITHIN_S)
        except subprocess.TimeoutExpired:
            status = -1
        finally:
            _end_group(shell)
    return status, log.read_text(errors="replace")[-6000:]


def log_of(path: Path) -> str:
    """Return the end of a log, under its name."""
    return f"\n{path}:\n{path.read_text(errors='replace')[-3000:]}"


def _end_group(shell: subprocess.Popen[bytes]) -> None:
    """End what runs in the process group of the shell, which is its own."""
    try:
        os.killpg(shell.pid, signal.SIGTERM)
    except ProcessLookupError:
        return
    shell.wait()


def links(page: Path) -> list[str]:
    """Return the relative links of a page; code does not link."""
    text = re.sub(r"^```.*?^```$|`[^`\n]*`", "", page.read_text(), flags=re.MULTILINE | re.DOTALL)
    found = re.findall(r"\]\(([^)\s]+)\)", text)
    return [link for link in found if not re.match(r"[a-z]+:", link)]


def leads_somewhere(page: Path, link: str) -> bool:
    """Tell whether a link's file is there, and its heading."""
    name, _, anchor = link.partition("#")
    target = (page.parent / name).resolve() if name else page
    if not anchor:
        return target.exists()
    return target.is_file() and anchor in anchors(target)


def anchors(page: Path) -> set[str]:
    """Return the anchors of a page's headings, as GitHub makes them."""
    headings = re.findall(r"^#+ (.*)$", page.read_text(), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", h.lower()).replace(" ", "-") for h in headings}


def _bound(tree: ast.AST) -> Iterator[str]:
    """Yield every name that a program binds: assignments, arguments, imports, definitions."""
    for node in ast.walk(tree):
        match node:
            case ast.Name(id=name, ctx=ast.Store()) | ast.arg(arg=name):
                yield name
            case ast.FunctionDef(name=name) | ast.ClassDef(name=name):
                yield name
            case ast.alias(name=name, asname=asname):
                yield asname or name.partition(".")[0]


def _imported(tree: ast.AST) -> Iterator[tuple[str, str]]:
    """Yield (module, name) of every import; the name is empty for a module."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from ((alias.name, "") for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield from ((node.module, alias.name) for alias in node.names)
