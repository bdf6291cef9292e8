"""TLS settings of connections this stage makes, read from files again when the files change."""

from __future__ import annotations

import asyncio
import ssl
import tempfile
from pathlib import Path

from tocsin.metrics_collector.ports import VERIFIED, TlsOptions

VERSIONS = {
    "TLS10": ssl.TLSVersion.TLSv1,
    "TLS11": ssl.TLSVersion.TLSv1_1,
    "TLS12": ssl.TLSVersion.TLSv1_2,
    "TLS13": ssl.TLSVersion.TLSv1_3,
}
_Stamp = tuple[tuple[int, int], ...]


class TlsContexts:
    """Makes each context once, and again when a file of it is another than before."""

    def __init__(self) -> None:
        """Make nothing yet."""
        self._made: dict[TlsOptions, tuple[_Stamp, ssl.SSLContext]] = {}

    async def of(self, options: TlsOptions) -> ssl.SSLContext | bool:
        """Return how to do TLS; True stands for the ordinary way.

        Raises OSError or ssl.SSLError when a file or what stands in it is no good.
        """
        if options == VERIFIED:
            return True
        if not _files(options) and options in self._made:
            return self._made[options][1]
        return await asyncio.to_thread(self._looked_after, options)

    def _looked_after(self, options: TlsOptions) -> ssl.SSLContext:
        """Return the context as its files are now. Blocks on disk."""
        stamp = tuple(_stamp(Path(name)) for name in _files(options))
        known = self._made.get(options)
        if known is None or known[0] != stamp:
            known = self._made[options] = (stamp, tls_context(options))
        return known[1]


def tls_context(options: TlsOptions) -> ssl.SSLContext:
    """Return the TLS settings of `options`.

    Blocks on disk. Raises OSError or ssl.SSLError when a file or what stands in it is no good.
    """
    context = ssl.create_default_context(cafile=options.ca_file or None, cadata=options.ca or None)
    if options.min_version:
        context.minimum_version = VERSIONS[options.min_version]
    if options.max_version:
        context.maximum_version = VERSIONS[options.max_version]
    if not options.verify:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    if options.cert or options.cert_file:
        _show(context, options)
    return context


def _show(context: ssl.SSLContext, options: TlsOptions) -> None:
    """Load the certificate to show; the library takes files only, so texts become files."""
    with tempfile.TemporaryDirectory(prefix="tocsin-tls-") as folder:
        cert, key = options.cert_file, options.key_file
        if not cert:
            cert = _written(Path(folder) / "cert.pem", options.cert)
        if not key and options.key is not None:
            key = _written(Path(folder) / "key.pem", options.key.reveal())
        context.load_cert_chain(cert, key or None)


def _written(path: Path, text: str) -> str:
    """Write a file that only this process may read; its folder is this process' alone, too."""
    path.touch(mode=0o600)
    path.write_text(text)
    return str(path)


def _files(options: TlsOptions) -> tuple[str, ...]:
    names = (options.ca_file, options.cert_file, options.key_file)
    return tuple(name for name in names if name)


def _stamp(path: Path) -> tuple[int, int]:
    status = path.stat()
    return status.st_mtime_ns, status.st_size
