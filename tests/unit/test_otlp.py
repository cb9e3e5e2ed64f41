"""The options of a collector, and what is known of the exports to it."""

from __future__ import annotations

import dataclasses
import datetime as dt
from pathlib import Path

import pytest
from typer.testing import CliRunner

from kiteway.cli import app
from kiteway.envoy.admin import AdminClient
from kiteway.envoy.otlp import OtlpSettings, parse_otlp_endpoint
from kiteway.files import write_atomic
from kiteway.status.exports import ExportWatch

NOW = dt.datetime(2026, 1, 1, tzinfo=dt.UTC)
SETTINGS = OtlpSettings("127.0.0.1", 4318)


def parse(url: str, *, ca: Path | None = None, token_file: Path | None = None) -> OtlpSettings:
    """Read a URL with the defaults of the other options."""
    return parse_otlp_endpoint(url, sampling=1, logs=False, ca=ca, token_file=token_file, instance="me")


@pytest.mark.parametrize(
    ("url", "host", "port", "path", "again"),
    [
        ("http://127.0.0.1:4318", "127.0.0.1", 4318, "", "http://127.0.0.1:4318"),
        ("http://collector", "collector", 4318, "", "http://collector:4318"),
        ("http://[::1]:9/", "::1", 9, "", "http://[::1]:9"),
        ("http://collector:80/otlp/", "collector", 80, "/otlp", "http://collector:80/otlp"),
    ],
)
def test_a_url_is_read(url: str, host: str, port: int, path: str, again: str) -> None:
    """A URL has a host, a port that is 4318 by default, and perhaps a path."""
    found = parse(url)
    assert (found.host, found.port, found.path, found.url) == (host, port, path, again)


def test_https_needs_cas(tmp_path: Path) -> None:
    """An https URL is verified against the CAs of --otlp-ca."""
    ca = tmp_path / "ca.crt"
    ca.write_text("PEM")
    found = parse("https://collector", ca=ca)
    assert (found.ca, found.url) == (ca, "https://collector:4318")


@pytest.mark.parametrize(
    "url",
    [
        *("collector:4318", "grpc://collector", "http://", "http://h:x", "http://h:0", "http://h:99999"),
        *("http://h:1?token=s3cret", "http://h:1#s3cret", "http://a b", "http://h/a b", "http://h/ü"),
    ],
)
def test_what_is_no_url_is_refused(url: str) -> None:
    """The message shows the form, and nothing that can be a token."""
    with pytest.raises(ValueError, match=r"is not http://HOST\[:PORT\]") as raised:
        parse(url)
    assert "s3cret" not in str(raised.value)


@pytest.mark.parametrize(
    "url", ["http://user:s3cret@collector", "https://s3cret@h:99999", "s3cret@h", "http://s3cret@"]
)
def test_a_url_has_no_credentials(url: str) -> None:
    """Credentials in a URL are refused, and not repeated, whatever else is wrong with it."""
    with pytest.raises(ValueError, match="--otlp-token-file") as raised:
        parse(url)
    assert "s3cret" not in str(raised.value)


@pytest.mark.parametrize(
    ("content", "accepted"),
    [("token", True), ("token\n", True), ("", False), ("\n", False), ("a b", False), ("é", False)],
)
def test_a_token_file_has_one_token(tmp_path: Path, content: str, accepted: bool) -> None:  # noqa: FBT001
    """A file without a token that a header can carry is refused, without its content."""
    file = tmp_path / "token"
    write_atomic(file, content.encode(), 0o600)
    if accepted:
        assert parse("http://h", token_file=file).token_file == file
        return
    with pytest.raises(ValueError, match="must have one token"):
        parse("http://h", token_file=file)


def test_a_token_that_every_user_can_read_is_refused(tmp_path: Path) -> None:
    """As the page's is; the message says what to do, and not the token."""
    file = tmp_path / "token"
    write_atomic(file, b"s3cret", 0o604)
    with pytest.raises(ValueError, match=r"every user of this machine can use the token .* run `chmod o=") as raised:
        parse("http://h", token_file=file)
    assert "s3cret" not in str(raised.value)


