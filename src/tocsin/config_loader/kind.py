"""Tells our own file from an alertmanager.yml, by the keys at its top."""

from __future__ import annotations

from pathlib import Path

from tocsin.config_loader.tree import MapNode, parse

_OURS = frozenset({"tenant", "tenants", "server", "storage"})


def is_alertmanager_file(path: Path) -> bool:
    """Tell whether `path` holds an alertmanager.yml; False when it cannot be read or parsed.

    A file of ours may have a `route:` below `alertmanager:`, never at the top.
    """
    try:
        document = parse(path.read_text(encoding="utf-8-sig"), file=str(path))
    except (OSError, UnicodeDecodeError):
        return False
    root = document.root
    keys = set(root.node.entries) if root and isinstance(root.node, MapNode) else set()
    return "route" in keys and not keys & _OURS
