"""One HTTP/1.1 request: the health port, or REST on the serving port."""

import asyncio
import ssl
from dataclasses import dataclass

import httpx2

from kiteway.probe.own import own_sentence
from kiteway.probe.result import (
    DEFAULT_TIMEOUT,
    Endpoint,
    ProbeFailure,
    Reason,
    join_host_port,
)
from kiteway.probe.tcp import probe_tcp
from kiteway.probe.tls import probe_tls
from kiteway.probe.trust import TlsOptions

_MAX_BODY = 4096


@dataclass(frozen=True, slots=True)
class HttpResult:
    """The answer to one request."""

    status: int | None = None
    server: str | None = None
    content_type: str | None = None
    body: str = ""
    """Its beginning, 4 KiB."""
    failure: ProbeFailure | None = None

    @property
    def balancer(self) -> str:
        """The sentence of one of Kiteway's own answers, without a full stop; empty for an answer of another server."""
        return own_sentence(self.body)


async def probe_http(
    endpoint: Endpoint,
    path: str,
    *,
    tls: TlsOptions | None = None,
    json: str | None = None,
    timeout: float = DEFAULT_TIMEOUT,
) -> HttpResult:
    """GET ``path`` once, or POST to it; redirects are not followed, proxies of the environment not used.

    Args:
        endpoint: where; ``Host`` is ``endpoint.host``, wherever the connection goes.
        path: begins with a slash.
        tls: how to speak TLS, or None for plain HTTP.
        json: the body of a POST; None for a GET.
        timeout: seconds.

    Raises:
        TrustFileError: a file in ``tls`` cannot be used.
    """
    method = "GET" if json is None else "POST"
    name = tls.name(endpoint) if tls else endpoint.host
    scheme = "https" if tls else "http"
    url = f"{scheme}://{join_host_port(endpoint.dialled, endpoint.port)}{path}"
    context: ssl.SSLContext | bool = tls.context() if tls else False
    if isinstance(context, ssl.SSLContext):
        context.set_alpn_protocols(["http/1.1"])
    try:
        async with (
            asyncio.timeout(timeout),
            httpx2.AsyncClient(verify=context, timeout=timeout, trust_env=False) as client,
            client.stream(
                method,
                url,
                content=json,
                headers={
                    "host": join_host_port(name, endpoint.port),
                    "user-agent": "kiteway-probe",
                    **({} if json is None else {"content-type": "application/json"}),
                },
                extensions={"sni_hostname": name},
            ) as response,
        ):
            body = b""
            async for chunk in response.aiter_bytes():
                body += chunk
                if len(body) >= _MAX_BODY:
                    break
            return HttpResult(
                status=response.status_code,
                server=response.headers.get("server"),
                content_type=response.headers.get("content-type"),
                body=body[:_MAX_BODY].decode("utf-8", "replace"),
            )
    except (TimeoutError, httpx2.TimeoutException):
        detail = f"{endpoint} did not answer {method} {path} in {timeout:g} s"
        failure = ProbeFailure(Reason.NO_ANSWER, detail)
    except httpx2.ConnectError as error:
        failure = await _connect_failure(endpoint, tls, str(error), timeout)
    # With TLS 1.3 a server refuses a client's certificate only when the client reads, and httpx lets that error pass.
    except (httpx2.HTTPError, httpx2.InvalidURL, ssl.SSLError) as error:
        why = str(error).rstrip(".") or type(error).__name__
        detail = f"{endpoint} does not answer HTTP on {method} {path}: {why}"
        failure = ProbeFailure(Reason.NOT_HTTP, detail)
    return HttpResult(failure=failure)


async def _connect_failure(endpoint: Endpoint, tls: TlsOptions | None, text: str, timeout: float) -> ProbeFailure:
    """Probe the lower layers for the cause."""
    tcp = await probe_tcp(endpoint, timeout=timeout)
    failure = tcp.failure
    if failure is None and tls is not None:
        failure = (await probe_tls(endpoint, tls, timeout=timeout)).failure
    return failure or ProbeFailure(Reason.CONNECTION_FAILED, f"{endpoint}: {text}")
