"""`tocsin tsdb`: what it says of files on a real disk, and what it makes of them."""

from __future__ import annotations

import json
import re
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner, Result

from tocsin.cli import tsdb_import
from tocsin.cli.main import main
from tocsin.model.labels import Labels
from tocsin.model.matchers import matcher
from tocsin.model.sample import STALE
from tocsin.model.series import Layout
from tocsin.model.tenant import TenantId
from tocsin.timeseries import backfill
from tocsin.timeseries.block_format import SectionKind
from tocsin.timeseries.block_reader import BlockReader
from tocsin.timeseries.still import StillStore
from tocsin.timeseries.store import MetricStore

A, B = TenantId("acme"), TenantId("beta")
HOUR = 3_600_000
T0 = 1_700_006_400_000  # a whole day
LAYOUT = Layout(
    "t",
    (
        Labels.of({"__name__": "up", "job": "a"}),
        Labels.of({"__name__": "requests_total", "path": 'with "quotes"\\\n', "job": "a"}),
        Labels.of({"__name__": "latency.seconds", "le": "+Inf"}),
    ),
)


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """Return a folder as `up` keeps it, with two sealed windows and a log of one tenant."""
    root = tmp_path / "data" / "metrics"
    store = MetricStore(root)
    for k in range(6 * 60):
        store.append(A, LAYOUT, T0 + k * 60_000, np.array([1, k * 7, k / 3]))
    store.expire(A, T0 + 6 * HOUR)
    store.close()
    return tmp_path


def run(home: Path, *arguments: str, stdin: bytes | None = None) -> Result:
    command = ["tsdb", arguments[0], "--data-dir", str(home), *arguments[1:]]
    return CliRunner().invoke(main, command, input=stdin)


def asked(home: Path, *arguments: str) -> dict[str, object]:
    found = run(home, *arguments, "-o", "json")
    assert found.exit_code == 0, found.output
    content = json.loads(found.stdout)
    assert isinstance(content, dict)
    return content


def reopened(home: Path) -> MetricStore:
    return MetricStore(home / "data" / "metrics")


def block_paths(home: Path) -> list[Path]:
    return sorted((home / "data" / "metrics" / A / "blocks").glob("*.blk"))


def test_list_names_every_block_and_the_log(home: Path) -> None:
    items = asked(home, "list")["items"]
    assert isinstance(items, list)
    assert [(row["series"], row["samples"], row["chunks"]) for row in items[:2]] == [
        (3, 360, 1)
    ] * 2
    first, _, log = items
    assert (first["tenant"], first["start"], first["end"]) == (A, T0, T0 + 2 * HOUR - 60_000)
    assert first["bytes"] == block_paths(home)[0].stat().st_size
    assert first["bytes_per_sample"] == round(first["bytes"] / 360, 3)
    assert (log["block"], log["series"], log["samples"]) == ("log", 3, 360)
    table = run(home, "list").stdout
    assert "2023-11-15T00:00:00.000Z" in table
    assert table.splitlines()[0].split()[:4] == ["TENANT", "BLOCK", "START", "END"]


def test_reading_works_beside_a_server_and_changing_does_not(home: Path, tmp_path: Path) -> None:
    store = reopened(home)
    try:
        expected = len(store.series(A, []))
        assert len(asked(home, "list")["items"]) == 3  # type: ignore[arg-type]  # a list
        assert asked(home, "verify")["faults"] == []
        assert asked(home, "analyze")["series"] == expected
        assert run(home, "export", "--to", str(tmp_path / "x.om")).exit_code == 0
        (tmp_path / "empty.om").write_text("# EOF\n")
        for command in (("compact",), ("import", str(tmp_path / "empty.om"))):
            refused = run(home, *command)
            assert refused.exit_code == 1
            assert re.search(r"in use by another process \(pid \d+\): stop it", refused.stderr)
    finally:
        store.close()


