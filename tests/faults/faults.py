"""The faults, each with the client's arguments and the objects that are wrong."""

from __future__ import annotations

from dataclasses import dataclass

from tests.faults.site import CLOSED, GOOD, HEALTH, HTTP, HTTPS, MUTE, TOKEN, host


@dataclass(frozen=True)
class Fault:
    """
    One fault.

    Attributes:
        key: its anchor in the page.
        english: what the user did.
        chinese: the same in Chinese.
        mend: what mends it.
        mend_chinese: the same in Chinese.
        port: where the client connects, as the page shows it.
        server_name: the client's; empty for none, in which case it connects to ``localhost``.
        ca: the file that the client trusts; empty for none.
        tls: whether the client uses TLS.
        token: the client's credentials.
        address: the host that the client connects to, in place of the one that follows from ``server_name``.
        objects: the objects that are wrong, by name; empty for a fault of the client alone.
    """

    key: str
    english: str
    chinese: str
    mend: str
    mend_chinese: str
    port: int = HTTPS
    server_name: str = ""
    ca: str = "tls.crt"
    tls: bool = True
    token: str = TOKEN
    address: str = ""
    objects: tuple[str, ...] = ()

    @property
    def host(self) -> str:
        """The host that the client connects to."""
        return self.address or ("127.0.0.1" if self.server_name else "localhost")


