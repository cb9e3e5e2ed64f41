"""
Makes a control plane translate an Ingress into a resource that Envoy rejects and no rule of Kiteway refuses.

Python imports a module of this name by itself, so a Kiteway that a test starts as a process needs no hook: the test
puts this folder on ``PYTHONPATH`` (`tests.support.poison`).
"""

from __future__ import annotations

import sys

if "kiteway.controlplane" in sys.orig_argv:
    import dataclasses
    from typing import Any

    from kiteway.model import HeaderValue
    from kiteway.translate import translator
    from kiteway.translate.ingress.front_end import INGRESS, translate_ingress
    from kiteway.translate.shared.unit import Unit

    _BAD = (HeaderValue("x-bad", "%NO_SUCH_COMMAND()%"),)

    def _poisoned(*arguments: Any) -> Unit:
        """Translate an Ingress; one with the annotation comes to a header that Envoy cannot format."""
        unit = translate_ingress(*arguments)
        if "test.example.com/poison" not in unit.owner.metadata.annotations:
            return unit
        hosts = (
            dataclasses.replace(
                claim, routes=tuple(dataclasses.replace(route, request_headers=_BAD) for route in claim.routes)
            )
            for claim in unit.hosts
        )
        return dataclasses.replace(unit, hosts=tuple(hosts))

    translator.FRONT_ENDS = {"Ingress": dataclasses.replace(INGRESS, translate=_poisoned)}
