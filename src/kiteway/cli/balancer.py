"""The options common to all commands that run a balancer: declared, checked and used in one place."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Final

import typer

from kiteway.acme.config import LETS_ENCRYPT, AcmeConfig
from kiteway.cli.acme import (
    AcceptTermsOption,
    CaFileOption,
    ContactOption,
    DirectoryOption,
    EabKeyFileOption,
    EabKidOption,
    ResolverOption,
    acme_config,
)
from kiteway.cli.dashboard import (
    DashboardBehindTlsOption,
    DashboardCertificateOption,
    DashboardClientCaOption,
    DashboardHostOption,
    DashboardKeyOption,
    DashboardOption,
    DashboardTokenOption,
    dashboard_config,
)
from kiteway.cli.options import CacheMemoryOption, DataDirOption, MetricsBindOption, parse_metrics_bind
from kiteway.cli.otlp import (
    TRACE_SAMPLING,
    OtlpCaOption,
    OtlpEndpointOption,
    OtlpLogsOption,
    OtlpTokenFileOption,
    TraceSamplingOption,
    parse_otlp,
)
from kiteway.cli.output import stderr
from kiteway.cli.terminal import line
from kiteway.cli.values import NamespaceLimitOption, SSLPolicyOption, parse_namespace_limits, parse_ssl_policies
from kiteway.dashboard.config import DashboardConfig
from kiteway.envoy.binary import find_envoy
from kiteway.envoy.filter_config import UserNaming
from kiteway.envoy.otlp import OtlpSettings
from kiteway.envoy.settings import EnvoySettings
from kiteway.filter import filter_path, missing_reason
from kiteway.instance import Instance, InstanceError
from kiteway.model import TLSProfile
from kiteway.ownership import NotOursError, check_own
from kiteway.supervisor import ChildEvent
from kiteway.translate.shared.limits import MOST_CACHE_MEMORY, NamespaceLimits

_PARAMETER: Final = "options"


@dataclass(frozen=True, slots=True, kw_only=True)
class BalancerOptions:
    """The options as given on the command line."""

    https_port: Annotated[int, typer.Option("--https-port", min=1, max=65535, help="The HTTPS port.")] = 8443
    http_port: Annotated[
        int,
        typer.Option("--http-port", min=0, max=65535, help="The HTTP port, open if an Ingress uses it; 0 for none."),
    ] = 8080
    trusted_hops: Annotated[
        int,
        typer.Option(
            "--trusted-hops",
            metavar="N",
            min=0,
            help="The number of trusted proxies in front of Kiteway: so many entries of x-forwarded-for are trusted.",
        ),
    ] = 0
    proxy_protocol: Annotated[
        bool,
        typer.Option("--proxy-protocol", help="Every connection begins with a PROXY protocol header (v1 or v2)."),
    ] = False
    ssl_policy: SSLPolicyOption = None
    namespace_limit: NamespaceLimitOption = None
    cache_memory: CacheMemoryOption = MOST_CACHE_MEMORY
    acme_accept_terms: AcceptTermsOption = False
    acme_contact: ContactOption = ""
    acme_directory: DirectoryOption = LETS_ENCRYPT
    acme_ca: CaFileOption = None
    acme_eab_kid: EabKidOption = ""
    acme_eab_key_file: EabKeyFileOption = None
    acme_resolver: ResolverOption = ""
    log_users: Annotated[
        UserNaming,
        typer.Option(
            "--log-users",
            help="The form of user names in the access log, in traces and in kiteway top: names; hashed, with this instance's own "
            "key; none. API keys are always hashed, and passwords are never shown.",
        ),
    ] = UserNaming.NAMES
    metrics_bind: MetricsBindOption = None
    dashboard: DashboardOption = None
    dashboard_token_file: DashboardTokenOption = None
    dashboard_certificate: DashboardCertificateOption = None
    dashboard_key: DashboardKeyOption = None
    dashboard_client_ca: DashboardClientCaOption = None
    dashboard_behind_tls: DashboardBehindTlsOption = False
    dashboard_host: DashboardHostOption = None
    otlp_endpoint: OtlpEndpointOption = None
    trace_sampling: TraceSamplingOption = TRACE_SAMPLING
    otlp_logs: OtlpLogsOption = False
    otlp_ca: OtlpCaOption = None
    otlp_token_file: OtlpTokenFileOption = None
    data_dir: DataDirOption = None
    envoy: Annotated[
        Path | None, typer.Option("--envoy", metavar="PATH", help="An Envoy binary instead of the packaged one.")
    ] = None
    replace: Annotated[
        Path | None,
        typer.Option(
            "--replace",
            metavar="DIR",
            help="The data directory of a running instance whose ports this instance takes over; when this one is ready, "
            "the running one drains and ends.",
            show_default="none",
        ),
    ] = None
    drain: Annotated[
        float,
        typer.Option("--drain", metavar="SECONDS", min=0, help="How long to wait for calls in flight at the end."),
    ] = 30.0

    def check(self) -> Checked:
        """
        Check the options whose values can be invalid.

        Raises:
            ValueError, EnvoyNotFoundError: the value is invalid; the message says why.
        """
        acme = AcmeConfig(
            directory=self.acme_directory,
            accept_terms=self.acme_accept_terms,
            contact=self.acme_contact,
            ca_file=str(self.acme_ca.absolute()) if self.acme_ca else None,
            eab_kid=self.acme_eab_kid,
            eab_key_file=str(self.acme_eab_key_file.absolute()) if self.acme_eab_key_file else None,
            resolver=self.acme_resolver,
        )
        return Checked(
            acme_config(acme),
            parse_ssl_policies(self.ssl_policy or []),
            parse_namespace_limits(self.namespace_limit or []),
            parse_metrics_bind(self.metrics_bind) if self.metrics_bind else None,
            dashboard_config(
                self.dashboard,
                token_file=self.dashboard_token_file,
                certificate=self.dashboard_certificate,
                key=self.dashboard_key,
                client_ca=self.dashboard_client_ca,
                behind_tls=self.dashboard_behind_tls,
                hosts=self.dashboard_host or (),
            ),
            find_envoy(self.envoy),
            parse_otlp(
                self.otlp_endpoint,
                sampling=self.trace_sampling,
                logs=self.otlp_logs,
                ca=self.otlp_ca,
                token_file=self.otlp_token_file,
            ),
        )

    def predecessor(self, instance: Instance) -> Instance | None:
        """
        Return the running instance that ``instance`` replaces; if none runs any more, tell the user and return None.

        Raises:
            ValueError: --replace names this instance's own data directory, or another user's.
        """
        if self.replace is None:
            return None
        found = Instance(self.replace)
        if found.data_dir.resolve() == instance.data_dir.resolve():
            raise ValueError(
                f"--replace {self.replace} is this instance's own data directory; give this instance another one with --data-dir"
            )
        try:
            running = found.running_pid() is not None
            if running:
                # Whoever may change the folder says which process is told to stop.
                check_own(found.data_dir)
        except (InstanceError, NotOursError) as error:
            raise ValueError(
                f"the instance of --replace {self.replace} is another user's: only processes of one user can share a port; "
                "start this one as that user"
            ) from error
        except OSError as error:
            raise ValueError(f"--replace {self.replace} cannot be read: {error.strerror}") from error
        if not running:
            stderr.print(f"note: no instance runs on {found.data_dir}; there is nothing to replace", markup=False)
            return None
        return found

    def settings(
        self,
        bind: str,
        *,
        public_https_port: int | None,
        grpc_port: int | None = None,
        access_log: Path | None = None,
        log_calls: bool = False,
        otlp: OtlpSettings | None = None,
    ) -> EnvoySettings:
        """Return the data plane's settings; prints a note if the filter is missing."""
        filter_ = filter_path()
        if filter_ is None:
            stderr.print(line(("note:", "yellow"), f" {missing_reason()}"))
        return EnvoySettings(
            bind=bind,
            https_port=self.https_port,
            http_port=self.http_port or None,
            grpc_port=grpc_port,
            public_https_port=public_https_port,
            trusted_hops=self.trusted_hops,
            proxy_protocol=self.proxy_protocol,
            filter_path=filter_,
            access_log=access_log,
            log_calls=log_calls,
            log_users=self.log_users,
            otlp=otlp,
        )


