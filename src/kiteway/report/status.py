"""The status of an instance: the value that `kiteway status` shows."""

from __future__ import annotations

import enum
from typing import Final

import msgspec

from kiteway.report.certificates import ManagedCertificateReport, ServedCertificate
from kiteway.report.configuration import ConfigurationReport
from kiteway.report.exports import ExportReport
from kiteway.report.policies import AttachmentReport
from kiteway.report.pools import CheckedEndpoint, PoolReport
from kiteway.report.problem import Problem
from kiteway.report.routing import HostReport, ListenerReport
from kiteway.report.supervisor import SupervisorState

SCHEMA_VERSION: Final = 1
"""It grows when a field is removed, renamed or changes its meaning or type; a field may be added without."""


class State(enum.StrEnum):
    """The state of an instance in one word; `kiteway status` exits 0, 3 or 1 accordingly."""

    READY = "ready"
    DEGRADED = "degraded"
    """It serves, but not everything that was asked of it."""
    NOT_READY = "not ready"


class EnvoyState(enum.StrEnum):
    """Envoy's word for what it does (`ServerInfo.State`)."""

    LIVE = "LIVE"
    DRAINING = "DRAINING"
    PRE_INITIALIZING = "PRE_INITIALIZING"
    INITIALIZING = "INITIALIZING"
    UNKNOWN = ""
    """Envoy did not answer."""


class EnvoyReport(msgspec.Struct, frozen=True, rename="camel"):
    """
    Envoy.

    Attributes:
        reachable: whether its admin API answered.
        version: its release.
        state: what it does.
        uptime_seconds: seconds since its start.
        error: why it did not answer.
    """

    reachable: bool = False
    version: str = ""
    state: EnvoyState = EnvoyState.UNKNOWN
    uptime_seconds: int = 0
    error: str = ""


class FilterReport(msgspec.Struct, frozen=True):
    """
    The filter inside Envoy.

    Attributes:
        loaded: whether Envoy has it.
        reason: why not; empty when it has.
        counters: what it counted in all pools together since Envoy's start, by name; zeros are left out.
    """

    loaded: bool = False
    reason: str = ""
    counters: dict[str, int] = {}


class Status(msgspec.Struct, frozen=True, rename="camel", kw_only=True):
    """
    An instance.

    Attributes:
        schema_version: the version of this document.
        version: the release of Kiteway that runs.
        state: `ready`: it serves everything. `degraded`: it serves, but not everything. `not ready`: it does not serve.
        reasons: why it is not ready, or degraded.
        answered: whether the control plane answered; when it did not, only the fields up to `supervisor` are filled in.
        ready: whether it serves: `state` is not `not ready`.
        reason: why it does not serve; empty when it does.
        supervisor: the supervisor and its children; null when it is not known.
        envoy: Envoy.
        filter: the filter inside Envoy.
        configuration: what Envoy was offered, and what it did not accept.
        listeners: the open ports.
        hosts: the hosts and their routes.
        certificates: the certificates of the listeners.
        managed_certificates: the ManagedCertificates.
        pools: the pools and their endpoints.
        replicas: the live replicas of Kiteway, among which the limits of policies are divided.
        policies: the targets of the MilvusPolicies.
        export: the export to an OpenTelemetry collector; null if there is none.
        diagnostics: everything that is wrong in the manifests.
    """

    schema_version: int = SCHEMA_VERSION
    version: str
    state: State
    reasons: tuple[str, ...] = ()
    answered: bool = True
    ready: bool
    reason: str = ""
    supervisor: SupervisorState | None = None
    envoy: EnvoyReport = EnvoyReport()
    filter: FilterReport = FilterReport()
    configuration: ConfigurationReport = ConfigurationReport()
    listeners: tuple[ListenerReport, ...] = ()
    hosts: tuple[HostReport, ...] = ()
    certificates: tuple[ServedCertificate, ...] = ()
    managed_certificates: tuple[ManagedCertificateReport, ...] = ()
    pools: tuple[PoolReport, ...] = ()
    replicas: int = 1
    policies: tuple[AttachmentReport, ...] = ()
    export: ExportReport | None = None
    diagnostics: tuple[Problem, ...] = ()


class SchemaVersion(msgspec.Struct, frozen=True, rename="camel"):
    """The part of every version of a status that a reader looks at first; 0 is what instances before version 1 say."""

    schema_version: int = 0
    version: str = ""


class Errors(msgspec.Struct, frozen=True, rename="camel", kw_only=True):
    """
    The diagnostics that are errors or warnings, for a reader that asks often.

    Attributes:
        schema_version: the version of this document.
        errors: the diagnostics that are errors.
        warnings: the diagnostics that are warnings.
        retained: KIND NAMESPACE/NAME of the objects with errors whose last good version is served.
        loads: how many times changed objects were read since the control plane started.
    """

    schema_version: int = SCHEMA_VERSION
    errors: tuple[Problem, ...] = ()
    warnings: tuple[Problem, ...] = ()
    retained: tuple[str, ...] = ()
    loads: int = 0


class Health(msgspec.Struct, frozen=True, rename="camel", kw_only=True):
    """The endpoints of each pool and their checks, for a reader that asks often."""

    schema_version: int = SCHEMA_VERSION
    pools: tuple[tuple[CheckedEndpoint, ...], ...] = ()


class PlanReport(msgspec.Struct, frozen=True, kw_only=True):
    """The meaning of manifests: the value of ``kiteway plan --output json``."""

    hosts: tuple[HostReport, ...]
    certificates: tuple[ServedCertificate, ...]
    diagnostics: tuple[Problem, ...]
