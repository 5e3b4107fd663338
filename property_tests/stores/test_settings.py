"""The environment says what it says: every variable is read, checked, documented, and no secret is shown."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import fields
from pathlib import Path

import pytest

from soma.errors import ConfigurationError
from soma.settings import VARIABLES, MemoryMode, Settings, masked

ROOT = Path(__file__).parents[2]
SETTINGS = (ROOT / "docs/reference/settings.md").read_text("utf-8")
SECRET = "s3cret-of-this-test"


def test_every_field_has_one_variable() -> None:
    assert [variable.field for variable in VARIABLES] == [field.name for field in fields(Settings)]
    assert len({variable.name for variable in VARIABLES}) == len(VARIABLES)


@pytest.mark.parametrize("variable", VARIABLES, ids=lambda variable: variable.name)
def test_every_variable_is_documented(variable: object) -> None:
    assert f"| `{variable.name}` |" in SETTINGS  # type: ignore[attr-defined]


def test_an_empty_environment_gives_the_defaults() -> None:
    assert Settings.from_environment({}) == Settings() == Settings.from_environment({"SOMA_MODE": "", "SOMA_PATH": ""})


def test_every_variable_is_read() -> None:
    found = Settings.from_environment(
        {
            "SOMA_MODE": "TEST",
            "SOMA_PATH": "/a",
            "SOMA_NAMESPACE": "lab",
            "SOMA_EMBEDDER": "static",
            "SOMA_REDIS_URL": "redis://localhost/1",
            "SOMA_REDIS_NAME": "other",
            "SOMA_QDRANT_PATH": "/q",
            "SOMA_QDRANT_API_KEY": "key",
            "SOMA_ALLOW_LEGACY": "true",
            "SOMA_LEGACY_PATH": "/dump.json",
        }
    )
    assert found == Settings(
        mode=MemoryMode.TEST,
        path=Path("/a"),
        namespace="lab",
        embedder="static",
        redis_url="redis://localhost/1",
        redis_name="other",
        qdrant_path=Path("/q"),
        qdrant_api_key="key",
        is_legacy_allowed=True,
        legacy_path=Path("/dump.json"),
    )
    assert Settings.from_environment({"SOMA_QDRANT_URL": "http://h"}).qdrant_url == "http://h"


@pytest.mark.parametrize(
    ("name", "text", "sentence"),
    [
        ("SOMA_MODE", "PRODUCTION", "the mode 'PRODUCTION' is unknown: set SOMA_MODE to one of DEVELOPMENT, TEST"),
        ("SOMA_ALLOW_LEGACY", "maybe", "SOMA_ALLOW_LEGACY must be true or false, got 'maybe'"),
        ("SOMA_REDIS_URL", "localhost:6379", "SOMA_REDIS_URL must begin with redis:// or rediss:// or unix://"),
        ("SOMA_QDRANT_URL", "grpc://h", "SOMA_QDRANT_URL must begin with http:// or https://, got 'grpc://h'"),
    ],
)
def test_a_value_outside_its_domain_is_refused(name: str, text: str, sentence: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        Settings.from_environment({name: text})
    assert sentence in str(caught.value)


def test_the_hidden_mode_is_not_advertised() -> None:
    with pytest.raises(ConfigurationError) as caught:
        Settings.from_environment({"SOMA_MODE": "other"})
    assert "LEGACY" not in str(caught.value)


def test_vectors_live_in_one_place() -> None:
    with pytest.raises(ConfigurationError, match="SOMA_QDRANT_PATH and SOMA_QDRANT_URL are both set"):
        Settings.from_environment({"SOMA_QDRANT_PATH": "/q", "SOMA_QDRANT_URL": "http://h"})


def test_no_secret_is_shown() -> None:
    environment = {
        "SOMA_REDIS_URL": f"redis://user:{SECRET}@127.0.0.1:1/0",
        "SOMA_QDRANT_URL": f"https://user:{SECRET}@127.0.0.1:1",
        "SOMA_QDRANT_API_KEY": SECRET,
    }
    settings = Settings.from_environment(environment)
    assert settings.qdrant_api_key == SECRET
    for shown in (repr(settings), str(settings), str(settings.shown()), f"{settings}"):
        assert SECRET not in shown
        assert "127.0.0.1:1" in shown
    with pytest.raises(ConfigurationError) as caught:
        Settings.from_environment({"SOMA_REDIS_URL": f"http://user:{SECRET}@h"})
    assert SECRET not in str(caught.value)


@pytest.mark.parametrize(
    ("address", "shown"),
    [
        ("redis://h:1/0", "redis://h:1/0"),
        ("redis://:pa/ss@h", "redis://***@h"),  # no address by RFC 3986, and still nobody's business
        ("redis://:pass@h:1/0?a=b@c", "redis://***@c"),  # rather too much than too little
        ("rediss://us%40er:p@h", "rediss://***@h"),
    ],
)
def test_credentials_of_an_address_are_masked(address: str, shown: str) -> None:
    assert masked(address) == shown


def test_doctor_names_what_is_set_and_shows_no_secret(tmp_path: Path) -> None:
    environment = {
        **{name: value for name, value in os.environ.items() if not name.startswith("SOMA_")},
        "SOMA_PATH": str(tmp_path / "s"),
        "SOMA_REDIS_URL": f"redis://user:{SECRET}@127.0.0.1:1/0",
        "SOMA_EMBEDER": "static",
    }
    done = subprocess.run(
        [sys.executable, "-c", "from soma.cli import main; main()", "doctor"],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert SECRET not in done.stdout + done.stderr
    assert "SOMA_REDIS_URL" in done.stdout
    assert "SOMA_EMBEDER" in done.stdout
    assert "did you mean SOMA_EMBEDDER?" in done.stdout
    assert done.returncode == 2
