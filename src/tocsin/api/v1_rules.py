"""Uploaded rules over HTTP: `/api/tocsin/v1/rules`, a rule file for each namespace.

A file is a Prometheus rule file as it is. Its ETag is the digest of its text: whoever sends it
back as `If-Match` changes nothing that somebody else changed meanwhile. Every change is
audited.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from starlette.responses import Response

from tocsin.api.http import Call, Endpoint, Refusal, audited
from tocsin.config_loader.uploaded_rules import Change, UploadedFile
from tocsin.model.clock import Clock
from tocsin.model.codec import encode
from tocsin.model.errors import ConfigError
from tocsin.model.tenant import TenantId
from tocsin.security.audit import AuditOutcome, Trail
from tocsin.security.permissions import Permission

LARGEST = 1 << 20  # bytes of a file, as of every rule file
_YAML = "application/yaml"


class Uploads(Protocol):
    """What the routes need: uploads that are kept and in force."""

    async def all(self, tenant: TenantId) -> dict[str, UploadedFile]:
        """Return every upload of a tenant by namespace."""
        ...

    async def get(self, tenant: TenantId, namespace: str) -> UploadedFile | None:
        """Return one upload, None when there is none. Raises InvalidInput."""
        ...

    async def put(
        self, tenant: TenantId, file: UploadedFile, *, instead_of: str | None = None
    ) -> Change:
        """Keep a file and put it in force, instead of the one of this digest ("": of none).

        Raises ConfigError, InvalidInput, NotDurable: nothing has changed then.
        """
        ...

    async def delete(
        self, tenant: TenantId, namespace: str, *, instead_of: str | None = None
    ) -> Change:
        """Forget a file and end its rules. Raises InvalidInput, NotDurable."""
        ...


@dataclass(frozen=True, slots=True)
class RuleUploadApi:
    """The routes, to stand below `/api/tocsin/v1`."""

    uploads: Uploads
    trail: Trail
    clock: Clock

    def endpoints(self) -> tuple[Endpoint, ...]:
        """Return the routes."""
        one = "/rules/{namespace:path}"
        edit = Permission.EDIT_RULES
        return (
            Endpoint("/rules", ("GET",), Permission.READ, self.list_files),
            Endpoint(one, ("GET",), Permission.READ, self.get_file),
            Endpoint(one, ("PUT",), edit, self.put_file),
            Endpoint(one, ("DELETE",), edit, self.delete_file),
        )

    async def list_files(self, call: Call) -> Response:
        """List the namespaces of the tenant with the digests of their files."""
        found = await self.uploads.all(call.tenant)
        items = [
            {"namespace": name, "sha256": file.sha256, "bytes": len(file.text.encode())}
            for name, file in found.items()
        ]
        return _json({"items": items, "next": None})

    async def get_file(self, call: Call) -> Response:
        """Answer with a file as it was uploaded."""
        found = await self.uploads.get(call.tenant, _namespace(call))
        if found is None:
            raise Refusal(404, "no rules were uploaded to this namespace")
        return Response(found.text, headers={"ETag": _tag(found)}, media_type=_YAML)

    async def put_file(self, call: Call) -> Response:
        """Take a rule file: 201 for a new namespace, 200 in place of another; in force then."""
        file = UploadedFile(_namespace(call), await _text(call))
        expected = await self._expected(call, file.namespace)
        try:
            change = await self.uploads.put(call.tenant, file, instead_of=expected)
        except ConfigError as error:
            self._note(call, AuditOutcome.FAILED)
            raise Refusal(422, str(error)) from error
        self._settle(call, change)
        body = {"namespace": file.namespace, "sha256": file.sha256}
        status = 201 if change is Change.CREATED else 200
        return _json(body, status=status, tag=_tag(file))

    async def delete_file(self, call: Call) -> Response:
        """Forget a file: its rules end, and their alerts are resolved."""
        namespace = _namespace(call)
        expected = await self._expected(call, namespace)
        change = await self.uploads.delete(call.tenant, namespace, instead_of=expected)
        self._settle(call, change)
        return Response(status_code=204)

    async def _expected(self, call: Call, namespace: str) -> str | None:
        """Return the digest of the file that must be there, "" for none, None for any."""
        headers = call.request.headers
        if headers.get("if-none-match", "").strip() == "*":
            return ""
        wanted = headers.get("if-match", "").strip()
        if wanted != "*":
            return wanted.removeprefix("W/").strip('"') if wanted else None
        found = await self.uploads.get(call.tenant, namespace)
        if found is None:
            raise _conflict()
        return found.sha256

    def _settle(self, call: Call, change: Change) -> None:
        """Audit a change; refuse the request where there was none."""
        if change is Change.CONFLICT:
            self._note(call, AuditOutcome.FAILED)
            raise _conflict()
        if change is Change.ABSENT:
            raise Refusal(404, "no rules were uploaded to this namespace")
        self._note(call, AuditOutcome.ALLOWED)

    def _note(self, call: Call, outcome: AuditOutcome) -> None:
        now = self.clock.now()
        self.trail(audited(call.request, call.principal, at=now, outcome=outcome))


def _conflict() -> Refusal:
    return Refusal(412, "the rules of this namespace are not those you expect")


def _namespace(call: Call) -> str:
    return str(call.request.path_params["namespace"])


async def _text(call: Call) -> str:
    body = await call.body(most=LARGEST)
    try:
        return body.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise Refusal(400, "a rule file is UTF-8") from error


def _tag(file: UploadedFile) -> str:
    return f'"{file.sha256}"'


def _json(value: object, *, status: int = 200, tag: str = "") -> Response:
    headers = {"ETag": tag} if tag else None
    return Response(encode(value), status, headers, media_type="application/json")