FAULTS = (
    Fault(
        "no-ca",
        "No CA: the certificate is self-signed, and the client was not given it",
        "没有给出 CA：证书是自签名的，客户端没有拿到它",
        "`server_pem_path`, `--ca`",
        "`server_pem_path`、`--ca`",
        ca="",
    ),
    Fault(
        "wrong-ca",
        "The wrong CA: another file than the server's",
        "给错了 CA：文件不是服务器的那一个",
        "the server's own file in `server_pem_path`",
        "在 `server_pem_path` 中给出服务器自己的证书文件",
        ca="other.crt",
    ),
    Fault(
        "no-name",
        "An IP address without a server name: the certificate is for a host",
        "用 IP 地址连接，却没有给出服务器名：证书是签给域名的",
        "`server_name`, `--server-name`",
        "`server_name`、`--server-name`",
        address="127.0.0.1",
    ),
    Fault(
        "expired",
        "The certificate has expired",
        "证书已过期",
        "a new certificate in the Secret",
        "在 Secret 中放入新的证书",
        server_name=host("expired"),
        ca="expired.crt",
        objects=("expired", "expired-tls"),
    ),
    Fault(
        "unrouted",
        "A host that no Ingress has",
        "没有任何 Ingress 包含这个域名",
        "a rule for the host, or another `server_name`",
        "为该域名添加规则，或换一个 `server_name`",
        server_name=host("unrouted"),
    ),
    Fault(
        "wrong-port",
        "The wrong port: no process listens there",
        "端口错误：没有程序在那里监听",
        "the port that `kiteway up` printed",
        "使用 `kiteway up` 打印的端口",
        port=CLOSED,
    ),
    Fault(
        "plaintext-to-tls",
        "Plaintext to the TLS port",
        "用明文连接 TLS 端口",
        "`https://` in the URI",
        "在 URI 中写 `https://`",
        tls=False,
    ),
    Fault(
        "tls-to-plaintext",
        "TLS to the plaintext port",
        "用 TLS 连接明文端口",
        "the HTTPS port",
        "使用 HTTPS 端口",
        port=HTTP,
    ),
    Fault(
        "redirect",
        "Plaintext to a host that redirects to HTTPS",
        "用明文连接会重定向到 HTTPS 的域名",
        "the HTTPS port with `https://`",
        "使用 HTTPS 端口和 `https://`",
        port=HTTP,
        tls=False,
    ),
    Fault(
        "health-port",
        "Milvus's health port in place of its serving port",
        "把 Milvus 的健康检查端口当成了服务端口",
        "19530, or the balancer's port",
        "19530，或负载均衡器的端口",
        port=HEALTH,
        tls=False,
    ),
    Fault(
        "mute",
        "A server that accepts connections and says nothing, such as a tunnel whose other end is away",
        "服务器接受连接却一言不发，例如另一端已断开的隧道",
        "the address of the balancer",
        "使用负载均衡器的地址",
        port=MUTE,
    ),
    Fault(
        "no-token",
        "No credentials for a Milvus that requires them",
        "Milvus 要求登录，客户端没有给出凭据",
        "`token`, `--token-file`",
        "`token`、`--token-file`",
        server_name=GOOD,
        token="",
    ),
    Fault(
        "wrong-password",
        "The wrong password",
        "密码错误",
        "the right `token`",
        "给出正确的 `token`",
        server_name=GOOD,
        token="root:wrong",
    ),
    Fault(
        "client-certificate",
        "No client certificate for a host that requires one",
        "该域名要求客户端证书，客户端没有给出",
        "`client_pem_path` and `client_key_path`, `--client-cert` and `--client-key`",
        "`client_pem_path` 与 `client_key_path`、`--client-cert` 与 `--client-key`",
        server_name=host("client"),
    ),
    Fault(
        "path",
        "A path that no gRPC call has (`/milvus`, Exact)",
        "没有 gRPC 调用会用到的路径（`/milvus`，Exact）",
        "`path: /` with `pathType: Prefix`",
        "`path: /` 与 `pathType: Prefix`",
        server_name=host("path"),
        objects=("path",),
    ),
    Fault(
        "class",
        "The Ingress has the class of another controller",
        "Ingress 的类属于另一个控制器",
        "`ingressClassName: kiteway`, or the annotation of GKE",
        "`ingressClassName: kiteway`，或 GKE 的注解",
        server_name=host("class"),
        objects=("class",),
    ),
    Fault(
        "dead",
        "The endpoint is away",
        "端点不在了",
        "start Milvus, or correct its address",
        "启动 Milvus，或更正它的地址",
        server_name=host("dead"),
        objects=("dead",),
    ),
    Fault(
        "empty",
        "The Service has no endpoint",
        "Service 没有端点",
        "`--endpoint SERVICE=HOST:PORT`; in a cluster the Service's selector",
        "`--endpoint SERVICE=HOST:PORT`；在集群中检查 Service 的 selector",
        server_name=host("empty"),
        objects=("empty",),
    ),
    Fault(
        "no-service",
        "The Service of the Ingress does not exist",
        "Ingress 指向的 Service 不存在",
        "the Service's name",
        "更正 Service 的名字",
        server_name=host("gone"),
        objects=("gone",),
    ),
    Fault(
        "service-port",
        "The Service has no such port",
        "Service 没有这个端口",
        "the Service's port, 19530",
        "写上 Service 的端口 19530",
        server_name=host("ports"),
        objects=("ports",),
    ),
    Fault(
        "no-secret",
        "The Secret with the certificate does not exist",
        "放证书的 Secret 不存在",
        "`kiteway cert create`, or the Secret's name",
        "`kiteway cert create`，或更正 Secret 的名字",
        server_name=host("keyless"),
        objects=("keyless",),
    ),
    Fault(
        "protocol",
        "The Service says plaintext, and Milvus speaks TLS",
        "Service 写的是明文，而 Milvus 使用 TLS",
        '`cloud.google.com/app-protocols: \'{"milvus":"HTTP2"}\'`',
        '`cloud.google.com/app-protocols: \'{"milvus":"HTTP2"}\'`',
        server_name=host("plaintext"),
        objects=("plaintext",),
    ),
    Fault(
        "health-check",
        "The health check goes to a port where no process listens",
        "健康检查指向没有程序监听的端口",
        "port 9091 and `/healthz` in the BackendConfig, or `health=PORT`",
        "在 BackendConfig 中写端口 9091 与 `/healthz`，或 `health=PORT`",
        server_name=host("check"),
        objects=("check",),
    ),
)
