"""The options of ``kiteway gke``: defined once, with the file's names."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Annotated

import msgspec
import pytest
import typer
from typer.testing import CliRunner

from kiteway.cli.gke_options import Where, Wish
from kiteway.cli.groups import grouped
from kiteway.gke.options import GkeOptions, OptionsError, make_options, schema

IN_THE_FILE_ONLY = {"kiteway-namespace", "kiteway-release", "kiteway-chart", "kiteway-values"}


@dataclasses.dataclass(frozen=True)
class _Size:
    width: Annotated[int, typer.Option("--width", "-w")] = 1
    height: Annotated[int, typer.Option("--height")] = 2


def test_a_group_becomes_options_and_a_value() -> None:
    """
    A command gets a dataclass; the user gives its fields as options, and fields that are not given have their
    defaults.
    """
    app = typer.Typer()
    seen: list[tuple[_Size, bool]] = []

    @app.command()
    @grouped
    def draw(*, size: _Size, loud: Annotated[bool, typer.Option("--loud")] = False) -> None:
        """Draw."""
        seen.append((size, loud))

    result = CliRunner().invoke(app, ["-w", "7", "--loud"])
    assert result.exit_code == 0, result.output
    assert seen == [(_Size(7, 2), True)]
    assert CliRunner().invoke(app, ["--size", "7"]).exit_code == 2


def test_every_field_of_the_file_is_an_option() -> None:
    """Every field of the file is also an option, with the same name."""
    fields = {field.encode_name for field in msgspec.structs.fields(GkeOptions)}
    assert {*Wish().named(), *Where().named()} == fields - IN_THE_FILE_ONLY
    assert set(schema()["$defs"]["GkeOptions"]["properties"]) == fields


def test_an_option_wins_over_the_file(tmp_path: Path) -> None:
    """An option has priority over the file; an unknown field is named, with the file."""
    file = tmp_path / "gke.yaml"
    file.write_text("host: a.example.com\nrest-port: 8081\n")
    assert make_options(file, {"rest-port": 8082, "chart": None}) == GkeOptions(host="a.example.com", rest_port=8082)
    file.write_text("host: a.example.com\nrest_port: 8081\n")
    with pytest.raises(OptionsError, match=r"gke\.yaml: .*rest_port"):
        make_options(file, {})


def test_a_host_in_another_script_is_given_in_ascii() -> None:
    """As Google and DNS have it."""
    with pytest.raises(OptionsError, match=r'it is "xn--iqru05l\.example\.com"\. Give --host NAME\.'):
        make_options(None, {"host": "\u5411\u91cf.example.com"})


@pytest.mark.parametrize("host", ["34.111.144.65", "2001:db8::1"])
def test_an_address_is_no_host(host: str) -> None:
    """The guide connects to an address; as an Ingress's host Kubernetes refuses it, after Milvus has turned to TLS."""
    with pytest.raises(OptionsError, match=rf"^{host} is an IP address\. Give --host NAME, the DNS name"):
        make_options(None, {"host": host})


def test_a_wrong_host_is_told_in_one_sentence() -> None:
    """The message ends with one full stop."""
    with pytest.raises(OptionsError, match=r"no DNS name in lower case with a domain\. Give --host NAME\.$"):
        make_options(None, {"host": "https://my-release.milvus.io"})
