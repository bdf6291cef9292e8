"""Every verb explains itself, and asking for help costs nothing."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap

import pytest
from click.testing import CliRunner

from tocsin.cli.main import VERBS, main
from tocsin.model.version import VERSION

COMMANDS = [
    *VERBS,
    "check config",
    "check rules",
    "config schema",
    "query instant",
    "query labels",
    "query range",
    "query series",
    "token new",
]


@pytest.mark.parametrize("name", COMMANDS)
@pytest.mark.parametrize("flag", ["--help", "-h"])
def test_a_verb_explains_itself(name: str, flag: str) -> None:
    got = CliRunner().invoke(main, [*name.split(), flag])
    assert got.exit_code == 0
    assert got.output.startswith("Usage: ")
    assert "-h, --help" in got.output


def test_help_lists_every_verb_with_its_line() -> None:
    got = CliRunner().invoke(main, ["--help"])
    for name, verb in VERBS.items():
        assert f"  {name}" in got.output
        assert verb.help.split(".")[0][:30] in got.output


def test_help_loads_neither_server_nor_numbers() -> None:
    code = """
        import sys
        from tocsin.cli.main import main
        main(["--help"], standalone_mode=False)
        heavy = {"uvicorn", "numpy", "starlette", "aiohttp", "yaml", "jinja2", "asyncio"}
        print(sorted(heavy & set(sys.modules)), file=sys.stderr)
    """
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code)],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    )
    assert done.stderr == "[]\n"
    assert "Usage: " in done.stdout


def test_the_version_is_told() -> None:
    assert VERSION in CliRunner().invoke(main, ["--version"]).output


@pytest.mark.parametrize("arguments", [["nosuch"], ["check", "nosuch"], ["serve", "--nosuch"], []])
def test_what_is_no_command_is_a_usage_error(arguments: list[str]) -> None:
    got = CliRunner().invoke(main, arguments)
    assert got.exit_code == 2
    assert "Usage: " in got.output


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["alertmanager", "--enable-feature=banana"], "unknown feature banana"),
        (["alertmanager", "--enable-feature=classic-mode,utf8-strict-mode"], "one matcher mode"),
        (["alertmanager", "--dispatch.start-delay=soon"], "not a valid duration"),
        (["alertmanager", "--data.retention=soon"], "not a valid duration"),
        (["alertmanager", "--web.config.file=x"], "TLS of the listener is not built yet"),
        (["alertmanager", "--log.level=loud"], "'loud' is not one of"),
        (["query", "instant", "--url=ftp://x", "up"], "is no http or https address"),
        (["query", "instant", "--url=http://[x", "up"], "is no http or https address"),
        (["query", "instant", "--url=http://", "up"], "is no http or https address"),
        (["query", "instant", "--tenant=NO", "up"], "tenant id 'NO' is not valid"),
        (["query", "range"], "Missing argument 'EXPR'"),
        (["deliveries", "--limit=0"], "0 is not in the range"),
        (["deliveries", "--token-file=/nosuch"], "does not exist"),
        (["init", "--port=65001"], "65001 is not in the range"),
    ],
)
def test_a_flag_that_makes_no_sense_is_refused_in_words(arguments: list[str], message: str) -> None:
    got = CliRunner().invoke(main, arguments)
    assert got.exit_code == 2
    assert message in got.output
