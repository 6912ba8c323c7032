"""What both tiers' programs share: files, readiness, identity."""

import http.server
import json
import os
import threading
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from socket import create_server

import jinja2
import pytest
from expressway_machine import config, files, metadata, readiness

Answers = dict[tuple[str, str], tuple[int, str]]


@pytest.fixture
def serve() -> Iterator[Callable[[Answers], int]]:
    """Start a web server that gives the answers; its port. What it was asked is in its `asked`."""
    servers: list[http.server.ThreadingHTTPServer] = []

    def start(answers: Answers) -> int:
        class Handler(http.server.BaseHTTPRequestHandler):
            def answer(self) -> None:
                wanted = self.headers.get("X-aws-ec2-metadata-token")
                status, body = answers.get((self.command, self.path), (404, ""))
                if self.command == "GET" and "meta-data" in self.path and wanted != "the token":
                    status, body = 401, ""
                self.send_response(status)
                self.send_header("Location", "/elsewhere")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body.encode())

            do_GET = do_PUT = answer  # noqa: N815

            def log_message(self, *_: object) -> None:  # pyright: ignore[reportIncompatibleMethodOverride]
                pass

        server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        servers.append(server)
        return server.server_address[1]

    yield start
    for server in servers:
        server.shutdown()
        server.server_close()


def test_writing_the_same_again_changes_nothing(tmp_path: Path) -> None:
    path = tmp_path / "new/folder/file"
    assert files.write(path, "text") is True, "it wasn't there"
    inode = path.stat().st_ino
    assert files.write(path, "text") is False, "nothing to change"
    assert path.stat().st_ino == inode, "it was written all the same"
    assert files.write(path, "other") is True, "another text"
    assert path.read_text() == "other"


