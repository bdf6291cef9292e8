"""The figures of this host under the names of node_exporter, read with psutil and from /proc.

Reading may block (a disk that does not answer), so it happens in a thread. What a platform
does not have is left out. File systems of other machines are left out too: a dead server
would hang the reading. Source of the names: prometheus/node_exporter 1.8.
"""

from __future__ import annotations

import asyncio
import os
import re
import socket
import time
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path

import psutil

from tocsin.metrics_collector.ports import Family, Host
from tocsin.model.labels import METRIC_NAME, Labels
from tocsin.model.sample import Metadata

Rows = list[tuple[dict[str, str], float]]

_MODES = ("user", "nice", "system", "idle", "iowait", "irq", "softirq", "steal")
_NO_FILESYSTEM = re.compile(  # node_exporter's default, and network file systems
    r"autofs|binfmt_misc|bpf|cgroup2?|configfs|debugfs|devpts|devtmpfs|fusectl|hugetlbfs|iso9660|"
    r"mqueue|nsfs|overlay|proc|procfs|pstore|rpc_pipefs|securityfs|selinuxfs|squashfs|sysfs|"
    r"tracefs|nfs4?|cifs|smb3?|smbfs|9p|ceph|glusterfs|fuse\..*"
)
_NO_MOUNT = re.compile(
    r"/(dev|proc|run/credentials/.+|sys|var/lib/docker/.+|var/lib/containers/storage/.+)(/.*)?"
)
_NO_DISK = re.compile(r"(z?ram|loop|fd|(h|s|v|xv)d[a-z]|nvme\d+n\d+p)\d+")
_WEIGHTED_MS = 13  # column of /proc/diskstats, Linux Documentation/admin-guide/iostats
_ABSENT = (OSError, NotImplementedError, RuntimeError)  # psutil where a platform has no such thing


class PsutilHost(Host):
    """Reads the host this process runs on."""

    async def read(self) -> Sequence[Family]:
        """Return the host's figures now; a thread reads them."""
        return await asyncio.to_thread(read_host)


def read_host() -> list[Family]:
    """Return the host's figures now. Blocks."""
    families: list[Family] = []
    for part in (_cpu, _memory, _load, _filesystems, _disks, _network, _kernel, _identity):
        with suppress(*_ABSENT):
            families += part()
    return families


def host_name() -> str:
    """Return the name of this host."""
    return socket.gethostname()


def family(name: str, help_text: str, rows: Rows) -> Family:
    """Return a family of series; a name that ends in `_total` is a counter, else a gauge."""
    kind = "counter" if name.endswith("_total") else "gauge"
    samples = tuple((Labels.of({**labels, METRIC_NAME: name}), value) for labels, value in rows)
    return Family(name, Metadata(kind, help_text), samples)


def single(name: str, help_text: str, value: float) -> Family:
    """Return a family of one series without labels."""
    return family(name, help_text, [({}, value)])


def _cpu() -> Iterator[Family]:
    times = psutil.cpu_times(percpu=True)
    rows = [
        ({"cpu": str(index), "mode": mode}, float(getattr(cpu, mode)))
        for index, cpu in enumerate(times)
        for mode in _MODES
        if hasattr(cpu, mode)
    ]
    yield family("node_cpu_seconds_total", "Seconds the CPUs spent in each mode.", rows)
    stats = psutil.cpu_stats()
    yield single("node_context_switches_total", "Context switches.", stats.ctx_switches)
    yield single("node_intr_total", "Interrupts serviced.", stats.interrupts)


def _memory() -> Iterator[Family]:
    for name, size in (_meminfo() or _psutil_memory()).items():
        field = name.replace("(", "_").replace(")", "")
        yield single(f"node_memory_{field}_bytes", f"Memory information field {name}.", size)


def _meminfo() -> dict[str, float]:
    path = Path("/proc/meminfo")
    if not path.exists():
        return {}
    lines = (line.split() for line in path.read_text().splitlines())
    return {
        words[0].rstrip(":"): float(words[1]) * 1024
        for words in lines
        if len(words) == 3 and words[2] == "kB"
    }


def _psutil_memory() -> dict[str, float]:
    memory, swap = psutil.virtual_memory(), psutil.swap_memory()
    return {
        "MemTotal": memory.total,
        "MemAvailable": memory.available,
        "MemFree": memory.free,
        "SwapTotal": swap.total,
        "SwapFree": swap.free,
    }


def _load() -> Iterator[Family]:
    for minutes, value in zip((1, 5, 15), os.getloadavg(), strict=True):
        yield single(f"node_load{minutes}", f"{minutes}m load average.", value)


def _filesystems() -> Iterator[Family]:
    figures: dict[str, Rows] = {"size": [], "free": [], "avail": []}
    counts: dict[str, Rows] = {"files": [], "files_free": []}
    readonly: Rows = []
    for labels, path in _mounts():
        with suppress(OSError):
            found = os.statvfs(path)
            readonly.append((labels, float(bool(found.f_flag & os.ST_RDONLY))))
            block = found.f_frsize
            figures["size"].append((labels, float(found.f_blocks * block)))
            figures["free"].append((labels, float(found.f_bfree * block)))
            figures["avail"].append((labels, float(found.f_bavail * block)))
            counts["files"].append((labels, float(found.f_files)))
            counts["files_free"].append((labels, float(found.f_ffree)))
    for name, rows in figures.items():
        yield family(f"node_filesystem_{name}_bytes", f"File system {name} in bytes.", rows)
    for name, rows in counts.items():
        yield family(f"node_filesystem_{name}", "File system inodes.", rows)
    yield family("node_filesystem_readonly", "1 where a file system is read-only.", readonly)


