"""A wrong value of an option, or of the file of `kiteway gke`, is told in plain words."""

from __future__ import annotations

from pathlib import Path

import pytest
from typer.testing import CliRunner

from kiteway.cli import app
from kiteway.gke.options import OptionsError, make_options

_WORDS_OF_LIBRARIES = ("Value error", "Input should", "unable to parse", "Expected `", "$.")


def _told(*command: str) -> str:
    """Return the error of a command on one line, without its frame."""
    done = CliRunner().invoke(app, command)
    assert done.exit_code == 2
    return " ".join(done.output.replace("│", " ").split())


@pytest.mark.parametrize(
    ("command", "told"),
    [
        (
            ("top", "--by", "collections"),
            "'--by': 'collections' is not one of 'collection', 'rpc', 'user', 'endpoint'.",
        ),
        (("status", "--output", "text"), "'--output' / '-o': 'text' is not one of 'table', 'json', 'yaml'."),
        (("gke", "plan", "--http", "on"), "'--http': 'on' is not one of 'disabled', 'redirect'."),
        (("top", "--interval", "fast"), "'--interval': 'fast' is not a number."),
        (("top", "--interval", "0.1"), "'--interval': '0.1' is less than 0.2."),
        (("up", "--https-port", "x"), "'--https-port': 'x' is not a whole number."),
        (("up", "--https-port", "70000"), "'--https-port': '70000' is more than 65535."),
        (("demo", "--proxies", "2.5"), "'--proxies': '2.5' is not a whole number."),
    ],
)
def test_a_wrong_value_is_told_with_the_values_there_are(command: tuple[str, ...], told: str) -> None:
    """The message names the value and what is allowed."""
    assert f"Invalid value for {told}" in _told(*command)


@pytest.mark.parametrize(
    ("values", "told"),
    [
        ({"http": "on"}, 'http: must be one of disabled, redirect, not "on".'),
        ({"http": ["on"]}, "http: must be one of disabled, redirect, not a list."),
        ({"rest_port": 1}, 'There is no option "rest_port". The options are host, release, '),
        ({"rest-port": 0}, "rest-port: must be at least 1, not 0."),
        ({"rest-port": 70000}, "rest-port: must be at most 65535, not 70000."),
        ({"rest-port": "8080"}, 'rest-port: must be a whole number, not "8080".'),
        ({"remove-l4": 1}, "remove-l4: must be true or false, not 1."),
        ({"kiteway-values": ["a"]}, "kiteway-values: must be a mapping, not a list."),
        ({"kiteway-values": {1: 2}}, "kiteway-values: each of its keys must be text."),
        ({"static-ip-name": 5}, "static-ip-name: must be text, not 5."),
        (
            {"release": "My_Milvus"},
            'release: must be a DNS label, not "My_Milvus". Use lower-case letters, digits and dashes',
        ),
        ({5: 3}, "The name of each option must be text."),
    ],
)
def test_a_wrong_option_of_gke_is_told_with_its_name(values: dict[object, object], told: str) -> None:
    """The file of `kiteway gke`, and its options that Typer does not check."""
    with pytest.raises(OptionsError) as raised:
        make_options(None, {"host": "a.example.com", **values})  # type: ignore[dict-item]
    assert str(raised.value).startswith(told)
    assert not any(word in str(raised.value) for word in _WORDS_OF_LIBRARIES)


def test_the_file_of_gke_is_named(tmp_path: Path) -> None:
    """A mistake in a file is told with the file."""
    file = tmp_path / "gke.yaml"
    file.write_text("host: a.example.com\ncertificate: google\n")
    with pytest.raises(OptionsError) as raised:
        make_options(file, {})
    assert str(raised.value) == f'{file}: certificate: must be one of self-managed, google-managed, not "google".'