def test_a_secret_file_is_never_readable_by_others(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[int] = []
    path = tmp_path / "app.env"
    fchmod, rename = os.fchmod, Path.rename

    def change_mode(descriptor: int, mode: int) -> None:
        seen.append(os.fstat(descriptor).st_mode & 0o777)
        fchmod(descriptor, mode)

    def publish(source: Path, target: Path) -> Path:
        seen.append(source.stat().st_mode & 0o777)
        return rename(source, target)

    monkeypatch.setattr(os, "fchmod", change_mode)
    monkeypatch.setattr(Path, "rename", publish)
    path.write_text("A=1")
    path.chmod(0o644)
    assert files.write(path, "A=1", 0o600) is True, "the mode counts too"
    assert seen == [0o600, 0o600], "when it was made, and when it got its name"
    assert path.stat().st_mode & 0o777 == 0o600


def test_what_a_killed_run_left_is_overwritten(tmp_path: Path) -> None:
    (tmp_path / "file.partial").write_text("half")
    assert files.write(tmp_path / "file", "whole") is True
    assert [each.name for each in tmp_path.iterdir()] == ["file"], "no leftovers"


def test_a_link_is_moved_in_one_step(tmp_path: Path) -> None:
    link = tmp_path / "current"
    assert files.link(link, tmp_path / "one") is True
    assert files.link(link, tmp_path / "one") is False, "it pointed there"
    (tmp_path / "current.partial").symlink_to("left by a killed run")
    assert files.link(link, tmp_path / "two") is True
    assert link.readlink() == tmp_path / "two"


def test_an_undefined_name_in_a_template_is_an_error(tmp_path: Path) -> None:
    template = tmp_path / "file.j2"
    template.write_text("port {{ port }}\n")
    assert files.render(template, port=80) == "port 80\n", "the last newline stays"
    with pytest.raises(jinja2.UndefinedError, match="port"):
        files.render(template)


def test_machine_json_that_is_no_object_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "machine.json"
    path.write_text('{"tier": "app"}')
    assert config.load(path) == {"tier": "app"}
    for text in ("[]", "{"):
        path.write_text(text)
        with pytest.raises(ValueError, match=r"JSON|Expecting"):
            config.load(path)


@pytest.mark.parametrize(
    ("status", "ready"), [(200, True), (302, True), (404, True), (499, True), (500, False), (503, False)]
)
def test_any_answer_below_500_means_ready(status: int, ready: bool, serve: Callable[[Answers], int]) -> None:
    # A redirect leads to a path that answers 500: it is not followed.
    port = serve({("GET", "/readyz"): (status, ""), ("GET", "/elsewhere"): (500, "")})
    answer = readiness.probe("127.0.0.1", port, "/readyz", timeout=20)
    assert answer == readiness.Answer(ready, f"HTTP {status}")


def test_no_answer_means_not_ready() -> None:
    with closing(create_server(("127.0.0.1", 0))) as listener:
        port = listener.getsockname()[1]
        silent = readiness.probe("127.0.0.1", port, "/", timeout=0.2)
    assert silent == readiness.Answer(False, "timed out"), "it is connected, and never answers"
    refused = readiness.probe("127.0.0.1", port, "/")
    assert not refused.ready, "nobody listens there any more"
    assert "refused" in refused.detail.lower(), refused.detail


def test_something_that_is_not_http_is_not_ready() -> None:
    with closing(create_server(("127.0.0.1", 0))) as listener:

        def answer() -> None:
            connection, _ = listener.accept()
            with connection:
                connection.recv(1000)
                connection.sendall(b"SSH-2.0-OpenSSH\r\n")

        threading.Thread(target=answer, daemon=True).start()
        assert not readiness.probe("127.0.0.1", listener.getsockname()[1], "/").ready, "any bytes will not do"


def test_identity_needs_a_token(serve: Callable[[Answers], int]) -> None:
    answers = {("PUT", "/latest/api/token"): (200, "the token"), ("GET", "/latest/meta-data/instance-id"): (200, "i-1")}
    assert metadata.instance_id(f"127.0.0.1:{serve(answers)}") == "i-1"
    wrong = answers | {("PUT", "/latest/api/token"): (200, "another token")}
    with pytest.raises(OSError, match="401"):
        metadata.instance_id(f"127.0.0.1:{serve(wrong)}")


def test_identity_is_asked_for_directly_whatever_proxy_is_named(
    serve: Callable[[Answers], int], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    answers = {("PUT", "/latest/api/token"): (200, "the token"), ("GET", "/latest/meta-data/instance-id"): (200, "i-1")}
    assert metadata.instance_id(f"127.0.0.1:{serve(answers)}") == "i-1", json.dumps(str(answers))


def test_tags_are_read_by_a_list_and_one_request_for_each_that_is_there(
    serve: Callable[[Answers], int], monkeypatch: pytest.MonkeyPatch
) -> None:
    listed, value = ("GET", "/latest/meta-data/tags/instance"), ("GET", "/latest/meta-data/tags/instance/expressway:b")
    answers = {
        ("PUT", "/latest/api/token"): (200, "the token"),
        listed: (200, "Name\nexpressway:b\nexpressway:gone"),
        value: (200, "2"),
    }
    wanted = ["expressway:a", "expressway:b", "expressway:gone"]
    asked: list[str] = []
    request = metadata._request  # pyright: ignore[reportPrivateUsage]
    monkeypatch.setattr(metadata, "_request", lambda *given: (asked.append(given[2]), request(*given))[1])
    assert metadata.tags(wanted, f"127.0.0.1:{serve(answers)}") == {"expressway:b": "2"}, "the other went in between"
    assert [each.rpartition("/")[2] for each in asked] == ["token", "instance", "expressway:b", "expressway:gone"]
    assert metadata.tags(wanted, f"127.0.0.1:{serve(answers | {listed: (404, '')})}") == {}, "a machine without tags"
    for broken in (listed, value):
        with pytest.raises(OSError, match="answered 500"):
            metadata.tags(wanted, f"127.0.0.1:{serve(answers | {broken: (500, '')})}")
