"""The user's options of ``kiteway gke``, from the command line or a file with the same names."""

from __future__ import annotations

import enum
import re
from pathlib import Path
from typing import Annotated, Any

import msgspec
import yaml

from kiteway.gke.option_mistakes import sentence_of
from kiteway.hostnames import ascii_hint
from kiteway.resources.rules import is_address

_LABEL = r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?"
_HOST = re.compile(rf"{_LABEL}(\.{_LABEL})+")

Name = Annotated[str, msgspec.Meta(pattern=rf"^{_LABEL}$")]
Port = Annotated[int, msgspec.Meta(ge=1, le=65535)]


class OptionsError(ValueError):
    """The options or their file are invalid; the message says why and what to do."""


class CertificateKind(enum.StrEnum):
    """The issuer of the certificate that clients see."""

    SELF_MANAGED = "self-managed"
    GOOGLE_MANAGED = "google-managed"


class DataPlane(enum.StrEnum):
    """The balancers through which requests pass."""

    GOOGLE = "google"
    KITEWAY = "kiteway"
    GOOGLE_KITEWAY = "google+kiteway"


class Http(enum.StrEnum):
    """The use of port 80."""

    DISABLED = "disabled"
    REDIRECT = "redirect"


class GkeOptions(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, rename="kebab"):
    """
    The complete options: equal options on equal clusters make equal plans.

    Attributes:
        host: the DNS name clients connect to.
        release: the Helm release of Milvus.
        namespace: where it is.
        chart: the chart's reference, path or URL; the release's version is preserved.
        repo: the chart repository's URL, when ``chart`` is only a name.
        certificate: see `CertificateKind`.
        data_plane: see `DataPlane`.
        static_ip_name: the reserved global address at Google; ``<service>-ip`` if it is not given.
        rest_port: Milvus's ``proxy.http.port`` once it speaks TLS: REST cannot share the gRPC port then.
        http: see `Http`.
        timeout_sec: BackendConfig's timeoutSec, the longest call.
        draining_timeout_sec: BackendConfig's connectionDraining.drainingTimeoutSec; proxies stop no earlier.
        kiteway_namespace: where Kiteway's own release is or shall be; behind Google's balancer it is ``namespace``, as
            an Ingress of Google's leads to Services of its own namespace only.
        kiteway_release: its name; ``kiteway``, behind Google's balancer ``RELEASE-kiteway``, if it is not given.
        kiteway_chart: its chart; the one that came with this program if it is not given.
        kiteway_values: values for it, e.g. which image.
        remove_l4: make the old LoadBalancer Service a ClusterIP at the end.
    """

    host: str
    release: Name = "my-release"
    namespace: Name = "default"
    chart: str = "milvus/milvus"
    repo: str = ""
    certificate: CertificateKind = CertificateKind.SELF_MANAGED
    data_plane: DataPlane = DataPlane.GOOGLE
    static_ip_name: Name | None = None
    rest_port: Port = 8080
    http: Http = Http.DISABLED
    timeout_sec: Annotated[int, msgspec.Meta(ge=1, le=86400)] = 3600
    draining_timeout_sec: Annotated[int, msgspec.Meta(ge=0, le=3600)] = 60
    kiteway_namespace: Name = "kiteway-system"
    kiteway_release: Name | None = None
    kiteway_chart: str = ""
    kiteway_values: dict[str, Any] = msgspec.field(default_factory=dict)
    remove_l4: bool = False

    def __post_init__(self) -> None:
        """Refuse options that GKE would refuse later or silently misinterpret."""
        # ManagedCertificate takes up to 63 characters, lower case, no wildcard (gke-managed-certs' CRD).
        if not _HOST.fullmatch(self.host) or len(self.host) > 253:
            raise OptionsError(
                f'"{self.host}" is no DNS name in lower case with a domain{ascii_hint(self.host)}. Give --host NAME.'
            )
        if self.certificate is CertificateKind.GOOGLE_MANAGED and len(self.host) > 63:
            raise OptionsError("A Google-managed certificate takes names of up to 63 characters.")
        for name in ("chart", "kiteway_chart", "repo"):
            if getattr(self, name).startswith("-"):
                raise OptionsError(
                    f"{name.replace('_', '-')} must not begin with a dash: it would be read as an option."
                )

    @property
    def google(self) -> bool:
        """Whether Google's balancer is in the path."""
        return self.data_plane is not DataPlane.KITEWAY

    @property
    def kiteway(self) -> bool:
        """Whether Kiteway is in the path; TLS ends there, and Milvus stays unchanged."""
        return self.data_plane is not DataPlane.GOOGLE

    def plain(self) -> dict[str, Any]:
        """Return the options in the file's form."""
        found: dict[str, Any] = msgspec.to_builtins(self)
        return found


def read_file(file: Path) -> dict[str, Any]:
    """
    Return the options of a file, unchecked.

    Raises:
        OptionsError: the value is invalid; the message says why.
    """
    try:
        found = yaml.safe_load(file.read_text(encoding="utf-8"))
    except OSError as error:
        raise OptionsError(f"{file} cannot be read: {error.strerror}.") from None
    except (yaml.YAMLError, UnicodeDecodeError):
        raise OptionsError(f"{file} is no YAML.") from None
    if not isinstance(found, dict):
        raise OptionsError(f"{file} must be a mapping of options, e.g. host: my-release.milvus.io.")
    return found


def make_options(file: Path | None, options: dict[str, Any]) -> GkeOptions:
    """
    Merge a file and options (by the file's names); an option wins.

    Raises:
        OptionsError: the value is invalid; the message says why.
    """
    values = read_file(file) if file is not None else {}
    values.update({name: value for name, value in options.items() if value is not None})
    if "host" not in values:
        raise OptionsError("The host name is missing. Give --host NAME, the name clients connect to.")
    # Kubernetes takes no address as an Ingress's host. Checked here, so that a record that has one can be rolled back.
    if is_address(str(values["host"])):
        raise OptionsError(f"{values['host']} is an IP address. Give --host NAME, the DNS name clients connect to.")
    try:
        return msgspec.convert(values, GkeOptions)
    except msgspec.ValidationError as error:
        where = f"{file}: " if file else ""
        # An error of `GkeOptions` itself is a whole sentence already.
        said = (
            str(error.__cause__)
            if isinstance(error.__cause__, OptionsError)
            else sentence_of(error, values, GkeOptions)
        )
        raise OptionsError(f"{where}{said}") from None


def schema() -> dict[str, Any]:
    """Return the JSON schema of the file."""
    return msgspec.json.schema(GkeOptions)
