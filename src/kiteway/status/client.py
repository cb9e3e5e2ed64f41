"""Reads the status of a running instance."""

from __future__ import annotations

from typing import Any

import httpx2

from kiteway.instance import Instance


def read_status(instance: Instance) -> dict[str, Any]:
    """Return what the control plane says; when it does not answer, ``ready`` is false and ``reason`` says so."""
    transport = httpx2.HTTPTransport(uds=str(instance.status_socket))
    try:
        with httpx2.Client(transport=transport, base_url="http://kiteway", timeout=10, trust_env=False) as client:
            found: dict[str, Any] = client.get("/status").raise_for_status().json()
            return found
    except httpx2.HTTPError as error:
        return {"ready": False, "reason": f"the control plane does not answer ({error}); it is started again by itself"}
