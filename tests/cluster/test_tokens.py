"""Where the token of a cluster lies, and who may read it."""

from __future__ import annotations

from pathlib import Path

import pytest

from cluster import BackendUnavailable
from cluster.tokens import check_token_file, token_file


def test_where_the_token_is_looked_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    usual = tmp_path / ".ray" / "auth_token"
    assert token_file({"RAY_AUTH_TOKEN_PATH": "~/mine"}) == tmp_path / "mine"
    assert token_file({"RAY_AUTH_MODE": "token"}) is None
    usual.parent.mkdir()
    usual.touch()
    assert token_file({"RAY_AUTH_MODE": "token"}) == usual
    assert token_file({}) is None
    assert token_file({"RAY_AUTH_MODE": "disabled", "RAY_AUTH_TOKEN_PATH": "x"}) is None
    assert token_file({"RAY_AUTH_TOKEN": "secret", "RAY_AUTH_TOKEN_PATH": "x"}) is None


@pytest.mark.parametrize("mode", [0o644, 0o640, 0o660, 0o604, 0o601])
def test_a_token_that_others_can_read_is_refused(tmp_path: Path, mode: int) -> None:
    path = tmp_path / "token"
    path.touch()
    path.chmod(mode)
    with pytest.raises(BackendUnavailable, match=f"can be read by others .*{mode:04o}.*chmod 600 {path}"):
        check_token_file(path)


@pytest.mark.parametrize("mode", [0o600, 0o400])
def test_a_token_of_the_owner_alone_is_used(tmp_path: Path, mode: int) -> None:
    path = tmp_path / "token"
    path.touch()
    path.chmod(mode)
    check_token_file(path)
    check_token_file(None)


def test_a_token_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(BackendUnavailable, match=r"the token file .*absent cannot be read \(No such file"):
        check_token_file(tmp_path / "absent")
