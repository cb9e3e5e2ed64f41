"""The input of the translation of one Ingress."""

from __future__ import annotations

from kiteway.resources import Ingress
from kiteway.translate.ingress.classes import named_class
from kiteway.translate.shared.context import Context, Index, Options


class IngressContext(Context):
    """
    The context of an Ingress.

    Attributes:
        ingress: the owner, typed as an Ingress.
    """

    def __init__(self, ingress: Ingress, index: Index, options: Options) -> None:
        super().__init__(ingress, index, options, for_gke=named_class(ingress) != options.ingress_class)
        self.ingress = ingress
