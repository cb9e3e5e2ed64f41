"""Reads files: Kubernetes manifests and the Milvus configuration beside them."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from kiteway.diagnostics import Diagnostic, ObjectRef, ordered
from kiteway.doctor.milvus_config import MilvusConfig, read_milvus_config, read_operator_configs
from kiteway.filter import filter_path
from kiteway.resources import BackendConfig, Ingress, Object, Secret, Service
from kiteway.resources import annotations as keys
from kiteway.resources.annotations import AppProtocol
from kiteway.resources.kinds.service import ServicePort
from kiteway.resources.limits import DEFAULT
from kiteway.resources.schema import Violation
from kiteway.sources.files import FileSource
from kiteway.sources.folders import listing
from kiteway.translate import Options, judge_whole, translate, with_meant

T = TypeVar("T", bound=Object)
_OF_OTHERS = frozenset({"IngressClassIgnored", "IngressClassMisspelt"})
_SAY_LEFT_OUT = frozenset({"IngressClassMisspelt", "BackendConfigUnattached"})
"""Reasons of diagnostics that say themselves that an object has no effect."""


@dataclass(frozen=True, slots=True)
class Manifests:
    """
    The content of the files, and the translation's diagnostics.

    Attributes:
        objects: the readable objects.
        diagnostics: everything that is wrong with them.
        milvus: Milvus configurations: milvus.yaml, or values of the Helm chart.
    """

    objects: tuple[Object, ...]
    diagnostics: tuple[Diagnostic, ...]
    milvus: tuple[MilvusConfig, ...] = ()

    def of(self, kind: type[T]) -> Iterator[T]:
        """Yield the objects of a kind."""
        return (object_ for object_ in self.objects if isinstance(object_, kind))

    def judged(self, kind: type[T]) -> Iterator[T]:
        """Yield the objects of a kind that the translation processes: those that are used, and meant for Kiteway."""
        used = {Ingress: self._ingresses, Service: self._services, Secret: self._secrets, BackendConfig: self._configs}
        refs = used[kind]() if kind in used else None
        return (object_ for object_ in self.of(kind) if refs is None or object_.ref in refs)

    def left_out(self) -> Iterator[tuple[ObjectRef, str]]:
        """Yield the objects of the judged kinds that no rule looks at, and why; not those of which a diagnostic says it."""
        ours = self._ingresses()
        said = {d.object for d in self.diagnostics if d.reason in _SAY_LEFT_OUT}
        for ingress in self.of(Ingress):
            if ingress.ref not in ours and ingress.ref not in said:
                named = ingress.metadata.annotations.get(keys.INGRESS_CLASS) or ingress.spec.ingress_class_name
                yield ingress.ref, f'it is of the class "{named}", which belongs to another controller'
        for kind, used in ((Service, self._services()), (BackendConfig, self._configs())):
            for object_ in self.of(kind):
                if object_.ref not in used and object_.ref not in said:
                    yield object_.ref, "no Ingress that Kiteway serves leads to it"

    def _ingresses(self) -> set[ObjectRef]:
        left_out = {d.object for d in self.diagnostics if d.reason in _OF_OTHERS}
        return {ingress.ref for ingress in self.of(Ingress) if ingress.ref not in left_out}

    def _services(self) -> set[ObjectRef]:
        return {service.ref for _, service, _ in self.backends()}

    def _secrets(self) -> set[ObjectRef]:
        return {
            ObjectRef("Secret", ingress.ref.namespace, tls.secret_name)
            for ingress in self.judged(Ingress)
            for tls in ingress.spec.tls
        }

    def _configs(self) -> set[ObjectRef]:
        found = set()
        for _, service, _ in self.backends():
            annotations = service.metadata.annotations
            text = annotations.get(keys.BACKEND_CONFIG, annotations.get(keys.BACKEND_CONFIG_BETA, ""))
            reference = keys.parse_backend_config_ref(text)
            if not isinstance(reference, Violation):
                names = (reference.default, *reference.ports.values())
                found |= {ObjectRef("BackendConfig", service.ref.namespace, name) for name in names}
        return found

    def backends(self) -> tuple[tuple[Ingress, Service, ServicePort], ...]:
        """Return the Service ports that Kiteway's Ingresses lead to, each once for each Ingress."""
        services = {service.ref: service for service in self.of(Service)}
        found = {}
        for ingress in self.judged(Ingress):
            paths = (path for rule in ingress.spec.rules if rule.http for path in rule.http.paths)
            for backend in (ingress.spec.default_backend, *(path.backend for path in paths)):
                named = backend.service if backend else None
                if named is None:
                    continue
                service = services.get(ObjectRef("Service", ingress.ref.namespace, named.name))
                for port in service.spec.ports if service else ():
                    is_named = port.name == named.port.name if named.port.name else port.port == named.port.number
                    if service is not None and is_named:
                        found[ingress.ref, service.ref, port.port] = (ingress, service, port)
        return tuple(found.values())


def app_protocol(service: Service, port: ServicePort) -> AppProtocol:
    """Return the protocol that GKE uses for a port; HTTP where the annotation is missing or unreadable."""
    annotations = service.metadata.annotations
    text = annotations.get(keys.APP_PROTOCOLS_ALPHA, annotations.get(keys.APP_PROTOCOLS))
    protocols = keys.parse_app_protocols(text) if text is not None else {}
    return AppProtocol.HTTP if isinstance(protocols, Violation) else protocols.get(port.name, AppProtocol.HTTP)


def read_manifests(paths: Iterable[Path], now: dt.datetime, *, recursive: bool = False) -> Manifests:
    """
    Read files and folders.

    Args:
        paths: files and folders; an unreadable one is a diagnostic.
        now: the time that certificates are judged by.
        recursive: whether the subfolders of folders are read, too.
    """
    paths = tuple(paths)
    of_milvus = {
        file: config
        for path in paths
        for file in _listed(path, recursive=recursive)
        if (config := _milvus_config(file)) is not None
    }
    configs = list(of_milvus.values())
    source = FileSource(paths, recursive=recursive, without=frozenset(of_milvus), keep_texts=True)
    resources = source.read()
    for file, text in source.texts().items():
        configs += read_operator_configs(text, str(file))
    options = Options(with_filter=filter_path() is not None)
    result = translate(resources.objects, options, now, resources.failed)
    whole = judge_whole(resources.objects, result.model)
    # A configuration of Milvus is something, too.
    read = [d for d in resources.diagnostics if not (configs and d.reason == "NothingRead")]
    return Manifests(
        resources.objects, ordered([*read, *with_meant(result.diagnostics, resources.objects), *whole]), tuple(configs)
    )


def _listed(path: Path, *, recursive: bool) -> list[Path]:
    try:
        return listing(path, recursive=recursive).manifests if path.is_dir() else [path]
    except OSError:
        return []  # The source reports why it cannot be read.


def _milvus_config(file: Path) -> MilvusConfig | None:
    # A file that is not regular, such as standard input, can be read only once.
    if not file.is_file():
        return None
    try:
        with file.open("rb") as opened:
            return read_milvus_config(opened.read(DEFAULT.size + 1), str(file))
    except OSError:
        return None
