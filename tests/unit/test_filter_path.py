"""The search for the filter, and the message if it is missing."""

from __future__ import annotations

from pathlib import Path

import pytest

from kiteway import filter as kiteway_filter


@pytest.fixture
def packaged(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Pretend that the package's own filter is a file that does not exist yet."""
    path = tmp_path / "packaged.so"
    monkeypatch.setattr(kiteway_filter, "_PACKAGED", path)
    monkeypatch.delenv("KITEWAY_FILTER_PATH", raising=False)
    return path


def test_the_packaged_filter_is_found(packaged: Path) -> None:
    """An installed filter is found, and there is no message."""
    packaged.touch()

    assert kiteway_filter.filter_path() == packaged
    assert kiteway_filter.missing_reason() == ""


def test_a_package_without_filter_says_how_to_get_one(packaged: Path) -> None:
    """Without a filter the reason names the wheel that has one, and cargo."""
    assert kiteway_filter.filter_path() is None
    problem, _, fix = kiteway_filter.missing_reason().partition("; ")
    assert "without the Envoy filter" in problem
    assert "manylinux" in fix
    assert "cargo" in fix


def test_the_variable_overrides_the_package(packaged: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """KITEWAY_FILTER_PATH has priority, and a relative path becomes absolute for Envoy."""
    packaged.touch()
    (tmp_path / "mine.so").touch()
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("KITEWAY_FILTER_PATH", "mine.so")

    assert kiteway_filter.filter_path() == tmp_path / "mine.so"


def test_a_wrong_variable_does_not_fall_back(packaged: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """If the variable names no file there is no filter, and the reason names variable and file."""
    packaged.touch()
    monkeypatch.setenv("KITEWAY_FILTER_PATH", "/nonexistent/filter.so")

    assert kiteway_filter.filter_path() is None
    assert "KITEWAY_FILTER_PATH names /nonexistent/filter.so" in kiteway_filter.missing_reason()
