"""Parts are chosen by name, and what cannot be is refused in words: unknown, disputed, broken, half made."""

from __future__ import annotations

from pathlib import Path

import pytest

from steward.errors import ConfigurationError
from steward.installation.container import Steward
from steward.installation.settings import load
from steward.mail.transports.captured import CaptureTransport
from steward.mail.transports.smtp.transport import SmtpTransport
from steward.plugins import registry
from steward.storage.archives.folder import FolderArchive
from steward.system.masking import masked

PART = """
from steward import hookimpl

@hookimpl
def register_{kind}():
    return {{"{name}": make}}

def make(options):
    {body}
"""


def plugin(folder: Path, stem: str, kind: str, name: str, body: str = "return None") -> None:
    folder.mkdir(exist_ok=True)
    (folder / f"{stem}.py").write_text(PART.format(kind=kind, name=name, body=body))


def house(tmp_path: Path, **settings: object) -> Steward:
    return Steward(load(data_dir=tmp_path / "data", plugins_dir=tmp_path / "plugins", **settings))


def test_what_ships_comes_through_the_same_hooks_and_is_not_listed() -> None:
    found = registry.load([], entry_points=False)
    assert found.transports.names == ["captured", "smtp", "smtp+plain", "smtps"]
    assert found.archives.names == ["file"]
    assert found.renderers.names == ["weasyprint"]
    assert found.engines.names == ["background", "celery", "durable"]
    assert found.plugins == ()


@pytest.mark.parametrize(
    ("settings", "kind"),
    [
        ({}, CaptureTransport),
        ({"mail_url": "captured://"}, CaptureTransport),
        ({"mail_url": "smtp://mail.example.org"}, SmtpTransport),
        ({"smtp_url": "SMTPS://mail.example.org"}, SmtpTransport),
        ({"mail_url": "smtp://mail.example.org", "smtp_url": "smtp://mail.example.org"}, SmtpTransport),
    ],
)
def test_the_scheme_chooses_what_carries_mail(tmp_path: Path, settings: dict[str, str], kind: type) -> None:
    transport = house(tmp_path, **settings).transport()
    transport.close()
    assert type(transport) is kind


def test_two_mail_servers_are_refused() -> None:
    with pytest.raises(ConfigurationError, match="keep STEWARD_MAIL_URL alone") as refused:
        load(mail_url="smtp://u:first-word@a.example.org", smtp_url="smtp://u:other-word@b.example.org")
    assert "-word" not in str(refused.value)


def test_mail_is_never_captured_in_production(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="In production mail is sent, never captured"):
        house(tmp_path, env="production", mail_url="captured://").transport()


def test_files_are_kept_where_the_address_says(tmp_path: Path) -> None:
    assert house(tmp_path).archive.root == tmp_path / "data" / "archive"  # type: ignore[attr-defined]
    elsewhere = house(tmp_path, archive_url=f"file://{tmp_path}/kept").archive
    assert isinstance(elsewhere, FolderArchive)
    assert elsewhere.root == tmp_path / "kept"


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"mail_url": "sess://key@example.org"}, ["STEWARD_MAIL_URL asks for the mail transport 'sess'", "mtp+plain"]),
        ({"smtp_url": "smtpp://example.org"}, ["STEWARD_SMTP_URL asks for", "Did you mean 'smtp'?"]),
        ({"mail_url": "mail.example.org"}, ["STEWARD_MAIL_URL is not the address of a mail server", "no scheme"]),
        ({"archive_url": "s3://bucket"}, ["STEWARD_ARCHIVE_URL asks for the archive 's3'", "There are: file"]),
        ({"archive_url": "/srv/archive"}, ["STEWARD_ARCHIVE_URL is not the address of an archive", "file:///srv"]),
        ({"renderer": "weasy"}, ["STEWARD_RENDERER asks for the renderer 'weasy'", "Did you mean 'weasyprint'?"]),
        ({"engine": "durabel"}, ["STEWARD_ENGINE asks for the engine 'durabel'", "Did you mean 'durable'?"]),
    ],
)
def test_an_unknown_name_is_refused_with_those_there_are(
    tmp_path: Path, settings: dict[str, str], said: list[str]
) -> None:
    with pytest.raises(ConfigurationError) as refused:
        house(tmp_path, **settings).require_parts()
    for words in said:
        assert words in str(refused.value)


