"""Which settings of APM fit together, and what is said of those that don't."""

import pytest

import settings
from components import planning
from tests.paths import ROOT

URL = "https://otlp.example.com"
SOUND = [
    {"apm": "newrelic", "apmSecret": "shop/apm"},
    {"apm": "newrelic", "apmSecret": "shop/apm", "apmEndpoint": "https://collector.eu01.nr-data.net"},
    {"apm": "datadog", "apmSecret": "shop/apm"},
    {"apm": "datadog", "apmSecret": "shop/apm", "apmEndpoint": "http://10.20.0.9:8126"},
    {"apm": "appdynamics", "apmSecret": "shop/apm", "apmEndpoint": URL, "apmController": "acme.example.com:8090"},
    {"apm": "opentelemetry", "apmEndpoint": "http://10.20.0.9:4318"},
    {"apm": "opentelemetry", "apmEndpoint": URL, "apmSecret": "shop/apm"},
]
BROKEN = [
    ({"apmSecret": "shop/apm"}, "apmSecret", "it must come with apm"),
    ({"apmEndpoint": URL}, "apmEndpoint", "it must come with apm"),
    ({"apm": "newrelic"}, "apmSecret", "with newrelic, it must name the secret"),
    ({"apm": "datadog"}, "apmSecret", "with datadog, it must name the secret"),
    ({"apm": "dynatrace", "apmSecret": "shop/apm"}, "apm", "newrelic, appdynamics, datadog or opentelemetry"),
    ({"apm": "opentelemetry"}, "apmEndpoint", "it must say where traces are sent"),
    ({"apm": "opentelemetry", "apmEndpoint": "collector:4318"}, "apmEndpoint", "it must be a URL"),
    ({"apm": "opentelemetry", "apmEndpoint": "https://"}, "apmEndpoint", "it must be a URL"),
    ({"apm": "opentelemetry", "apmEndpoint": "https://x:port"}, "apmEndpoint", "it must be a URL"),
    ({"apm": "opentelemetry", "apmEndpoint": "https://me:hunter2@x"}, "apmEndpoint", "without user, query"),
    ({"apm": "opentelemetry", "apmEndpoint": "https://x/?key=hunter2"}, "apmEndpoint", "without user, query"),
    ({"apm": "newrelic", "apmSecret": "a b: hunter2"}, "apmSecret", "not the secret itself"),
    ({"apm": "newrelic", "apmSecret": "s", "apmEndpoint": "http://x"}, "apmEndpoint", "HTTPS alone"),
    ({"apm": "appdynamics", "apmSecret": "s", "apmEndpoint": URL}, "apmController", "given with appdynamics"),
    ({"apm": "datadog", "apmSecret": "s", "apmController": "a.example.com"}, "apmController", "only then"),
    (
        {"apm": "appdynamics", "apmSecret": "s", "apmEndpoint": URL, "apmController": "https://a.example.com"},
        *("apmController", "the controller's host"),
    ),
]


def parse(app: dict[str, str]) -> settings.Settings:
    config = {"aws:region": "us-east-1", "expressway:app": app}
    return settings.parse(config, stack="dev", base=ROOT, source="test")


@pytest.mark.parametrize("app", SOUND)
def test_what_a_vendor_needs_is_enough(app: dict[str, str]) -> None:
    assert parse(app).app.apm == app["apm"]


@pytest.mark.parametrize(("app", "setting", "rule"), BROKEN)
def test_what_doesnt_fit_is_named_with_its_rule(app: dict[str, str], setting: str, rule: str) -> None:
    with pytest.raises(settings.SettingsError) as caught:
        parse(app)
    (problem,) = caught.value.problems
    assert problem.path == f"expressway:app.{setting}"
    assert rule in problem.rule
    assert "hunter2" not in str(caught.value), "what may be a key is never shown"


@pytest.mark.parametrize(
    ("endpoint", "port"), [(None, 443), ("https://x", 443), ("http://x", 80), ("http://10.0.0.9:4318", 4318)]
)
def test_the_port_that_has_to_be_open_is_the_endpoints(endpoint: str | None, port: int) -> None:
    assert planning.apm_port(endpoint) == port
