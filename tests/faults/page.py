"""The page of the faults, in two languages; what programs print stays as they print it."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from tests.faults.asking import Said
from tests.faults.faults import Fault


@dataclass(frozen=True)
class Words:
    """The words of a language."""

    title: str
    intro: str
    mends: str
    overview: tuple[str, ...]
    columns: tuple[str, str, str]
    nothing: Mapping[str, str]
    nothing_else: str


ENGLISH = Words(
    "# Faults of a first hour",
    """What a new user does wrong, what each program says of it, and after how many seconds. `make faults` makes this page: it
runs Kiteway before a real Milvus with TLS and a login, commits each fault, and asks PyMilvus {versions}, `kiteway verify`,
`kiteway doctor` and `kiteway status`. The seconds are those of one run on a machine with two cores, and include the start of each
program but PyMilvus.

`kiteway verify` with the same arguments says what is wrong. PyMilvus often says no more than "illegal connection params or server
unavailable", because it drops the text of every gRPC error of its first call, `Connect`. Kiteway answers a `Connect` that it cannot
route with an error of Milvus in place of a gRPC error: PyMilvus shows that text, which begins with "kiteway:".

Ports: 8443 is Kiteway's HTTPS port, 8080 its HTTP port, 19530 and 9091 are Milvus's, no process listens on 9999, and the server on
7000 says nothing.""",
    "The fix",
    ("Fault", "PyMilvus 2", "PyMilvus 3", "verify", "doctor"),
    ("Who", "After", "What it says"),
    {
        "status": "Nothing: Kiteway and its objects are as they should be.",
        "doctor": "Nothing: neither the address nor the manifests are wrong.",
    },
    "Nothing.",
)

CHINESE = Words(
    "# 第一个小时里的错误",
    """新用户常犯的错误、每个程序对它的说法，以及多少秒之后给出。本页由 `make faults` 生成：它在一个启用了 TLS 和登录的真实
Milvus 前运行 Kiteway，逐一制造每种错误，再询问 PyMilvus {versions}、`kiteway verify`、`kiteway doctor` 和 `kiteway status`。
秒数取自双核机器上的一次运行，除 PyMilvus 外都包含程序自身的启动时间。程序输出保持英文原文。

用同样的参数运行 `kiteway verify`，就能知道错在哪里。PyMilvus 常常只说 “illegal connection params or server unavailable”，
因为它会丢弃首次调用（`Connect`）的所有 gRPC 错误信息。对于无法路由的 `Connect`，Kiteway 不用 gRPC 错误、而用 Milvus
的错误来应答：PyMilvus 会显示它的内容，以 “kiteway:” 开头。

端口：8443 是 Kiteway 的 HTTPS 端口，8080 是它的 HTTP 端口，19530 与 9091 属于 Milvus；9999 上没有程序监听；7000 上的服务器
从不应答。""",
    "解决办法",
    ("错误", "PyMilvus 2", "PyMilvus 3", "verify", "doctor"),
    ("程序", "用时", "它说什么"),
    {"status": "没有内容：Kiteway 及其对象都正常。", "doctor": "没有内容：地址和清单都没有错。"},
    "没有内容。",
)

_SECONDS = re.compile(r"\| [0-9.]+ s(?= \|)")


def page(words: Words, versions: Sequence[str], faults: Sequence[Fault], answers: Sequence[Mapping[str, Said]]) -> str:
    """Return the page; ``answers`` has what each program said of each fault, by its name."""
    chinese = words is CHINESE
    lines = [words.title, "", words.intro.format(versions=(" 和 " if chinese else " and ").join(versions)), ""]
    lines += [_row(words.overview), _row(["---"] * len(words.overview))]
    for fault, said in zip(faults, answers, strict=True):
        spent = [_after(said[name]) for name in ("pymilvus 2", "pymilvus 3", "kiteway verify", "kiteway doctor")]
        lines.append(_row([f"[{fault.chinese if chinese else fault.english}](#{fault.key})", *spent]))
    for fault, said in zip(faults, answers, strict=True):
        lines += ["", f'<a id="{fault.key}"></a>', "", f"## {fault.chinese if chinese else fault.english}", ""]
        lines += [f"{words.mends}{'：' if chinese else ': '}{fault.mend_chinese if chinese else fault.mend}", ""]
        lines += [_row(words.columns), _row(["---"] * 3)]
        for who, what in said.items():
            name = f"`{who}`" if who.startswith("kiteway") else who.replace("pymilvus", "PyMilvus")
            text = _cell(what.text) or words.nothing.get(who.split()[-1], words.nothing_else)
            lines.append(_row([name, _after(what), text]))
    return "\n".join(lines) + "\n"


def without_seconds(text: str) -> str:
    """Return a page without what differs from run to run."""
    return _SECONDS.sub("| ", text)


def _after(said: Said) -> str:
    return f"{said.seconds:.1f} s"


def _row(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("<", "&lt;").replace("\n", "<br>")