@pytest.mark.parametrize("command", ["up", "controller"])
@pytest.mark.parametrize("given", [["--otlp-logs"], ["--otlp-ca", "x"], ["--otlp-token-file", "x"]])
def test_the_other_options_need_the_endpoint(command: str, given: list[str]) -> None:
    """An option without --otlp-endpoint is a usage error that names it."""
    own = {"up": ["--to", "127.0.0.1:1"], "controller": []}[command]
    done = CliRunner().invoke(app, [command, *own, *given])
    assert done.exit_code == 2
    assert f"{given[0]} goes with --otlp-endpoint" in done.output


def watching(otlp: OtlpSettings | None = SETTINGS) -> ExportWatch:
    """Return a watch that is told the counters, and asks no Envoy."""
    return ExportWatch(AdminClient(Path("/nowhere")), otlp)


def stats(**counters: int) -> dict[str, int]:
    """Return Envoy's names and counts; two underscores stand for a dot."""
    return {f"cluster.otlp.{name.replace('__', '.')}": count for name, count in counters.items()}


@pytest.mark.parametrize(
    ("counters", "words"),
    [
        ({"upstream_rq_5xx": 1, "upstream_cx_connect_fail": 1}, "no connection"),
        ({"upstream_rq_5xx": 1, "upstream_cx_none_healthy": 1}, "cannot be resolved"),
        ({"upstream_rq_5xx": 1, "upstream_cx_connect_fail": 1, "ssl__fail_verify_error": 1}, "not trusted"),
        ({"upstream_rq_5xx": 1, "upstream_rq_timeout": 1}, "does not answer in time"),
        ({"upstream_rq_4xx": 1}, "HTTP 4xx"),
        ({"upstream_rq_3xx": 1}, "HTTP 3xx"),
        ({"upstream_rq_5xx": 1}, "HTTP 5xx"),
    ],
)
def test_the_reason_of_lost_exports_is_in_the_counters(counters: dict[str, int], words: str) -> None:
    """Of the counters that have grown the most precise one says why exports are lost."""
    watch = watching()
    watch.take(stats(upstream_rq_2xx=3), NOW)
    watch.take(stats(upstream_rq_2xx=3, **counters), NOW)
    report = watch.report()
    assert report is not None
    assert words in report.problem
    assert (report.accepted, report.failed, report.since) == (3, 1, NOW)


def test_lost_exports_end_with_one_that_is_accepted() -> None:
    """The problem lasts until an export is accepted, also when nothing is exported meanwhile, and after a restart of Envoy."""
    watch = watching()
    seen = []
    for second, counters in enumerate(
        (
            stats(upstream_rq_5xx=1),
            stats(upstream_rq_5xx=1),
            stats(upstream_rq_5xx=2),
            stats(upstream_rq_5xx=2, upstream_rq_2xx=1),
            stats(),  # Envoy has started again
            stats(upstream_rq_5xx=1),
        )
    ):
        watch.take(counters, NOW + dt.timedelta(seconds=second))
        report = watch.report()
        assert report is not None
        seen.append((bool(report.problem), report.since))
    later = NOW + dt.timedelta(seconds=5)
    assert seen == [(True, None), (True, None), (True, None), (False, None), (False, None), (True, later)]


def test_without_a_collector_nothing_is_reported() -> None:
    """The status says nothing of exports where there is no collector."""
    assert watching(None).report() is None


def test_settings_go_through_the_configuration_of_the_control_plane() -> None:
    """Every field survives the JSON file by which the control plane gets its settings."""
    import msgspec

    from kiteway.controlplane.config import Config
    from kiteway.envoy.settings import EnvoySettings

    otlp = OtlpSettings("c", 1, "/p", Path("/ca"), Path("/t"), 0.5, True, "me")
    assert all(getattr(otlp, field.name) != field.default for field in dataclasses.fields(OtlpSettings))
    config = Config("/d", (), EnvoySettings(otlp=otlp))
    text = msgspec.json.encode(config.plain())
    read = msgspec.json.decode(text, type=Config, dec_hook=lambda kind, value: kind(value))
    assert read.settings.otlp == otlp
