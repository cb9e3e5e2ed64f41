"""Files of other users on the same machine (modules, folders, links), and text with terminal escapes."""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

from kiteway.quarantine.store import FILE_NAME
from tests.attack.attack import Attack, Seen, judge, measure_calls
from tests.attack.tenant import ATTACKER, BAIT, ingress, merged, tenant, text
from tests.attack.world import world
from tests.e2e.traffic import Backend
from tests.support.kiteway import KITEWAY, wait_until

_NOBODY = 65534
_MODULES = ("structlog", "yaml", "grpc", "uvicorn", "msgspec", "typer", "rich", "google", "kiteway", "json", "ssl")


@contextlib.contextmanager
def _folder() -> Iterator[Path]:
    folder = Path(tempfile.mkdtemp(prefix="kw-"))
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _modules() -> Seen:
    """Start in a folder with modules that have the names of those that Kiteway imports."""
    with _folder() as folder:
        for name in _MODULES:
            (folder / f"{name}.py").write_text(f"open({str(folder / 'ran')!r}, 'a').write({name!r} + ' ')\n")
        here = Path.cwd()
        os.chdir(folder)
        try:
            with world() as found:
                seen = Seen(refused="not imported", change=found.change())
        finally:
            os.chdir(here)
        ran = (folder / "ran").read_text() if (folder / "ran").exists() else ""
        seen.check(holds=not ran, otherwise=f"ran {ran}from the working directory")
        return seen


def _folder_of_another() -> Seen:
    """Give it a data directory that another user made, whose ``run`` leads to the victim's files."""
    if os.geteuid():
        return Seen(refused="not tried: it takes root to make another user's folder")
    with _folder() as folder:
        kept = folder / "kept"
        kept.mkdir()
        (kept / "file").write_text("kept")
        data = folder / "kw"
        data.mkdir()
        (data / "run").symlink_to(kept)
        logs = data / "logs"
        logs.mkdir()
        (logs / "envoy.log").symlink_to(kept / "file")
        for path in (data, logs):
            os.chown(path, _NOBODY, _NOBODY)
        seen = _up(folder, data)
        intact = (kept / "file").exists() and (kept / "file").read_text() == "kept"
        seen.check(holds=intact, otherwise="the folder that run leads to was emptied or written to")
        return seen


def _log_link() -> Seen:
    """Give it a separate data directory whose log is a link to the victim's file."""
    with _folder() as folder:
        kept = folder / "kept"
        kept.write_text("kept")
        (folder / "kw" / "logs").mkdir(parents=True, mode=0o700)
        (folder / "kw").chmod(0o700)
        for name in ("envoy.log", "controlplane.log", "access.log"):
            (folder / "kw" / "logs" / name).symlink_to(kept)
        seen = _up(folder, folder / "kw")
        seen.check(holds=kept.read_text() == "kept", otherwise="a log was appended to the file that a link leads to")
        return seen


def _up(folder: Path, data: Path) -> Seen:
    """Run ``kiteway up`` there; it must refuse to."""
    (folder / "objects.json").write_bytes(text([ingress(ATTACKER, [BAIT])]))
    command: list[str | Path] = [KITEWAY, "up", "-f", folder / "objects.json", "--data-dir", data, "--drain", "0"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=10)
    except subprocess.TimeoutExpired:
        return Seen(broken=["it was started"])
    seen = Seen(refused=" ".join(done.stderr.replace(str(folder), "").split())[:60])
    seen.check(holds=done.returncode == 1, otherwise=f"exit status {done.returncode}")
    return seen


def _state_files() -> Seen:
    """Put a link, a FIFO and a file without end in the place of what the control plane reads when it starts."""
    with _folder() as folder:
        secret = folder / "secret"
        secret.write_text("kept")
        seen = Seen(refused="read as none")
        for make in (_link_to(secret), os.mkfifo, _endless):
            with world() as found:
                file = found.running.instance.state_dir / FILE_NAME
                wait_until(file.exists, "the state is written", 30)
                file.unlink()
                make(file)
                before = found.memory()
                seen.both = max(seen.both or 0.0, found.kill("controlplane", "envoy"))
                seen.change = max(seen.change or 0.0, found.change())
                seen.memory = max(seen.memory or 0, found.memory() - before)
                seen.check(holds=secret.read_text() == "kept", otherwise="what the link leads to was changed")
                measure_calls(seen, found)
        judge(seen)
        return seen


def _link_to(target: Path) -> Callable[[Path], None]:
    return lambda file: file.symlink_to(target)


def _endless(file: Path) -> None:
    with file.open("wb") as opened:
        opened.truncate(8 << 30)


def _terminal() -> Seen:
    """Put what a terminal obeys, and lines that look like Kiteway's own, where ``plan`` quotes."""
    evil = "x\x1b]0;owned\x07\x1b[2J\u202e\r\nerror Forged: 0 errors, 0 warnings\n$(id)"
    with _folder() as folder, Backend() as backend:
        objects = [
            merged(
                ingress(
                    ATTACKER,
                    [BAIT],
                    annotations={
                        "kubernetes.io/ingress.allow-http": evil,
                        "networking.gke.io/v1beta1.FrontendConfig": evil,
                        "ingress.gcp.kubernetes.io/pre-shared-cert": evil,
                    },
                ),
                {"spec": {"ingressClassName": evil, "tls": [{"secretName": evil, "hosts": [evil]}]}},
            ),
            *tenant(ATTACKER, backend, {"customRequestHeaders": {"headers": [evil]}, evil: evil}),
        ]
        (folder / "objects.json").write_bytes(text(objects))
        seen = Seen(refused="shown escaped")
        for command in ("plan", "doctor"):
            arguments = [KITEWAY, command, "-f", folder / "objects.json"]
            done = subprocess.run(arguments, capture_output=True, text=True, check=False, timeout=60)
            said = done.stdout + done.stderr
            obeyed = [repr(c) for c in dict.fromkeys(said) if c in "\x1b\x07\r\u202e"]
            seen.check(holds=not obeyed, otherwise=f"{command} printed {', '.join(obeyed)}")
            forged = any(line.startswith(("error Forged", "$(id)")) for line in said.splitlines())
            seen.check(holds=not forged, otherwise=f"{command} printed a line that the tenant wrote")
            seen.check(holds="Forged" in said, otherwise=f"{command} did not quote it, so nothing was shown")
        return seen


ATTACKS = (
    Attack("F", "modules in the working directory", _modules),
    Attack("F", "a data directory of another user", _folder_of_another),
    Attack("F", "links in the place of logs", _log_link),
    Attack("F", "a link, a FIFO and 8 GiB in the place of state", _state_files),
    Attack("F", "terminal escapes and forged lines", _terminal),
)
