import re
from dataclasses import fields

import pytest

from homeserver_app.settings import PREFIX, Settings, SettingsError

from .server import APP


def read(**variables: str) -> Settings:
    return Settings.from_environment({PREFIX + name: value for name, value in variables.items()})


def test_an_empty_environment_gives_the_defaults() -> None:
    assert Settings.from_environment({"PATH": "/bin"}) == Settings()


def test_every_setting_is_read_from_its_variable() -> None:
    settings = read(
        GREETING="Moin!", PORT="80", LOG_LEVEL="DEBUG", TRACING_ENDPOINT="https://otel:4318/", POD=""
    )
    assert settings == Settings(
        greeting="Moin!", port=80, log_level="debug", tracing_endpoint="https://otel:4318", pod=""
    )


@pytest.mark.parametrize(
    ("variable", "value", "message"),
    [
        ("GREETING", " ", "HOMESERVER_APP_GREETING must not be empty, not ' '"),
        (
            "PORT",
            "tcp://10.0.0.1",
            "HOMESERVER_APP_PORT must be a whole number from 1 to 65535, not 'tcp://10.0.0.1'",
        ),
        ("PORT", "65536", "HOMESERVER_APP_PORT must be a whole number from 1 to 65535, not '65536'"),
        ("THREADS", "0", "HOMESERVER_APP_THREADS must be a whole number from 1 to 256, not '0'"),
        ("WORKERS", "-1", "HOMESERVER_APP_WORKERS must be a whole number from 0 to 64, not '-1'"),
        (
            "DRAIN_SECONDS",
            "2.5",
            "HOMESERVER_APP_DRAIN_SECONDS must be a whole number from 0 to 300, not '2.5'",
        ),
        (
            "LOG_LEVEL",
            "loud",
            "HOMESERVER_APP_LOG_LEVEL must be one of debug, info, warning, error, not 'loud'",
        ),
        ("ACCESS_LOG", "none", "HOMESERVER_APP_ACCESS_LOG must be one of all, unusual, not 'none'"),
        (
            "TRACING_ENDPOINT",
            "collector:4317",
            "HOMESERVER_APP_TRACING_ENDPOINT must be empty or a URL like http://collector:4318, "
            "not 'collector:4317'",
        ),
        (
            "FAULT",
            "opera:/",
            "HOMESERVER_APP_FAULT must be empty or like safari:/, with one of bot, edge, firefox, chrome, "
            "safari, other, not 'opera:/'",
        ),
        (
            "FAULT",
            "safari",
            "HOMESERVER_APP_FAULT must be empty or like safari:/, with one of bot, edge, firefox, chrome, "
            "safari, other, not 'safari'",
        ),
        ("GREETNG", "Hi", "HOMESERVER_APP_GREETNG is not a setting; did you mean HOMESERVER_APP_GREETING?"),
        ("XYZZY", "1", "HOMESERVER_APP_XYZZY is not a setting"),
        *(
            (
                f"{name}_PORT",
                "8000",
                "HOMESERVER_APP_PORT, HOMESERVER_APP_PROBE_PORT and HOMESERVER_APP_METRICS_PORT must differ",
            )
            for name in ("PROBE", "METRICS")
        ),
    ],
)
def test_a_bad_variable_gets_one_clear_message(variable: str, value: str, message: str) -> None:
    with pytest.raises(SettingsError) as caught:
        read(**{variable: value})
    assert str(caught.value) == message


def test_all_problems_are_reported_at_once() -> None:
    with pytest.raises(SettingsError) as caught:
        read(PORT="x", THREADS="y", COLOUR="z")
    assert [line.split()[0].removeprefix(PREFIX) for line in str(caught.value).splitlines()] == [
        "COLOUR",
        "PORT",
        "THREADS",
    ]


def test_the_readme_lists_every_setting_with_its_default() -> None:
    table = re.findall(
        r"^\| `(HOMESERVER_APP_\w+)` \| (?:`(.*?)`)? *\|", (APP / "README.md").read_text(), re.M
    )
    assert table == [(PREFIX + field.name.upper(), str(field.default)) for field in fields(Settings)]
