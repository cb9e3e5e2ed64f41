"""`kiteway cert renew`: renew a managed certificate now."""

from __future__ import annotations

import asyncio
import datetime as dt
import time
from typing import Annotated

import typer

from kiteway.acme.records import Demand, encoded, write
from kiteway.acme.storage import FileStorage
from kiteway.acme.wanted_certificate import WantedCertificate
from kiteway.cli.options import DataDirOption
from kiteway.cli.output import fail, stderr
from kiteway.cli.running import running_instance, status_of
from kiteway.controlplane.config import Config, read
from kiteway.diagnostics import ObjectRef
from kiteway.instance import Instance
from kiteway.ownership import NotOursError, check_own
from kiteway.report.certificates import ManagedCertificateReport

RENEW_EXAMPLES = (
    "Examples:\n\n  kiteway cert renew my-release-milvus-tls\n\n  kiteway cert renew default/my-release-milvus-tls"
)
_PATIENCE_SECONDS = 300.0
_POLL_SECONDS = 0.2


def renew(
    name: Annotated[str, typer.Argument(metavar="[NAMESPACE/]NAME", help="The ManagedCertificate.")],
    data_dir: DataDirOption = None,
) -> None:
    """
    Renew a managed certificate now, after its key was lost or the CA revoked it, for example.

    The present certificate is served until the new one is issued. The CA's limits still apply.

    Exit status: 0 renewed, 1 not.
    """
    instance = running_instance(data_dir)
    namespace, _, own = name.rpartition("/")
    wanted = WantedCertificate(ObjectRef("ManagedCertificate", namespace or "default", own), ())
    before = _managed(instance, wanted.key)
    config = read(instance.controlplane_file)
    if config.acme.blocked is not None:
        raise fail(" ".join(config.acme.blocked))
    _ask(instance, config, f"{wanted.folder(config.acme.issuer_key)}/demand")
    stderr.print(f"requested a new certificate for {wanted.key}")
    after = _wait(instance, wanted.key, before)
    if after.fingerprint == before.fingerprint:
        raise fail(f"{after.certificate_status}: {after.message} {after.fix}".strip())
    until = f", valid until {after.expire_time:%Y-%m-%d %H:%M} UTC" if after.expire_time else ""
    stderr.print(f"renewed{until}")


def _ask(instance: Instance, config: Config, key: str) -> None:
    """Store the request for a new certificate, where the instance finds it."""
    demand = Demand(dt.datetime.now(dt.UTC))
    if config.kubernetes is None:
        try:
            check_own(instance.state_dir, link=False)
        except NotOursError as error:
            raise fail(str(error)) from error
        write(FileStorage(instance.state_dir), key, demand)
        return
    from kiteway.controlplane.cluster import store
    from kiteway.kubernetes.api import ApiError, ApiUnavailableError, NoClusterError

    try:
        asyncio.run(store(config.kubernetes, config.ingress_class, key, encoded(demand)))
    except (NoClusterError, ApiError, ApiUnavailableError) as error:
        raise fail(f"the API server refuses the request: {error}") from error


def _managed(instance: Instance, key: str) -> ManagedCertificateReport:
    known = {each.name: each for each in status_of(instance).managed_certificates}
    if key not in known:
        raise fail(f"there is no ManagedCertificate {key}; there are: {', '.join(known) or 'none'}")
    return known[key]


def _wait(instance: Instance, key: str, before: ManagedCertificateReport) -> ManagedCertificateReport:
    """Return the status once it has a new certificate, or a new reason why there is none."""
    deadline = time.monotonic() + _PATIENCE_SECONDS
    while time.monotonic() < deadline:
        now = _managed(instance, key)
        failed = now.next_attempt is not None and now.next_attempt != before.next_attempt
        if now.fingerprint != before.fingerprint or failed:
            return now
        time.sleep(_POLL_SECONDS)
    return _managed(instance, key)
