"""
The client of the API server: kubeconfigs and credentials by lightkube, objects as plain JSON.

`kiteway.resources` reads the objects, so they are not decoded into lightkube's models first.
"""

from __future__ import annotations

import random
import socket
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import Any, Final, Self

import httpx2
import msgspec
from lightkube.config.client_adapter import user_auth, verify_cluster
from lightkube.config.kubeconfig import KubeConfig, SingleConfig
from lightkube.core.exceptions import ConfigError

from kiteway import __version__

FIELD_MANAGER: Final = "kiteway"
"""Kiteway's field manager in server-side apply."""

_TIMEOUT_SECONDS: Final = 30.0
_WATCH_SECONDS: Final = (300, 600)
"""Seconds that one watch lasts, random as in client-go, so that not all watches end at once."""
_PAGE: Final = 500
_APPLY: Final = "application/apply-patch+yaml"
_MERGE: Final = "application/merge-patch+json"
# A watch may be silent for long, so TCP keepalive finds a server that vanished, after about 30 s.
_KEEPALIVE: Final = [
    (socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1),
    *(
        (socket.IPPROTO_TCP, getattr(socket, name), value)
        for name, value in (("TCP_KEEPIDLE", 15), ("TCP_KEEPINTVL", 5), ("TCP_KEEPCNT", 3))
        if hasattr(socket, name)
    ),
]


class ApiUnavailableError(Exception):
    """The API server cannot be reached, or broke the connection; the message says how."""


class ApiError(Exception):
    """
    The API server refused a request.

    Attributes:
        status: the HTTP status.
        reason: Kubernetes' word for it, such as ``Forbidden`` or ``Expired``.
    """

    def __init__(self, status: int, reason: str, message: str) -> None:
        super().__init__(message or reason or f"HTTP status {status}")
        self.status = status
        self.reason = reason


class NoClusterError(Exception):
    """No kubeconfig or service account names a cluster; the message says what to do."""


def read_kubeconfig(file: str, context: str = "") -> SingleConfig:
    """
    Return the cluster and the credentials of ``file``, or those that kubectl would find.

    Args:
        file: a kubeconfig; empty for the environment's.
        context: one of its contexts; empty for the current one.

    Raises:
        NoClusterError: there are none, or they cannot be read.
    """
    try:
        found = (KubeConfig.from_file(Path(file)) if file else KubeConfig.from_env()).get(context or None)
    except (ConfigError, OSError, KeyError, ValueError, TypeError) as error:
        raise NoClusterError(
            f"There is no usable kubeconfig: {error}. Run in a Pod with a service account, or name a file with "
            "--kubeconfig."
        ) from error
    if found is None or found.user is None:
        raise NoClusterError("The kubeconfig names no cluster and user. Set its current-context.")
    return found