@dataclass(frozen=True, slots=True)
class Checked:
    """The values that `BalancerOptions.check` has read."""

    acme: AcmeConfig
    ssl_policies: dict[str, TLSProfile]
    namespace_limits: NamespaceLimits
    metrics_bind: str | None
    dashboard: DashboardConfig | None
    envoy: Path
    otlp: OtlpSettings | None

    @property
    def dashboard_bind(self) -> str | None:
        """Where the web page is; None: there is none."""
        return self.dashboard.bind if self.dashboard else None


def with_balancer_options(command: Callable[..., None]) -> Callable[..., None]:
    """
    Put one command line option for each field of `BalancerOptions` in the place of the parameter ``options``.

    Typer reads options from a function's signature, and has no groups of them.
    """
    shared = inspect.signature(BalancerOptions, eval_str=True).parameters
    parameters: list[inspect.Parameter] = []
    for name, parameter in inspect.signature(command, eval_str=True).parameters.items():
        parameters += shared.values() if name == _PARAMETER else [parameter]

    @functools.wraps(command)
    def run(**given: Any) -> None:
        options = BalancerOptions(**{name: given.pop(name) for name in shared})
        command(**given, **{_PARAMETER: options})

    run.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    run.__annotations__ = {parameter.name: parameter.annotation for parameter in parameters}
    return run


def print_event(event: ChildEvent) -> None:
    """Print an event of a child that is not part of normal operation."""
    if event.what in {"hangs", "answers", "failed", "draining", "killed"}:
        stderr.print(f"{event.child}: {event.what} {event.detail}".rstrip())
