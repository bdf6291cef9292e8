"""`tocsin init`: a first configuration that works, and the tokens that go with it."""

from __future__ import annotations

import json
from pathlib import Path

import click

from tocsin.cli.token import new_token
from tocsin.config_loader.json_schema import config_schema
from tocsin.model.errors import InvalidTenant
from tocsin.model.tenant import tenant_id

VALIDATE_OFFSET = 4
OPERATOR = "operator"  # the token file of the platform itself

HEADER = """\
# yaml-language-server: $schema=tocsin.schema.json
# The configuration of this Tocsin. Reference: docs/reference/configuration.md.
# Check a change with `tocsin check config {name}`; a running server takes it over by itself.
server:
  listen: ["127.0.0.1:{port}"]
  tokens:
    - {{ name: operator, role: platform-admin, sha256: {operator} }}
storage:
  path: data
tenants:
"""

TENANT = """\
  - id: "{tenant}"
    tokens:
      - {{ name: first, role: tenant-admin, sha256: {digest} }}
    system_metrics: {{ enabled: true, interval: 5s }}
    evaluation_interval: 5s
    # Rules for hosts and services, with their thresholds and runbooks: `tocsin packs show system`.
    # To change a number: - {{ name: system, set: {{ disk_free_ratio: 0.1 }} }}
    rule_packs:
      - system
    alertmanager:
      route:
        receiver: team
        group_by: [alertname]
        routes:
          # `tocsin validate` posts an alert here and waits for it at the address below.
          - receiver: tocsin-validate
            matchers: ['tocsin_validate="true"']
            group_by: ["..."]
            group_wait: 1s
      receivers:
        # Add slack_configs, email_configs or webhook_configs: docs/howto/receivers.md
        - name: team
        - name: tocsin-validate
          webhook_configs:
            - {{ url: "http://127.0.0.1:{validate_port}/{tenant}", send_resolved: false }}
"""


@click.command()
@click.option("--port", type=click.IntRange(1, 65000), default=9093, show_default=True)
@click.option("--dir", "folder", type=click.Path(path_type=Path), default=Path(), help="Where.")
@click.option(
    "--tenant",
    "tenants",
    multiple=True,
    default=("tenant_a", "tenant_b"),
    show_default=True,
    help="A tenant to begin with; give it once for each.",
)
def init(folder: Path, port: int, tenants: tuple[str, ...]) -> None:
    """Write DIR/tocsin.yaml and one token file a tenant; keep them where they are there."""
    for tenant in tenants:
        _check(tenant)
    if write_first_configuration(folder, tenants, port=port):
        click.echo(f"wrote {folder / 'tocsin.yaml'} and {folder / 'tokens'}/", err=True)
    else:
        click.echo(f"kept {folder / 'tocsin.yaml'}", err=True)


def _check(tenant: str) -> None:
    """Raise BadParameter unless a token file can bear the name of `tenant`."""
    try:
        tenant_id(tenant)
    except InvalidTenant as error:
        raise click.BadParameter(str(error), param_hint="--tenant") from error
    if tenant == OPERATOR:
        message = f"{OPERATOR!r} is whose token runs the platform: give the tenant another name"
        raise click.BadParameter(message, param_hint="--tenant")


def write_first_configuration(folder: Path, tenants: tuple[str, ...], *, port: int) -> bool:
    """Write configuration and tokens; return False, changing nothing, when there is one already.

    Token files are created with mode 0600 and hold the token and a newline. The JSON Schema that
    editors check the configuration with is written beside it. The validation
    webhook listens VALIDATE_OFFSET ports above `port`.
    """
    path = folder / "tocsin.yaml"
    if path.exists():
        return False
    tokens = folder / "tokens"
    tokens.mkdir(parents=True, exist_ok=True, mode=0o700)
    operator = new_token(tokens / f"{OPERATOR}.token")
    text = HEADER.format(name=path.name, port=port, operator=operator)
    for tenant in dict.fromkeys(tenants):
        digest = new_token(tokens / f"{tenant}.token")
        where = port + VALIDATE_OFFSET
        text += TENANT.format(tenant=tenant, digest=digest, validate_port=where)
    path.write_text(text)
    schema = json.dumps(config_schema(), indent=2)
    path.with_name("tocsin.schema.json").write_text(schema + "\n")
    return True
