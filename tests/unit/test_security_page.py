"""SECURITY.md lists the limits of the code."""

from __future__ import annotations

import re
from dataclasses import asdict
from pathlib import Path

from kiteway.resources.limits import DEFAULT
from kiteway.status.limits import Limits
from kiteway.translate.shared import limits

PAGE = (Path(__file__).resolve().parents[2] / "SECURITY.md").read_text()


def test_every_limit_of_a_tenant_is_in_the_table() -> None:
    """The table has exactly the code's limits, with their values."""
    rows = re.findall(r"^\| .* \| ([\d,]+) \| `([A-Za-z_.]+)` \|$", PAGE, re.MULTILINE)
    said = {name: int(value.replace(",", "")) for value, name in rows}

    of_objects = {name: value for name, value in vars(limits).items() if name.isupper() and isinstance(value, int)}
    of_namespaces = {f"NamespaceLimits.{name}": value for name, value in asdict(limits.NamespaceLimits()).items()}
    assert said == of_objects | of_namespaces


def test_the_other_limits_are_those_of_the_code() -> None:
    """This covers the limits of files and of the port of metrics and probes."""
    assert f"at most {DEFAULT.size >> 20} MiB" in PAGE
    assert f"{Limits().connections} connections at a time, {Limits().of_a_peer} of one address" in PAGE
    assert f"{Limits().silent} connections may be open on which\nnothing has come yet" in PAGE
    assert f"{Limits().partial} with a part of a request, and {Limits().waiting} whose request waits" in PAGE
