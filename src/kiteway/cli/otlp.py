"""The options of traces and logs for an OpenTelemetry collector."""

from __future__ import annotations

import socket
from pathlib import Path
from typing import Annotated, Final

import typer

from kiteway.envoy.otlp import OtlpSettings, parse_otlp_endpoint

_PANEL: Final = "OpenTelemetry"

TRACE_SAMPLING: Final = 1.0
"""Percent of the calls that are traced unless --trace-sampling says otherwise."""

OtlpEndpointOption = Annotated[
    str | None,
    typer.Option(
        "--otlp-endpoint",
        metavar="URL",
        help="A collector that takes OpenTelemetry's protocol over HTTP, e.g. http://127.0.0.1:4318: it gets traces of calls. "
        "Every call then costs more CPU time, whatever share is traced (docs/design/telemetry.md).",
        show_default="none",
        rich_help_panel=_PANEL,
    ),
]
TraceSamplingOption = Annotated[
    float,
    typer.Option(
        "--trace-sampling",
        metavar="PERCENT",
        min=0,
        max=100,
        help="The share of calls that are traced. A call with a traceparent is traced if its client traces it.",
        rich_help_panel=_PANEL,
    ),
]
OtlpLogsOption = Annotated[
    bool,
    typer.Option(
        "--otlp-logs",
        help="Send the access log to the collector too; each record names the trace of its call.",
        rich_help_panel=_PANEL,
    ),
]
OtlpCaOption = Annotated[
    Path | None,
    typer.Option(
        "--otlp-ca",
        metavar="FILE",
        help="The CAs of the collector's certificate, for https.",
        show_default="the public ones of this machine",
        rich_help_panel=_PANEL,
    ),
]
OtlpTokenFileOption = Annotated[
    Path | None,
    typer.Option(
        "--otlp-token-file",
        metavar="FILE",
        help="A token that each export carries as authorization: Bearer TOKEN; read again when the file is replaced.",
        show_default="none",
        rich_help_panel=_PANEL,
    ),
]


def parse_otlp(
    endpoint: str | None,
    *,
    sampling: float,
    logs: bool = False,
    ca: Path | None = None,
    token_file: Path | None = None,
) -> OtlpSettings | None:
    """
    Read these options; None without an endpoint. A command leaves out those that it does not have.

    Raises:
        ValueError: a value is invalid, or an option needs the endpoint; the message says why.
    """
    if endpoint is None:
        given = {"--otlp-logs": logs, "--otlp-ca": ca, "--otlp-token-file": token_file}
        for option in (name for name, value in given.items() if value):
            raise ValueError(f"{option} goes with --otlp-endpoint, which names the collector")
        return None
    return parse_otlp_endpoint(
        endpoint, sampling=sampling, logs=logs, ca=ca, token_file=token_file, instance=socket.gethostname()
    )