def test_analyze_ranks_metrics_labels_and_churn(home: Path) -> None:
    store = reopened(home)
    many = Layout("m", tuple(Labels.of({"__name__": "many", "pod": f"p{i}"}) for i in range(9)))
    store.append(A, many, T0 + 6 * HOUR, np.arange(9.0))
    store.append(A, LAYOUT, T0 + 7 * HOUR, np.ones(3))
    store.expire(A, T0 + 10 * HOUR)
    store.close()
    found = asked(home, "analyze", "--limit", "2")
    assert found["metric_series"] == [["many", 9], ["latency.seconds", 1]]
    assert found["name_values"] == [["pod", 9], ["__name__", 4]]
    assert found["pair_churn"][0] == ["__name__=many", 9]  # type: ignore[index]  # a list
    assert found["series"] == 12
    oldest = block_paths(home)[0].name.split("-")[2].removesuffix(".blk")
    assert asked(home, "analyze", "--block", oldest)["samples"] == 360
    table = run(home, "analyse", "--limit", "1").stdout
    assert "Metrics with most series:\n           9 many\n" in table
    wrong = run(home, "analyze", "--block", "nope")
    assert (wrong.exit_code, "no block" in wrong.stderr) == (1, True)


def test_analyze_makes_a_block_of_the_log_where_there_is_none(tmp_path: Path) -> None:
    store = MetricStore(tmp_path / "metrics")
    store.append(A, LAYOUT, T0, np.ones(3))
    store.close()
    found = asked(tmp_path, "analyze")
    assert (found["block"], found["series"], found["samples"]) == ("log", 3, 3)
    before = sorted(path.name for path in (tmp_path / "metrics" / A).rglob("*"))
    assert before == ["00000000.wal", "wal"]


def test_verify_tells_file_and_offset_of_every_fault(home: Path) -> None:
    good = run(home, "verify")
    assert (good.exit_code, good.stdout) == (
        0,
        "2 blocks with 720 samples, 1 log segments: no faults\n",
    )
    first, second = block_paths(home)
    store = StillStore(A, home / "data" / "metrics" / A)
    with BlockReader(next(iter(store.blocks))) as reader:
        offset = int(reader.contents().chunks.offset[0])
    flip(first, offset + 9)
    flip(second, next(iter(store.blocks)).sections[SectionKind.ABOUT].offset + 1)
    bad = run(home, "verify")
    assert bad.exit_code == 1
    assert f"{first}: offset {offset}: checksum" in bad.stdout
    assert f"{second}: offset " in bad.stdout
    assert "2 faults" in bad.stdout


def flip(path: Path, offset: int) -> None:
    data = bytearray(path.read_bytes())
    data[offset] ^= 0xFF
    path.write_bytes(data)


def test_a_torn_end_of_the_log_is_a_note_and_damage_before_it_a_fault(home: Path) -> None:
    store = reopened(home)
    store.append(A, LAYOUT, T0 + 7 * HOUR, np.ones(3))
    store.close()
    wal = sorted((home / "data" / "metrics" / A / "wal").iterdir())
    with wal[-1].open("ab") as file:
        file.write(b"torn")
    torn = run(home, "verify")
    assert torn.exit_code == 0
    assert f"note: {wal[-1]}: offset " in torn.stdout
    flip(wal[0], wal[0].stat().st_size - 1)
    damaged = run(home, "verify")
    assert damaged.exit_code == 1
    assert f"{wal[0]}: offset " in damaged.stdout


def test_verify_notes_blocks_that_overlap(home: Path) -> None:
    store = reopened(home)
    late = Layout("late", (Labels.of({"__name__": "late"}),))
    store.append(A, late, T0 + 5, np.ones(1))
    store.expire(A, T0 + 8 * HOUR)
    store.close()
    found = run(home, "verify")
    assert found.exit_code == 0
    assert "has times of" in found.stdout


def test_compact_seals_and_merges_and_loses_nothing(home: Path) -> None:
    before = run(home, "export").stdout
    found = run(home, "compact")
    assert found.exit_code == 0, found.output
    assert re.fullmatch(r"acme: 2 blocks, \d+ bytes -> 1 blocks, \d+ bytes\n", found.stdout)
    assert len(block_paths(home)) == 1
    assert run(home, "export").stdout == before


def test_export_and_import_give_the_same_samples(home: Path, tmp_path: Path) -> None:
    text = run(home, "export").stdout
    assert text.endswith("# EOF\n")
    assert text.count("\n") == 3 * 360 + 1
    other = tmp_path / "other"
    (other / "metrics").mkdir(parents=True)
    said = run(other, "import", "--tenant", B, "-", stdin=text.encode())
    assert (said.exit_code, said.stdout) == (0, "beta: 1080 samples in 3 blocks\n")
    assert run(other, "export").stdout == text
    again = run(other, "import", "-", stdin=text.encode())
    assert again.exit_code == 0
    assert run(other, "export").stdout == text


