"""Finds the causes in the exceptions that PyMilvus raises."""

from __future__ import annotations

NOTHING_DONE = frozenset(
    {"INVALID_ARGUMENT", "PERMISSION_DENIED", "UNAUTHENTICATED", "UNIMPLEMENTED", "RESOURCE_EXHAUSTED"}
)
"""gRPC statuses by which a server refuses a call before it acts on it."""


def grpc_status(error: BaseException) -> tuple[str, str] | None:
    """Name and text of the gRPC status that caused the error, if one did."""
    import grpc  # imported here, because gRPC must not start before `load_pymilvus` has silenced its log

    for link in _chain(error):
        if isinstance(link, grpc.RpcError) and isinstance(link, grpc.Call):
            return link.code().name, str(link.details() or "")
    return None


def text(error: BaseException) -> str:
    """The error in one line: Milvus's or PyMilvus's message, or the gRPC status and its text."""
    message = getattr(error, "message", None)
    if not message:
        status = grpc_status(error)
        message = ": ".join(part for part in status if part) if status else str(error)
    return " ".join(str(message or type(error).__name__).split())


def _chain(error: BaseException) -> list[BaseException]:
    """The error and its causes. PyMilvus raises some errors from themselves, so the chain may have a loop."""
    chain: list[BaseException] = []
    ahead: list[BaseException | None] = [error]
    while ahead:
        link = ahead.pop(0)
        if link is not None and link not in chain:
            chain.append(link)
            ahead += [link.__cause__, link.__context__]
    return chain
