"""The settings say what is missing, and show no secret."""

from __future__ import annotations

import pytest

from soma.errors import ConfigurationError
from soma_export.settings import ExportSettings

GIVEN = {"SOMA_KAFKA_BOOTSTRAP": "127.0.0.1:9092", "SOMA_POSTGRES_DSN": "host=127.0.0.1 password=s3cret"}


def test_what_the_environment_says_is_taken() -> None:
    settings = ExportSettings.from_environment(
        {**GIVEN, "SOMA_KAFKA_OPTIONS": '{"sasl.password": "s3cret"}', "SOMA_TOPIC_PREFIX": "blue."}
    )
    assert settings.client(enable_idempotence=True) == {
        "bootstrap.servers": "127.0.0.1:9092",
        "client.id": "soma",
        "log_level": 2,
        "sasl.password": "s3cret",
        "enable.idempotence": True,
    }
    assert settings.topic_prefix == "blue."
    assert "s3cret" not in repr(settings)


@pytest.mark.parametrize(
    ("changes", "complaint"),
    [
        ({"SOMA_KAFKA_BOOTSTRAP": ""}, "SOMA_KAFKA_BOOTSTRAP must name a server"),
        ({"SOMA_POSTGRES_DSN": ""}, "soma export up"),
        ({"SOMA_KAFKA_OPTIONS": "["}, "no JSON object"),
        ({"SOMA_KAFKA_OPTIONS": "[]"}, "no JSON object"),
        ({"SOMA_POSTGRES_SCHEMA": "a; DROP"}, "no plain name"),
        ({"SOMA_TOPIC_PREFIX": "a b"}, "prefix"),
        ({"SOMA_EVENT_FORMAT": "xml"}, "json or avro"),
        ({"SOMA_EVENT_FORMAT": "avro"}, "SOMA_SCHEMA_REGISTRY_URL"),
        ({"SOMA_MAX_SKEW_S": "-1"}, "seconds"),
        ({"SOMA_MAX_SKEW_S": "soon"}, "seconds"),
    ],
)
def test_what_cannot_be_used_is_refused(changes: dict[str, str], complaint: str) -> None:
    with pytest.raises(ConfigurationError, match=complaint):
        ExportSettings.from_environment({**GIVEN, **changes})