class Api:
    """
    A client of one API server; an async context manager. Every method raises `ApiError`, `ApiUnavailableError`.

    Attributes:
        field_manager: the name by which fields are written and owned.
    """

    def __init__(self, config: SingleConfig, field_manager: str = FIELD_MANAGER) -> None:
        if config.user is None:
            raise NoClusterError("The kubeconfig names no user.")
        self.field_manager = field_manager
        self._http = httpx2.AsyncClient(
            base_url=config.cluster.server,
            auth=user_auth(config.user),
            transport=httpx2.AsyncHTTPTransport(
                verify=verify_cluster(config.cluster, config.user, config.abs_file),
                limits=httpx2.Limits(max_connections=None),
                socket_options=_KEEPALIVE,
            ),
            headers={"User-Agent": f"{FIELD_MANAGER}/{__version__}"},
            timeout=_TIMEOUT_SECONDS,
        )

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._http.aclose()

    async def get(self, path: str) -> dict[str, Any]:
        """Return the object, or other JSON, at ``path``."""
        return await self._request("GET", path)

    async def list(self, path: str, selector: str = "", labels: str = "") -> tuple[list[dict[str, Any]], str]:
        """Return all objects of a collection, by fields and labels, page by page, and the version to watch from."""
        found: list[dict[str, Any]] = []
        token = ""
        while True:
            parameters = {"limit": str(_PAGE), "continue": token, "fieldSelector": selector, "labelSelector": labels}
            page = await self._request("GET", path, {name: value for name, value in parameters.items() if value})
            found += page.get("items") or []
            token = page["metadata"].get("continue", "")
            if not token:
                return found, page["metadata"]["resourceVersion"]

    async def watch(self, path: str, selector: str, version: str) -> AsyncIterator[tuple[str, dict[str, Any]]]:
        """
        Yield the changes after ``version``: ``ADDED``, ``MODIFIED``, ``DELETED`` or ``BOOKMARK``, and the object.

        The first is a bookmark of ``version`` itself: the server has accepted the watch. Ends when the server ends it.
        """
        parameters = {
            "watch": "1",
            "allowWatchBookmarks": "true",
            "resourceVersion": version,
            "timeoutSeconds": str(random.randint(*_WATCH_SECONDS)),  # noqa: S311 - spreading load
        }
        if selector:
            parameters["fieldSelector"] = selector
        timeout = httpx2.Timeout(_TIMEOUT_SECONDS, read=_WATCH_SECONDS[1] + _TIMEOUT_SECONDS)
        try:
            async with self._http.stream("GET", path, params=parameters, timeout=timeout) as response:
                if not response.is_success:
                    await response.aread()
                    raise _refused(response)
                yield "BOOKMARK", {"metadata": {"resourceVersion": version}}
                async for line in response.aiter_lines():
                    event = msgspec.json.decode(line)
                    if event["type"] == "ERROR":
                        raise _status_error(event["object"])
                    yield event["type"], event["object"]
        except (httpx2.TransportError, msgspec.DecodeError) as error:
            raise ApiUnavailableError(_broken(error)) from error

    async def create(self, path: str, body: Mapping[str, Any]) -> dict[str, Any]:
        """Create an object in the collection ``path``."""
        return await self._request("POST", path, {"fieldManager": self.field_manager}, body)

    async def replace(self, path: str, body: Mapping[str, Any]) -> dict[str, Any]:
        """Replace an object; refused with 409 when it changed since the ``resourceVersion`` in ``body``."""
        return await self._request("PUT", path, {"fieldManager": self.field_manager}, body)

    async def apply(self, path: str, body: Mapping[str, Any]) -> dict[str, Any]:
        """Apply ``body`` server-side: Kiteway owns its fields; those it owned before that ``body`` omits are removed."""
        return await self._request("PATCH", path, {"fieldManager": self.field_manager, "force": "true"}, body, _APPLY)

    async def merge(self, path: str, body: Mapping[str, Any]) -> dict[str, Any]:
        """Set the fields in ``body``, remove those that are None there, and leave all others unchanged (RFC 7386)."""
        return await self._request("PATCH", path, {"fieldManager": self.field_manager}, body, _MERGE)

    async def _request(
        self,
        method: str,
        path: str,
        parameters: Mapping[str, str] | None = None,
        body: Mapping[str, Any] | None = None,
        content_type: str = "application/json",
    ) -> dict[str, Any]:
        try:
            response = await self._http.request(
                method,
                path,
                params=dict(parameters or {}),
                content=msgspec.json.encode(body) if body is not None else None,
                headers={"Content-Type": content_type} if body is not None else None,
            )
            if not response.is_success:
                raise _refused(response)
            answer: dict[str, Any] = msgspec.json.decode(response.content)
        except (httpx2.TransportError, msgspec.DecodeError) as error:
            raise ApiUnavailableError(_broken(error)) from error
        return answer


def _broken(error: Exception) -> str:
    return str(error) or type(error).__name__


def _refused(response: httpx2.Response) -> ApiError:
    try:
        status = msgspec.json.decode(response.content)
    except msgspec.DecodeError:
        status = None
    if isinstance(status, dict) and status.get("kind") == "Status":
        return _status_error(status)
    return ApiError(response.status_code, "", response.text[:200].strip())


def _status_error(status: Mapping[str, Any]) -> ApiError:
    return ApiError(int(status.get("code") or 500), status.get("reason") or "", status.get("message") or "")
