"""Why an instance is not ready, or degraded: pure functions of the outcome and the state of the ADS server."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from typing import Final

from kiteway.diagnostics import Diagnostic, ObjectRef, Position, Severity
from kiteway.envoy.ads import AdsState, Rejection
from kiteway.model import VirtualHost
from kiteway.pipeline.pipeline import Outcome
from kiteway.quarantine.quarantine import QuarantineState

_SERVED: Final = "; its last good form stays in force"
_LEFT_OUT: Final = frozenset({"NothingServed", "IngressClassMisspelt", "IngressClassInternal"})
"""
Warnings about an Ingress that was left out although it may be meant for Kiteway. An Ingress of another controller asks nothing of
Kiteway in a cluster; in a set of files it gets NothingServed if no other is served.
"""


def why_not_serving(ads: AdsState, quarantine: QuarantineState) -> str:
    """
    Return why Envoy does not serve the configuration; empty when it does.

    It serves when it has accepted a version of every listener and route table in use. Rejections during a search are left
    out, because the search takes them back.
    """
    if not ads.streams:
        return "" if ads.active else "Envoy has not connected to the control plane yet"
    newest = ads.streams[-1]
    if quarantine.searching and not quarantine.settled:
        return "Envoy rejects a part of the first configuration; which one is being searched"
    for refusal in () if quarantine.searching else newest.refusals:
        rejection = refusal.rejection
        missing = set(newest.missing.get(rejection.type_url, ())) & set(rejection.resources)
        if missing:
            return refusal_text(rejection, missing)
    return "" if newest.active and quarantine.settled else "Envoy has not taken the first configuration yet"


def refusal_text(rejection: Rejection, names: Iterable[str] = ()) -> str:
    """Return a sentence with what Envoy rejects and Envoy's reason; ``names`` are the resources that the sentence names."""
    kind = rejection.type_url.rpartition(".")[2]
    about = ", ".join(sorted(names or rejection.named or rejection.resources))
    return f"Envoy rejects the {kind} {about}: {rejection.message.strip()}"


def shortcomings(outcome: Outcome | None, ads: AdsState) -> list[str]:
    """Return what is missing in an instance that serves: rejected objects, hosts without an endpoint, or any host at all."""
    found = [refusal_text(each.rejection) for stream in ads.streams[-1:] for each in stream.refusals]
    if outcome is not None:
        found += _with_errors(outcome.diagnostics, outcome.retained)
        found += [] if outcome.model.hosts else _left_out(outcome.diagnostics)
        found += [
            f"the host {host.domain} of {host.source} has no endpoint"
            for host in outcome.model.hosts
            if _without_endpoint(host, outcome)
        ]
    return found


def _with_errors(diagnostics: Iterable[Diagnostic], retained: Collection[ObjectRef]) -> list[str]:
    errors: dict[ObjectRef | Position | None, Diagnostic] = {}
    for diagnostic in diagnostics:
        if diagnostic.severity is Severity.ERROR:
            errors.setdefault(diagnostic.object or diagnostic.position, diagnostic)
    return [
        f"{each.object} is rejected ({each.reason}){_SERVED if each.object in retained else ''}"
        if each.object
        else f"{f'{each.position}: ' if each.position else ''}{each.reason}: {each.message}"
        for each in errors.values()
    ]


def _left_out(diagnostics: Collection[Diagnostic]) -> list[str]:
    """Return why no host is served, for the objects that are not rejected; one reason for an object."""
    rejected = {each.object for each in diagnostics if each.severity is Severity.ERROR}
    found = [each for each in diagnostics if each.reason in _LEFT_OUT and each.object not in rejected]
    # The class is the cause, so it takes the place of NothingServed.
    by_object = {each.object: each for each in sorted(found, key=lambda each: each.reason, reverse=True)}
    return [f"{each.object} ({each.reason}): {each.message.rstrip('.')}" for each in by_object.values()]


def _without_endpoint(host: VirtualHost, outcome: Outcome) -> bool:
    return bool(host.routes) and all(route.pool is None or route.pool in outcome.empty for route in host.routes)
