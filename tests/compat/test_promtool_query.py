"""`promtool query` prints of us what it prints of a real Prometheus; `tocsin query` of both alike.

vmalert is not installed where this is developed: it has not been tried.
"""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from house import program
from prometheus_pair import SPAN_S, Pair, pair

from tocsin.cli.main import main

QUERIES = (
    *("up", "1+1", "late", "early[30m]", "sum by (job)(up)", 'early{note!=""} offset 18m'),
    *("up{", "rate(up)", "vector(1e-7)", "vector(1e21)", "1e-7", "vector(NaN)"),
)


@pytest.fixture(scope="module")
def both(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pair]:
    program("promtool")
    with pair(tmp_path_factory.mktemp("promtool")) as both:
        yield both


@pytest.fixture(scope="module")
def token_file(both: Pair, tmp_path_factory: pytest.TempPathFactory) -> Path:
    file = tmp_path_factory.mktemp("token") / "token"
    file.write_text(both.ours.token)
    return file


def promtool(*arguments: str) -> tuple[int, str, str]:
    done = subprocess.run(
        [program("promtool"), "query", *arguments],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    return done.returncode, done.stdout, done.stderr


def printed_alike(both: Pair, kind: str, flags: Sequence[str], rest: Sequence[str]) -> str:
    """Check that promtool prints the same of both; return what."""
    ours = f"http://any:{both.ours.token}@{both.ours.address}/prometheus"
    theirs = f"http://{both.theirs.address}"
    of_us, of_them = (promtool(kind, *flags, server, *rest) for server in (ours, theirs))
    assert of_us == of_them
    return of_us[1]


@pytest.mark.parametrize("form", ["promql", "json"])
@pytest.mark.parametrize("query", [*QUERIES, "nothing"])
def test_promtool_asks_at_one_time(both: Pair, query: str, form: str) -> None:
    flags = [f"--time={both.end_s}", f"--format={form}"]
    printed_alike(both, "instant", flags, [query])


@pytest.mark.parametrize("query", ["up", "1", "late", "nothing"])
def test_promtool_asks_over_a_range(both: Pair, query: str) -> None:
    flags = [f"--start={both.end_s - SPAN_S}", f"--end={both.end_s}", "--step=60s"]
    printed_alike(both, "range", flags, [query])


def test_promtool_lists_series_and_labels(both: Pair) -> None:
    flags = [f"--start={both.end_s - SPAN_S}", f"--end={both.end_s}"]
    assert printed_alike(both, "series", ["--match=up", "--match=late", *flags], [])
    assert printed_alike(both, "labels", flags, ["job"]) == "api\ndb\nweb\n"
    assert printed_alike(both, "labels", [], ["nothing"]) == ""


def tocsin(both: Pair, token: Path, *arguments: str) -> tuple[Result, Result]:
    """Return what our command makes of us and of a real Prometheus."""
    ours = [f"--url=http://{both.ours.address}", f"--token-file={token}", "--tenant=a"]
    theirs = [f"--url=http://{both.theirs.address}"]
    of_us, of_them = (
        CliRunner().invoke(main, ["query", *arguments, *where]) for where in (ours, theirs)
    )
    return of_us, of_them


@pytest.mark.parametrize("query", QUERIES)
def test_our_command_prints_what_promtool_prints(both: Pair, token_file: Path, query: str) -> None:
    arguments = ["instant", f"--time={both.end_s}", query]
    of_us, of_them = tocsin(both, token_file, *arguments)
    assert (of_us.exit_code, of_us.output) == (of_them.exit_code, of_them.output)
    code, out, err = promtool("instant", *arguments[1:-1], f"http://{both.theirs.address}", query)
    assert (of_them.exit_code, of_them.stdout, of_them.stderr) == (code, out, err)


def test_our_command_lists_what_promtool_lists(both: Pair, token_file: Path) -> None:
    flags = [f"--start={both.end_s - SPAN_S}", f"--end={both.end_s}"]
    server = f"http://{both.theirs.address}"
    for ours, theirs in (
        (["range", "--step=60s", *flags, "up"], ["range", "--step=60s", *flags, server, "up"]),
        (["series", "--match=up", *flags], ["series", "--match=up", *flags, server]),
        (["labels", *flags, "job"], ["labels", *flags, server, "job"]),
    ):
        _, wanted, _ = promtool(*theirs)
        assert wanted
        assert [each.stdout for each in tocsin(both, token_file, *ours)] == [wanted, wanted]


def test_our_command_gives_the_data_of_the_answer(both: Pair, token_file: Path) -> None:
    of_us, of_them = tocsin(both, token_file, "instant", "-o", "json", f"--time={both.end_s}", "up")
    assert json.loads(of_us.stdout) == json.loads(of_them.stdout)
    assert json.loads(of_us.stdout)["resultType"] == "vector"
