"""Calls that are made of botocore's parts say what botocore's clients say, and fail as they do."""

import datetime
import http.server
import json
import socket
import threading
from collections.abc import Iterator
from functools import partial
from typing import Any

import boto3
import botocore.session
import pytest
from botocore.credentials import RefreshableCredentials
from botocore.exceptions import BotoCoreError, ClientError, NoCredentialsError
from botocore.utils import InstanceMetadataFetcher
from expressway_machine import calls
from expressway_machine.calls import CLOUDWATCH, LOGS, Calls, Service

SERVICES = {"cloudwatch": CLOUDWATCH, "logs": LOGS}
CREDENTIALS = "/latest/meta-data/iam/security-credentials/"


class Server:
    """Answers what it is told to, and keeps what it was asked."""

    def __init__(self) -> None:
        self.answers: dict[tuple[str, str], tuple[int, str]] = {}
        self.asked: list[tuple[dict[str, str], bytes]] = []
        served = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def answer(self) -> None:
                body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
                if self.command == "POST":
                    served.asked.append(({name.lower(): value for name, value in self.headers.items()}, body))
                status, text = served.answers.get((self.command, self.path), (404, ""))
                self.send_response(status)
                self.send_header("Content-Length", str(len(text)))
                self.end_headers()
                self.wfile.write(text.encode())

            do_GET = do_PUT = do_POST = answer  # noqa: N815

            def log_message(self, *_: object) -> None:  # pyright: ignore[reportIncompatibleMethodOverride]
                pass

        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}/"
        threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True).start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()


@pytest.fixture
def aws(monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    server = Server()
    monkeypatch.setenv("AWS_ENDPOINT_URL", server.url)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIDEXAMPLE")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
    monkeypatch.setenv("AWS_SESSION_TOKEN", "token")
    yield server
    server.close()


def key(headers: dict[str, str]) -> str:
    """By which a call was signed."""
    return headers["authorization"].partition("Credential=")[2].partition("/")[0]


@pytest.mark.parametrize("name", SERVICES)
@pytest.mark.parametrize("region", ["us-east-1", "eu-central-1", "us-gov-west-1", "cn-north-1"])
def test_services_are_where_botocore_has_them(name: str, region: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AWS_ENDPOINT_URL", raising=False)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "a")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "b")
    sent: list[Any] = []

    class Session:
        def send(self, request: Any) -> Any:
            sent.append(request)
            return type("Answer", (), {"status_code": 200, "content": b""})

    made = Calls(region)
    monkeypatch.setattr(made, "_session", Session())
    assert made(SERVICES[name], "Nothing", {}) == {}
    meta = boto3.client(name, region_name=region).meta
    assert sent[0].url.rstrip("/") == meta.endpoint_url
    found = botocore.session.get_session().get_service_model(name).metadata
    protocol = (found["endpointPrefix"], found["targetPrefix"], found["jsonVersion"])
    assert Service(*protocol) == SERVICES[name]
    assert "json" in found["protocols"]


def test_a_call_is_botocores_own_signature_included(aws: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    now = datetime.datetime(2026, 11, 26, 12, 0, 0, tzinfo=datetime.UTC)
    monkeypatch.setattr("botocore.auth.get_current_datetime", lambda *_: now)
    given = {
        "logGroupName": "shop",
        "logStreamName": "i-1/app",
        "logEvents": [{"timestamp": 1_764_000_000_000, "message": 'ä "quoted" 漢'}],
    }
    aws.answers["POST", "/"] = (200, '{"rejectedLogEventsInfo": {"tooOldLogEventEndIndex": 1}}')
    answer = Calls("us-east-1")(LOGS, "PutLogEvents", given)
    assert answer == {"rejectedLogEventsInfo": {"tooOldLogEventEndIndex": 1}}
    botocore.session.get_session().create_client("logs", region_name="us-east-1").put_log_events(**given)
    (ours, body), (theirs, expected) = aws.asked
    assert body == expected
    for name in ("content-type", "x-amz-target", "x-amz-security-token", "authorization"):
        assert ours[name] == theirs[name]


@pytest.mark.parametrize(
    ("status", "body", "code", "message"),
    [
        (400, '{"__type": "ThrottlingException", "message": "slow down"}', "ThrottlingException", "slow down"),
        (400, '{"__type": "com.amazon.coral.service#AccessDeniedException"}', "AccessDeniedException", ""),
        (400, '{"__type": "a#InvalidParameterValue", "Message": "no"}', "InvalidParameterValue", "no"),
        (500, "", "500", ""),
        (503, "<html>a page</html>", "503", "<html>a page</html>"),
        (200, "<html>who are you?</html>", "200", "<html>who are you?</html>"),
        (302, "{}", "302", ""),
    ],
)
def test_a_refusal_is_botocores_error_with_its_code(
    aws: Server, status: int, body: str, code: str, message: str
) -> None:
    aws.answers["POST", "/"] = (status, body)
    with pytest.raises(ClientError) as refused:
        Calls("us-east-1")(CLOUDWATCH, "PutMetricData", {})
    assert refused.value.response["Error"] == {"Code": code, "Message": message}
    assert "PutMetricData" in str(refused.value)


@pytest.mark.parametrize("hangs", [True, False])
def test_one_that_is_away_is_botocores_error_in_time(hangs: bool, aws: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{silent.getsockname()[1]}")
        if not hangs:
            silent.close()
        with pytest.raises(BotoCoreError, match="timeout" if hangs else "Could not connect"):
            Calls("us-east-1", connect_timeout=0.2, read_timeout=0.2)(LOGS, "PutLogEvents", {})


@pytest.fixture
def role(aws: Server, monkeypatch: pytest.MonkeyPatch) -> Server:
    """The same server, as the metadata service of a machine without keys in its environment."""
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN"):
        monkeypatch.delenv(name)
    monkeypatch.setattr(calls, "InstanceMetadataFetcher", partial(InstanceMetadataFetcher, base_url=aws.url))
    aws.answers |= {("PUT", "/latest/api/token"): (200, "t"), ("POST", "/"): (200, "{}")}
    return aws


def give(server: Server, key: str, minutes: float) -> None:
    """The role's keys, for so long."""
    until = datetime.datetime.now(datetime.UTC) + datetime.timedelta(minutes=minutes)
    keys = {"AccessKeyId": key, "SecretAccessKey": "s", "Token": "t", "Expiration": f"{until:%Y-%m-%dT%H:%M:%SZ}"}
    server.answers |= {
        ("GET", CREDENTIALS): (200, "shop"),
        ("GET", f"{CREDENTIALS}shop"): (200, json.dumps({"Code": "Success", "Type": "AWS-HMAC", **keys})),
    }


def test_the_roles_keys_are_renewed_before_they_expire(role: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    give(role, "first", minutes=60)
    made = Calls("us-east-1")
    made(LOGS, "PutLogEvents", {})
    give(role, "second", minutes=60)
    made(LOGS, "PutLogEvents", {})
    monkeypatch.setattr(RefreshableCredentials, "_advisory_refresh_timeout", 3700)
    made(LOGS, "PutLogEvents", {})
    assert [key(headers) for headers, _ in role.asked] == ["first", "first", "second"]


def test_a_machine_that_has_no_role_yet_is_asked_again(role: Server) -> None:
    made = Calls("us-east-1")
    with pytest.raises(NoCredentialsError):
        made(LOGS, "PutLogEvents", {})
    give(role, "late", minutes=60)
    made(LOGS, "PutLogEvents", {})
    assert [key(headers) for headers, _ in role.asked] == ["late"]
