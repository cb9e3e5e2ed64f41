"""The key of the hashes of users."""

from __future__ import annotations

from pathlib import Path

import pytest

from kiteway.envoy.user_key import LENGTH, user_key_file
from kiteway.instance import Instance, InstanceError


def test_the_key_is_made_once_and_is_private(tmp_path: Path) -> None:
    """It is random, of the length that the filter reads, closed to others, and the same at the next start."""
    with Instance(tmp_path / "a").acquire(), Instance(tmp_path / "b").acquire():
        first, other = (user_key_file(Instance(tmp_path / name)) for name in ("a", "b"))
        key = first.read_bytes()
        assert len(key) == LENGTH
        assert key != other.read_bytes()
        assert first.stat().st_mode & 0o777 == 0o600
        assert user_key_file(Instance(tmp_path / "a")).read_bytes() == key


@pytest.mark.parametrize("damaged", [b"", b"short", b"x" * (LENGTH + 1)])
def test_a_damaged_key_is_replaced(tmp_path: Path, damaged: bytes) -> None:
    """Envoy would refuse every pool with a key of another length."""
    with Instance(tmp_path / "a").acquire():
        path = user_key_file(Instance(tmp_path / "a"))
        path.write_bytes(damaged)
        user_key_file(Instance(tmp_path / "a"))
        assert len(path.read_bytes()) == LENGTH
        assert path.read_bytes() != damaged


def test_a_link_in_its_place_is_not_followed(tmp_path: Path) -> None:
    """Nothing is written to a place that another user's link names."""
    with Instance(tmp_path / "a").acquire():
        target = tmp_path / "target"
        (Instance(tmp_path / "a").state_dir / "users.key").symlink_to(target)
        with pytest.raises(InstanceError, match=r"users\.key"):
            user_key_file(Instance(tmp_path / "a"))
        assert not target.exists()
