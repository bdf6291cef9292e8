"""The scrape jobs of a `prometheus.yml` and of the `scrape_config_files` it names.

Each file has a place of its own: paths in it start at its folder, and faults of a job are told
where the job is written.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import msgspec

from tocsin.config_loader.convert import convert
from tocsin.config_loader.files import Unreadable, is_pattern
from tocsin.config_loader.report import Report
from tocsin.config_loader.secret_files import read_secret_files
from tocsin.config_loader.tree import Section, parse
from tocsin.metrics_collector.config import MetricsConfig, ScrapeConfig, anchor_files
from tocsin.metrics_collector.http_config import gaps_of_client
from tocsin.model.settings import Finding

_KEY = "scrape_configs"


class JobFile(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One of `scrape_config_files`."""

    scrape_configs: list[ScrapeConfig] = msgspec.field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Jobs:
    """Scrape jobs, and where each is written: in which file, as which one of it."""

    configs: tuple[ScrapeConfig, ...] = ()
    places: tuple[tuple[Section, int], ...] = ()

    def joined(self, other: Jobs) -> Jobs:
        """Return these jobs and others."""
        return Jobs(self.configs + other.configs, self.places + other.places)

    def of(self, configs: Iterable[ScrapeConfig]) -> Jobs:
        """Return other configurations of the same jobs."""
        return replace(self, configs=tuple(configs))

    def placed(
        self, findings: Iterable[Finding], root: Section
    ) -> Iterator[tuple[Section, Finding]]:
        """Yield findings about a configuration of these jobs where they belong; else in `root`."""
        for finding in findings:
            if finding.path[0] != _KEY:
                yield root, finding
                continue
            section, index = self.places[int(finding.path[1])]
            yield section, replace(finding, path=(_KEY, index, *finding.path[2:]))


def jobs_of(configs: Sequence[ScrapeConfig], section: Section, folder: Path) -> Jobs:
    """Return the jobs of one file; their paths start at `folder`."""
    anchored = anchor_files(MetricsConfig(scrape_configs=list(configs)), folder.absolute())
    places = tuple((section, index) for index in range(len(configs)))
    return Jobs(tuple(anchored.scrape_configs), places)


def read_job_files(
    patterns: Sequence[str], section: Section, *, folder: Path, report: Report
) -> Jobs:
    """Return the jobs of `scrape_config_files`; problems stand in the report."""
    jobs = Jobs()
    for index, pattern in enumerate(patterns):
        found = report.files.matching(folder / pattern)
        if not found:
            _miss(pattern, section.at("scrape_config_files", index), report)
        for path in found:
            try:
                jobs = jobs.joined(_read(path, report))
            except Unreadable as error:
                report.fault(section, str(error), "scrape_config_files", index)
    return jobs


def tell_of_gaps(jobs: Jobs, findings: Iterable[Finding], root: Section, report: Report) -> None:
    """Warn of what jobs ask for and is not built, and of what becomes of them."""
    unreachable = {n for n, job in enumerate(jobs.configs) if any(gaps_of_client(job))}
    for finding in findings:
        left_out = int(finding.path[1]) in unreachable
        what = "the job is left out" if left_out else "these targets are missing"
        told = replace(finding, message=f"{finding.message}; {what}")
        for section, placed in jobs.placed([told], root):
            report.warn(section, placed.message, *placed.path)


def _read(path: Path, report: Report) -> Jobs:
    """Return the jobs of one file. Raises Unreadable."""
    document = parse(report.files.text(path), file=str(path))
    report.broken(document.problems)
    if document.root is None:
        return Jobs()
    converted = convert(document.root, JobFile)
    report.broken(converted.problems)
    if converted.value is None:
        return Jobs()
    files = report.files
    revealed = read_secret_files(converted.value, document.root, folder=path.parent, files=files)
    report.problems += revealed.problems
    report.warnings += revealed.warnings
    return jobs_of(revealed.value.scrape_configs, document.root, path.parent)


def _miss(pattern: str, here: Section, report: Report) -> None:
    if is_pattern(pattern):
        report.warn(here, f'"{pattern}" matches no file')
    else:
        report.fault(here, f'scrape config file "{pattern}" does not exist')