def _mounts() -> Iterator[tuple[dict[str, str], str]]:
    """Return every file system worth watching once; the root always is, also in a container."""
    seen: set[str] = set()
    for part in psutil.disk_partitions(all=True):
        skipped = _NO_FILESYSTEM.fullmatch(part.fstype) or _NO_MOUNT.fullmatch(part.mountpoint)
        if part.mountpoint in seen or (skipped and part.mountpoint != "/"):
            continue
        seen.add(part.mountpoint)
        labels = {"device": part.device, "fstype": part.fstype, "mountpoint": part.mountpoint}
        yield labels, part.mountpoint


_DISK_FIGURES: tuple[tuple[str, str, float], ...] = (
    ("read_bytes_total", "read_bytes", 1),
    ("written_bytes_total", "write_bytes", 1),
    ("reads_completed_total", "read_count", 1),
    ("writes_completed_total", "write_count", 1),
    ("read_time_seconds_total", "read_time", 0.001),
    ("write_time_seconds_total", "write_time", 0.001),
    ("io_time_seconds_total", "busy_time", 0.001),
)


def _disks() -> Iterator[Family]:
    found = psutil.disk_io_counters(perdisk=True, nowrap=False) or {}
    disks = {name: disk for name, disk in found.items() if not _NO_DISK.fullmatch(name)}
    for name, field, factor in _DISK_FIGURES:
        rows = [
            ({"device": device}, getattr(disk, field) * factor)
            for device, disk in disks.items()
            if hasattr(disk, field)
        ]
        yield family(f"node_disk_{name}", f"Disk {field.replace('_', ' ')}.", rows)
    yield from _disk_queues()


def _disk_queues() -> Iterator[Family]:
    """Return the seconds requests spent in each disk, waiting included: psutil leaves them out."""
    path = Path("/proc/diskstats")
    lines = path.read_text().splitlines() if path.exists() else []
    disks = [fields for line in lines if len(fields := line.split()) > _WEIGHTED_MS]
    rows = [
        ({"device": fields[2]}, float(fields[_WEIGHTED_MS]) / 1000)
        for fields in disks
        if not _NO_DISK.fullmatch(fields[2])
    ]
    name = "node_disk_io_time_weighted_seconds_total"
    yield family(name, "Seconds of I/O, times the requests under way.", rows)


_NETWORK_FIGURES = (
    ("receive_bytes", "bytes_recv"),
    ("receive_packets", "packets_recv"),
    ("receive_errs", "errin"),
    ("receive_drop", "dropin"),
    ("transmit_bytes", "bytes_sent"),
    ("transmit_packets", "packets_sent"),
    ("transmit_errs", "errout"),
    ("transmit_drop", "dropout"),
)


def _network() -> Iterator[Family]:
    devices = psutil.net_io_counters(pernic=True, nowrap=False)
    for name, field in _NETWORK_FIGURES:
        rows = [({"device": nic}, float(getattr(io, field))) for nic, io in devices.items()]
        text = f"Network device statistic {name}."
        yield family(f"node_network_{name}_total", text, rows)


_KERNEL_FIGURES: dict[str, tuple[str, str]] = {
    "procs_running": ("node_procs_running", "Processes in runnable state."),
    "procs_blocked": ("node_procs_blocked", "Processes blocked waiting for I/O."),
    "processes": ("node_forks_total", "Forks."),
}


def _kernel() -> Iterator[Family]:
    yield single("node_boot_time_seconds", "Unix time of the last boot.", psutil.boot_time())
    yield single("node_time_seconds", "System time in seconds since the epoch.", time.time())
    for line in Path("/proc/stat").read_text().splitlines():
        field, _, value = line.partition(" ")
        if field in _KERNEL_FIGURES:
            yield single(*_KERNEL_FIGURES[field], float(value))
    yield from _oom_kills()
    yield from _open_files()


def _oom_kills() -> Iterator[Family]:
    """Return how often the kernel ended a process for want of memory (Linux 4.13 and later)."""
    for line in Path("/proc/vmstat").read_text().splitlines():
        field, _, value = line.partition(" ")
        if field == "oom_kill":
            told = Metadata("counter", "Processes ended for want of memory.")
            name = "node_vmstat_oom_kill"  # a counter, though its name does not say so
            yield Family(name, told, ((Labels.of({METRIC_NAME: name}), float(value)),))


def _open_files() -> Iterator[Family]:
    allocated, _, maximum = Path("/proc/sys/fs/file-nr").read_text().split()
    yield single("node_filefd_allocated", "File descriptors in use.", float(allocated))
    yield single("node_filefd_maximum", "File descriptors there may be.", float(maximum))


def _identity() -> Iterator[Family]:
    names = os.uname()
    labels = {
        "sysname": names.sysname,
        "nodename": names.nodename,
        "release": names.release,
        "version": names.version,
        "machine": names.machine,
        "domainname": "(none)",
    }
    yield family("node_uname_info", "System information as the uname call gives it.", [(labels, 1)])