def test_export_takes_selectors_and_times(home: Path) -> None:
    end = str((T0 + 60_000) / 1000)
    found = run(home, "export", "--match", "up", "--match", '{job="a"}', "--end", end)
    assert found.stdout.splitlines() == [
        'requests_total{job="a",path="with \\"quotes\\"\\\\\\n"} 0 1700006400.0',
        'requests_total{job="a",path="with \\"quotes\\"\\\\\\n"} 7 1700006460.0',
        'up{job="a"} 1 1700006400.0',
        'up{job="a"} 1 1700006460.0',
        "# EOF",
    ]
    late = run(home, "export", "--start", "2023-11-15T05:59:00Z", "--match", "up")
    assert late.stdout == 'up{job="a"} 1 1700027940.0\n# EOF\n'
    assert run(home, "export", "--match", "up{").exit_code == 2
    assert run(home, "export", "--start", "yesterday").exit_code == 2
    assert run(home, "export", "--start", "0001-01-01T00:00:00Z").exit_code == 2


def test_export_leaves_out_what_the_format_cannot_say(home: Path) -> None:
    store = reopened(home)
    nameless = Layout("n", (Labels.of({"job": "x"}), Labels.of({"__name__": "ended"})))
    store.append(A, nameless, T0 + 7 * HOUR, np.array([1.0, 2.0]))
    store.append(A, nameless, T0 + 7 * HOUR + 1, np.array([1.0, STALE]))
    store.close()
    found = run(home, "export", "--start", str(T0 / 1000 + 7 * 3600))
    assert found.stdout == f"ended 2 {T0 / 1000 + 7 * 3600!r}\n# EOF\n"
    assert "1 series without a metric name were left out" in found.stderr


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("up 1 1700000000\n", "does not end with # EOF"),
        ("up 1\n# EOF\n", "has no time"),
        ("# EOF\nup 1 1700000000\n", "there is more behind # EOF"),
        ("up one 1700000000\n# EOF\n", "in the 1 lines from line 1 on"),
    ],
)
def test_import_refuses_what_it_does_not_understand(home: Path, text: str, message: str) -> None:
    found = run(home, "import", "-", stdin=text.encode())
    assert found.exit_code == 1
    assert message in found.stderr


def test_imported_samples_may_come_in_any_order_and_number(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(backfill, "AT_ONCE", 7)
    monkeypatch.setattr(tsdb_import, "_LINES", 5)
    times = [900, 100, 500, 300, 700, 200, 400, 100, 600, 800, 7300]
    lines = [f'old{{a="b"}} {at % 7} {at}' for at in times]
    text = "\n".join(["# TYPE old gauge", *lines, "# EOF"])
    assert run(home, "import", "-", stdin=text.encode()).exit_code == 0
    store = reopened(home)
    (found,) = store.select(A, [matcher("__name__", "=", "old")], start_ms=0, end_ms=10**8)
    store.close()
    expected = sorted(set(times))
    assert found.times.tolist() == [at * 1000 for at in expected]
    assert found.values.tolist() == [at % 7 for at in expected]


def test_tenants_and_folders_are_named_when_they_must_be(home: Path, tmp_path: Path) -> None:
    missing = run(tmp_path / "none", "list")
    assert (missing.exit_code, "there is no metric store" in missing.stderr) == (1, True)
    assert run(home, "list", "--tenant", "nobody").stderr.endswith("(there are: acme)\n")
    store = reopened(home)
    store.append(B, LAYOUT, T0, np.ones(3))
    store.close()
    unclear = run(home, "export")
    assert unclear.exit_code == 1
    assert "name one tenant with --tenant (there are: acme, beta)" in unclear.stderr
    assert run(home, "export", "--tenant", "beta").stdout.count("\n") == 4
    assert len(asked(home, "list", "--tenant", "beta")["items"]) == 1  # type: ignore[arg-type]  # a list
    bad = run(home, "import", "--tenant", "../evil", "-", stdin=b"# EOF\n")
    assert bad.exit_code == 1


def test_a_tenant_without_samples_is_told_of_without_complaint(tmp_path: Path) -> None:
    (tmp_path / "metrics" / A / "wal").mkdir(parents=True)
    assert asked(tmp_path, "analyze")["series"] == 0
    assert run(tmp_path, "analyze").stdout.startswith("Block log\nSeries: 0\n")
    assert run(tmp_path, "export").stdout == "# EOF\n"
    assert run(tmp_path, "verify").exit_code == 0
    assert run(tmp_path, "compact").exit_code == 0
    assert run(tmp_path, "list").exit_code == 0