def test_what_to_install_is_said_and_which_plugin_could_not_be_loaded(tmp_path: Path) -> None:
    folder = tmp_path / "plugins"
    folder.mkdir()
    (folder / "ses_mail.py").write_text("import a_module_nobody_has\n")
    with pytest.raises(ConfigurationError) as refused:
        house(tmp_path, mail_url="ses://eu").require_parts()
    assert "the plugin ses_mail could not be loaded" in str(refused.value)
    assert "a_module_nobody_has" in str(refused.value)
    assert "nstall the plugin that offers 'ses'" in str(refused.value)


def test_a_plugins_part_is_listed_and_made_of_its_address(tmp_path: Path) -> None:
    plugin(tmp_path / "plugins", "box", "archives", "box", "return Box(options.url)")
    with (tmp_path / "plugins" / "box.py").open("a") as file:
        file.write("class Box:\n    in_backup = False\n    def __init__(self, url): self.url = url\n")
        file.writelines(
            f"    def {name}(self, *given): ...\n" for name in ("store", "open", "remove", "sweep", "close")
        )
    steward = house(tmp_path, archive_url="box://here")
    assert [each.parts for each in steward.registry.plugins if each.name == "box"] == [("archive box",)]
    assert steward.archive.url == "box://here"  # type: ignore[attr-defined]


def test_no_plugin_takes_the_name_of_what_ships(tmp_path: Path) -> None:
    plugin(tmp_path / "plugins", "mine", "transports", "smtp")
    steward = house(tmp_path, mail_url="smtp://mail.example.org")
    [broken] = [each for each in steward.registry.plugins if each.error]
    assert "The mail transport 'smtp' is already there, from Steward" in broken.error
    steward.require_parts()  # the rest runs


def test_two_plugins_of_one_name_are_refused_where_it_is_asked_for(tmp_path: Path) -> None:
    plugin(tmp_path / "plugins", "one", "transports", "ses")
    plugin(tmp_path / "plugins", "two", "transports", "ses")
    with pytest.raises(ConfigurationError, match="Two plugins offer the mail transport 'ses'") as refused:
        house(tmp_path, mail_url="ses://eu").require_parts()
    assert "one.py" in str(refused.value)
    assert "two.py" in str(refused.value)
    house(tmp_path, mail_url="smtp://mail.example.org").require_parts()


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ("raise ValueError('no region in ' + options.url)", r"ses_mail\.py:9: ValueError: no region in ses"),
        ("raise SystemExit(3)", r"ses_mail\.py:9: SystemExit: 3"),
        ("import a_module_nobody_has", "No module named 'a_module_nobody_has'"),
        ("return object()", "object has no send, no check, no silent, no reconnect, no close"),
    ],
)
def test_a_factory_that_fails_ends_the_start_in_words(tmp_path: Path, body: str, said: str) -> None:
    plugin(tmp_path / "plugins", "ses_mail", "transports", "ses", body)
    steward = house(tmp_path, mail_url="ses://AKIA:hidden-word@eu?session_token=another-word")
    with pytest.raises(ConfigurationError, match=said) as refused:
        steward.transport()
    assert "which STEWARD_MAIL_URL asks for, cannot be used" in str(refused.value)
    assert "-word" not in str(refused.value)


@pytest.mark.parametrize("returned", ["None", "['ses']", "{'Ses Mail': print}", "{'ses': 7}"])
def test_a_hook_that_returns_no_factories_breaks_its_plugin_alone(tmp_path: Path, returned: str) -> None:
    folder = tmp_path / "plugins"
    folder.mkdir()
    (folder / "odd.py").write_text(
        f"from steward import hookimpl\n\n@hookimpl\ndef register_transports():\n    return {returned}\n"
    )
    steward = house(tmp_path)
    [broken] = [each for each in steward.registry.plugins if each.error]
    assert "register_transports returned" in broken.error
    steward.require_parts()


@pytest.mark.parametrize(
    ("url", "secrets"),
    [
        ("ses://AKIAKEY:s%2Fcret-one@eu-west-1", ["s%2Fcret-one", "s/cret-one"]),
        ("sendgrid://SG.alone-as-key@api", ["SG.alone-as-key"]),
        ("hook://h?region=eu&api_key=key-in-query&sig=sig%2Bin-query", ["key-in-query", "sig+in-query"]),
        ("s3://bucket?secret_access_key=deep+secret", ["deep secret", "deep+secret"]),
    ],
)
@pytest.mark.parametrize("setting", ["mail_url", "archive_url"])
def test_what_is_secret_in_an_address_is_masked(tmp_path: Path, setting: str, url: str, secrets: list[str]) -> None:
    house(tmp_path, **{setting: url})
    for secret in secrets:
        assert secret not in masked(f"refused: {url} and {secret}")
    assert "eu" not in url or "eu" in masked(url)
