"""Editing milvus.yaml inside Helm values."""

from __future__ import annotations

import re
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kiteway.extras import install_command
from kiteway.gke.user_yaml import HTTP_PORT, SERVER_PEM, TLS_MODE, UserYamlError, lookup, merge, read, revert
from tests.support.gke import USER_YAML

SETTINGS = {TLS_MODE: 1, SERVER_PEM: "/etc/milvus/certs/tls.crt", HTTP_PORT: 8080}


def test_settings_go_into_the_users_text_and_its_comments_stay() -> None:
    """The user's text is preserved, comments included (G3: the guide replaces the whole text)."""
    text = merge(USER_YAML, SETTINGS)
    assert "# our settings" in text
    assert "# more than the default" in text
    assert read(text) == {
        "proxy": {"maxTaskNum": 2048, "http": {"port": 8080}},
        "common": {"security": {"authorizationEnabled": True, "tlsMode": 1}},
        "tls": {"serverPemPath": "/etc/milvus/certs/tls.crt"},
    }


def test_a_text_of_comments_keeps_them() -> None:
    """The chart's default text is comments only; they stay above the settings."""
    text = merge("# for example\n#  tls:\n", SETTINGS)
    assert text.startswith("# for example\n#  tls:\n")
    assert lookup(read(text), TLS_MODE) == 1


def test_a_text_that_says_it_already_is_not_touched() -> None:
    """A second merge changes no byte."""
    once = merge(USER_YAML, SETTINGS)
    assert merge(once, SETTINGS) == once
    odd = "common: {security: {tlsMode: 1}}   # so\n"
    assert merge(odd, {TLS_MODE: 1}) == odd


def test_keys_are_found_without_regard_to_case() -> None:
    """Milvus reads TLSMODE and tlsMode alike, so a second key beside the first would be ambiguous."""
    text = merge("common:\n  security:\n    tlsmode: 0\n", {TLS_MODE: 1})
    assert read(text) == {"common": {"security": {"tlsmode": 1}}}


@pytest.mark.parametrize("text", ["- a\n", "a: [\n", "text\n"])
def test_what_is_no_mapping_is_refused(text: str) -> None:
    """A text that Milvus could not read is an error."""
    with pytest.raises(UserYamlError, match=r"user\.yaml"):
        merge(text, SETTINGS)


def test_a_parent_that_is_no_mapping_is_refused() -> None:
    """A setting cannot be added below ``common: 3``."""
    with pytest.raises(UserYamlError, match=r"common\.security"):
        merge("common:\n  security: 3\n", SETTINGS)


def test_reverting_an_unchanged_text_restores_it() -> None:
    """The original text is restored byte for byte."""
    assert revert(merge(USER_YAML, SETTINGS), SETTINGS, USER_YAML) == USER_YAML


def test_reverting_keeps_what_was_added_since() -> None:
    """Only Kiteway's settings are removed; the user's later edits stay, also to these settings."""
    text = merge(USER_YAML, SETTINGS).replace("8080", "8081") + "log:\n  level: debug\n"
    found = read(revert(text, SETTINGS, USER_YAML))
    assert found == {
        "proxy": {"maxTaskNum": 2048, "http": {"port": 8081}},
        "common": {"security": {"authorizationEnabled": True}},
        "log": {"level": "debug"},
    }


keys = st.sampled_from(["common", "proxy", "tls", "security", "http", "port", "log", "a"])
trees = st.recursive(
    st.integers(0, 9), lambda children: st.dictionaries(keys, children, min_size=1, max_size=3), max_leaves=6
)


@given(st.dictionaries(keys, trees, max_size=4))
def test_any_text_comes_back(found: dict[str, object]) -> None:
    """Every text is the same after merge and revert, unless it cannot take the settings."""
    import yaml

    text = yaml.safe_dump(found)
    try:
        after = merge(text, SETTINGS)
    except UserYamlError:
        return
    assert all(lookup(read(after), path) == value for path, value in SETTINGS.items())
    assert revert(after, SETTINGS, text) == text


def test_without_its_extra_the_error_says_what_to_type(monkeypatch: pytest.MonkeyPatch) -> None:
    """The editor of YAML is in the extra for GKE."""
    monkeypatch.setitem(sys.modules, "ruamel.yaml", None)
    with pytest.raises(UserYamlError, match=re.escape(install_command("gke"))):
        merge(USER_YAML, SETTINGS)
