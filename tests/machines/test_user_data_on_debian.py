"""The machines' programs on a real Debian 13: its Python and boto3, its Nginx, its systemd, its cloud-init."""

import base64
import contextlib
import io
import json
import tarfile
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager
from typing import Any

import pytest
import trustme

from components import _render
from lab import images
from lab.machines import access, image, machine, recipe
from tests.machines.machine_host import MachineHost, machine_host
from tests.paths import ROOT

pytestmark = [pytest.mark.lab, pytest.mark.timeout(600)]

USER_DATA = ROOT / "user_data"
GOLDEN = ROOT / "tests/golden/user_data"
BUNDLE = "/opt/expressway/bundle"
EDGE = recipe.edge(images.packages("edge"))
MACHINE: dict[str, Any] = {
    "tier": "edge",
    "region": "us-east-1",
    "upstream": {
        "auto_scaling_group": "shop-app",
        "port": 3000,
        "readiness_path": "/readyz",
        "lifecycle_hooks": [],
        "tracks_requests": False,
    },
    "max_body_size": "1m",
    "certificate": None,
    "trusted_proxies": [],
}
NASTY = 'k"e\'y $HOME `x` \\ \\n # ü\nsecond = "line"; \t$(date)'


def quiet(_: str) -> AbstractContextManager[None]:
    return contextlib.nullcontext()


@pytest.fixture(scope="module")
def host(tmp_path_factory: pytest.TempPathFactory) -> Iterator[MachineHost]:
    built = image.ensure([EDGE], quiet)
    with machine_host(tmp_path_factory.mktemp("host"), built) as made:
        yield made


@pytest.fixture(scope="module")
def debian(host: MachineHost) -> str:
    """A machine with the edge's packages, and both tiers' programs in the bundle's place."""
    host.start("i-debian", "10.99.0.21", image=EDGE.name)
    status = host.booted("i-debian")
    assert status.state is machine.State.READY, machine.boot_failure("i-debian", host.machines)
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:gz") as archive:
        for tier in ("common", "app", "edge"):
            for path in sorted((USER_DATA / tier / "files").rglob("*")):
                if path.is_file() and "__pycache__" not in path.parts and (tier, path.name) != ("app", "install"):
                    archive.add(path, path.relative_to(USER_DATA / tier / "files"))
    put(host, f"{BUNDLE}.tar.gz", packed.getvalue())
    host.output("i-debian", "sh", "-ec", f"mkdir {BUNDLE}; tar -xzf {BUNDLE}.tar.gz -C {BUNDLE} --no-same-owner")
    put(host, "/etc/expressway/machine.json", json.dumps(MACHINE).encode())
    return "i-debian"


def put(host: MachineHost, path: str, content: bytes) -> None:
    into = ["sh", "-ec", f'mkdir -p "$(dirname {path})"; base64 -d > {path}']
    # What is told as an argument may be 128 KiB.
    done = access.run("i-debian", into, host.machines, stdin=base64.b64encode(content).decode())
    assert done.returncode == 0, done.stderr


def python(host: MachineHost, program: str) -> str:
    """Run a program under the machine's Python, among the bundle's modules; any warning is an error."""
    return host.output("i-debian", "env", f"PYTHONPATH={BUNDLE}", "python3", "-W", "error", "-c", program)


@pytest.mark.parametrize("tier", ["app", "edge"])
def test_cloud_inits_own_schema_takes_the_user_data(tier: str, host: MachineHost, debian: str) -> None:
    put(host, "/root/user-data.yaml", (GOLDEN / f"{tier}.cloud-config.yaml").read_bytes())
    assert "Valid schema" in host.output(debian, "cloud-init", "schema", "-c", "/root/user-data.yaml")


@pytest.mark.parametrize("module", ["expressway_app.install", "expressway_app.environment", "expressway_edge.install"])
def test_debians_python_and_boto3_take_the_programs(module: str, host: MachineHost, debian: str) -> None:
    python(host, f"import {module}, reconciler.__main__, certificate.__main__, health.__main__")
    light = "import edge_metrics.__main__, sys; print(sys.modules['chardet'], 'botocore.session' in sys.modules)"
    assert python(host, light) == "None False", "what runs beside the app has no more in memory than it needs"
    clients = "from expressway_machine.aws import Clients; c = Clients('us-east-1')"
    names = ("s3", "ssm", "secretsmanager", "autoscaling", "ec2")
    answer = python(host, f"{clients}; print([c.get(each).meta.region_name for each in {names}])")
    assert answer == str(["us-east-1"] * len(names)), "each service has a client"


def test_the_machine_learns_who_it_is_with_a_session_token(host: MachineHost, debian: str) -> None:
    assert python(host, "from expressway_machine import metadata; print(metadata.instance_id())") == debian


def test_systemd_takes_the_units(host: MachineHost, debian: str) -> None:
    # The app's runtime isn't in this image.
    runtime = "/opt/expressway/runtime/current/bin"
    host.output(debian, "sh", "-ec", f"mkdir -p {runtime}; ln -sf /bin/true {runtime}/node")
    for unit in (f"expressway-{name}.service" for name in ("app", "certificate", "health", "hold", "reconciler")):
        said = host.output(debian, "sh", "-ec", f"systemd-analyze verify {BUNDLE}/units/{unit} 2>&1")
        assert unit not in said, said


def test_systemd_reads_every_value_as_it_was_written(host: MachineHost, debian: str) -> None:
    program = "import sys; from expressway_app.environment import as_environment_file as text; "
    written = {"API_KEY": NASTY, "EMPTY": "", "PLAIN": "a=b"}
    put(host, "/run/app.env", python(host, f"{program}sys.stdout.write(text({written!r}))").encode())
    dump = "import json, os; print(json.dumps(dict(os.environ)))"
    service = ("systemd-run", "--quiet", "--wait", "--pipe", "--property=EnvironmentFile=/run/app.env")
    read = json.loads(host.output(debian, *service, "python3", "-c", dump))
    assert {name: read[name] for name in written} == written


def test_apt_takes_security_updates_each_day_and_nothing_else(host: MachineHost, nginx: str) -> None:
    settings = host.output(nginx, "apt-config", "dump").splitlines()
    assert 'APT::Periodic::Unattended-Upgrade "1";' in settings
    (origins,) = [line for line in settings if line.startswith("Unattended-Upgrade::Origins-Pattern::")]
    assert '"origin=Debian,codename=${distro_codename}-security,label=Debian-Security"' in origins
    assert 'Unattended-Upgrade::Automatic-Reboot "false";' in settings


def test_nginx_is_exchanged_only_when_a_file_under_it_was_replaced(host: MachineHost, nginx: str) -> None:
    def master() -> str:
        return host.output(nginx, "cat", "/run/nginx.pid")

    before = master()
    host.output(nginx, f"{BUNDLE}/renew-nginx")
    assert master() == before, "nothing has changed"
    library = host.output(nginx, "sh", "-ec", f"grep -o '/usr/.*/libssl[^ ]*' /proc/{before}/maps | head -n 1")
    host.output(nginx, "sh", "-ec", f"cp {library} {library}.new; mv {library}.new {library}")
    host.output(nginx, f"{BUNDLE}/renew-nginx")
    assert master() != before, "it goes on with what was replaced"
    assert host.output(nginx, "systemctl", "is-active", "nginx.service") == "active"
    assert host.output(nginx, "systemctl", "show", "--property=MainPID", "--value", "nginx.service") == master()


def test_what_a_container_may_not_set_is_no_failure(host: MachineHost, debian: str) -> None:
    host.output(debian, "/usr/lib/systemd/systemd-sysctl", f"{BUNDLE}/sysctl/60-expressway.conf")


START_NGINX = "from expressway_edge import install; install.start_nginx(install.config.load())"


@pytest.fixture(scope="module")
def nginx(host: MachineHost, debian: str) -> str:
    """The machine with its real Nginx running, configured by the edge's own programs; there is no app server yet."""
    python(host, START_NGINX)
    return debian


def curl(host: MachineHost, *arguments: str) -> str:
    return host.output("i-debian", "curl", "-sS", "--max-time", "10", *arguments)


def status(host: MachineHost, *arguments: str) -> str:
    return curl(host, "-o", "/dev/null", "-w", "%{http_code}", *arguments)


def test_without_an_app_server_there_is_a_503_that_says_when_to_come_back(host: MachineHost, nginx: str) -> None:
    answer = curl(host, "-i", "http://127.0.0.1/").lower()
    assert answer.startswith("http/1.1 503 "), answer
    assert "\nretry-after: 5" in answer, answer


def test_limits_hold_without_an_app_server(host: MachineHost, nginx: str) -> None:
    host.output(nginx, "truncate", "--size", str(1024 * 1024 + 1), "/root/body")
    assert status(host, "--data-binary", "@/root/body", "http://127.0.0.1/") == "413", "larger than max_body_size"
    assert status(host, "-X", "TRACE", "http://127.0.0.1/") == "405", "it would show a client its own cookies"
    assert status(host, "-H", f"X-Long: {'a' * 17000}", "http://127.0.0.1/") == "400", "a header of more than 16 KiB"
    assert "Active connections" in curl(host, "http://127.0.0.1:8082/nginx_status"), "for monitoring"
    outside = machine.run(nginx, ["curl", "-sS", "http://10.99.0.21:8082/nginx_status"], host.machines)
    assert outside.returncode == 7, f"not from outside: {outside}"


ECHO = """
import http.server, json
class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    def do_GET(self):
        seen = {name.lower(): value for name, value in self.headers.items()}
        body = json.dumps(seen | {"connection-from": self.client_address[1]}).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.send_header("X-Powered-By", "Express")
        if self.path == "/framed":
            self.send_header("X-Frame-Options", "DENY")
        self.end_headers()
        self.wfile.write(body)
http.server.ThreadingHTTPServer(("127.0.0.1", 3000), Handler).serve_forever()
"""


APPLY = "from reconciler import model, upstream; upstream.Balancer().apply([model.Server('i-app', '{address}', 3000)])"


@pytest.fixture(scope="module")
def app(host: MachineHost, nginx: str) -> str:
    """The machine with an app server behind its Nginx, put there by the reconciler's own hands."""
    host.output(nginx, "systemd-run", "--quiet", "python3", "-c", ECHO)
    host.output(
        nginx, "curl", "-sS", "--retry", "20", "--retry-connrefused", "--retry-delay", "1", "http://127.0.0.1:3000/"
    )
    workers = host.output(nginx, "pgrep", "--full", "[n]ginx: worker process")
    python(host, APPLY.format(address="127.0.0.1"))
    assert host.output(nginx, "pgrep", "--full", "[n]ginx: worker process") == workers, "it was reloaded"
    return nginx


def test_a_request_reaches_the_app_as_it_came_but_for_what_could_be_forged(host: MachineHost, app: str) -> None:
    sent = ("X-Forwarded-For: 6.6.6.6", "Forwarded: for=6.6.6.6", "Proxy: evil", "Host: shop.example")
    seen = json.loads(curl(host, *(word for each in sent for word in ("-H", each)), "http://10.99.0.21/"))
    assert seen["x-forwarded-for"] == "10.99.0.21", "the client's own address"
    assert seen["host"] == "shop.example"
    assert seen["x-forwarded-proto"] == "http"
    assert len(seen["x-request-id"]) == 32, "to find the request in the logs"
    assert not {"forwarded", "proxy", "connection"} & seen.keys(), "and the connection to the app is kept"
    upgrade = json.loads(curl(host, "-H", "Connection: upgrade", "-H", "Upgrade: websocket", "http://127.0.0.1/"))
    assert (upgrade["connection"], upgrade["upgrade"]) == ("upgrade", "websocket"), "a WebSocket gets through"


def test_an_answer_has_the_headers_that_the_app_did_not_set(host: MachineHost, app: str) -> None:
    plain = curl(host, "-i", "http://127.0.0.1/").lower()
    for header in (
        "x-content-type-options: nosniff",
        "x-frame-options: sameorigin",
        "referrer-policy: ",
        "server: nginx\n",
    ):
        assert f"\n{header}" in plain, f"{header} is missing: {plain}"
    assert "x-powered-by" not in plain, "nobody's business"
    framed = curl(host, "-i", "http://127.0.0.1/framed").lower()
    assert framed.count("x-frame-options:") == 1, framed
    assert "x-frame-options: deny" in framed, "the app has spoken for itself"


def test_connections_to_the_app_are_kept(host: MachineHost, app: str) -> None:
    used = {json.loads(curl(host, "http://127.0.0.1/"))["connection-from"] for _ in range(20)}
    workers = host.output(app, "pgrep", "--count", "--full", "nginx: worker process$")
    assert len(used) <= int(workers), f"{len(used)} connections for 20 requests, and {workers} workers"


def test_the_log_is_json_whatever_is_asked(host: MachineHost, app: str) -> None:
    curl(host, "-A", 'a "quoted" \\ agent', "http://127.0.0.1/logged?b=%22c%22")
    line = json.loads(logged(host, "/logged"))
    assert (line["uri"], line["status"], line["method"]) == ("/logged?b=%22c%22", 200, "GET"), line
    assert line["user_agent"] == 'a "quoted" \\ agent', line
    assert line["upstream"] == "127.0.0.1:3000", line


def logged(host: MachineHost, wanted: str) -> str:
    """The access log's line about a path; Nginx writes it about a second after the request."""
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        for line in host.output("i-debian", "cat", "/var/log/nginx/access.log").splitlines():
            if wanted in line:
                return line
        time.sleep(0.2)
    raise AssertionError(f"{wanted} is not in the log")


def test_a_list_that_nginx_refuses_leaves_the_old_one_at_work(host: MachineHost, app: str) -> None:
    with pytest.raises(AssertionError, match="i-app: address: not an IPv4 address"):
        python(host, APPLY.format(address="300.1.1.1"))
    assert status(host, "http://127.0.0.1/") == "200", "Nginx goes on"


def test_an_nginx_that_is_killed_is_back_within_a_second_with_its_servers(host: MachineHost, app: str) -> None:
    host.output(app, "sh", "-ec", "kill -9 $(cat /run/nginx.pid)")
    began = time.monotonic()
    while machine.run(app, ["curl", "-sSf", "http://127.0.0.1/"], host.machines).returncode:
        assert time.monotonic() < began + 10, "it doesn't come back with its servers"
    assert time.monotonic() < began + 2, "a second, and what asking by curl takes"


def test_only_root_may_tell_nginx_its_servers(host: MachineHost, app: str) -> None:
    ask = ("curl", "-sS", "--unix-socket", "/run/expressway/balancer.sock", "http://balancer/servers")
    assert json.loads(host.output(app, *ask))["servers"]
    other = machine.run(app, ["setpriv", "--reuid=www-data", "--clear-groups", *ask], host.machines)
    assert other.returncode, f"a worker's user may: {other.stdout}"


def test_configuring_again_changes_nothing(host: MachineHost, app: str) -> None:
    before = host.output(app, "systemctl", "show", "--property=MainPID", "nginx.service")
    python(host, START_NGINX)
    assert host.output(app, "systemctl", "show", "--property=MainPID", "nginx.service") == before, "it was restarted"
    assert status(host, "http://127.0.0.1/") == "200", "and its servers are still there"


def test_logs_are_rotated_and_written_on(host: MachineHost, app: str) -> None:
    host.output(app, "logrotate", "--force", "/etc/logrotate.d/nginx")
    curl(host, "http://127.0.0.1/after-rotation")
    logged(host, "/after-rotation")


HTTPS = MACHINE | {"certificate": "shop/tls", "trusted_proxies": ["10.99.0.21/32"]}
"""Behind a proxy, which is played by this machine's own address; 127.0.0.1 is nobody's proxy."""
PUT = """
import json, pathlib
from datetime import UTC, datetime
from certificate import pair, store
pairs = [pair.parse(text, datetime.now(UTC)) for text in json.loads(pathlib.Path("/srv/pairs.json").read_text())]
"""


@pytest.fixture(scope="module")
def https(host: MachineHost, app: str) -> str:
    """The machine with its Nginx serving HTTPS behind a trusted proxy, and two certificates of one authority."""
    authority = trustme.CA().create_child_ca()
    assert authority.parent_cert
    put(host, "/srv/ca.pem", authority.parent_cert.cert_pem.bytes())
    leaves = [authority.issue_cert("shop.example") for _ in range(2)]
    # Chain and key together, as the secret may hold them.
    texts = [each.private_key_and_cert_chain_pem.bytes().decode() for each in leaves]
    put(host, "/srv/pairs.json", json.dumps(texts).encode())
    # What systemd does for the service.
    host.output(app, "install", "--directory", "--mode=700", "--owner=www-data", "/var/lib/expressway-certificate")
    as_www_data(host, f"{PUT}store.Store().put(pairs[0])")
    put(host, "/etc/expressway/machine.json", json.dumps(HTTPS).encode())
    python(host, START_NGINX)
    return app


def as_www_data(host: MachineHost, program: str) -> str:
    """Run a program as the certificate's service is run."""
    user = ("setpriv", "--reuid=www-data", "--regid=www-data", "--clear-groups")
    return host.output("i-debian", *user, "env", f"PYTHONPATH={BUNDLE}", "python3", "-W", "error", "-c", program)


def site(host: MachineHost, path: str, *arguments: str, address: str = "127.0.0.1") -> str:
    """What the site answers over HTTPS, by its name."""
    trust = ("--cacert", "/srv/ca.pem", "--resolve", f"shop.example:443:{address}")
    return curl(host, *trust, *arguments, f"https://shop.example{path}")


def test_https_is_served_with_http_2_and_the_whole_chain(host: MachineHost, https: str) -> None:
    assert site(host, "/", "-o", "/dev/null", "-w", "%{http_code} %{http_version}") == "200 2"
    answer = site(host, "/", "-i").lower()
    assert "\nstrict-transport-security: max-age=86400" in answer, answer
    assert json.loads(site(host, "/"))["x-forwarded-proto"] == "https"
    client = "openssl s_client -connect 127.0.0.1:443 -servername shop.example -CAfile /srv/ca.pem -verify_return_error"
    for version, taken in (("tls1_1", False), ("tls1_2", True), ("tls1_3", True)):
        command = f"{client} -{version} -cipher DEFAULT@SECLEVEL=0 </dev/null"
        done = machine.run(https, ["sh", "-c", command], host.machines)
        assert (done.returncode == 0) is taken, f"{version}: {done.stdout}{done.stderr}"


def test_plain_http_is_sent_to_https_on_the_same_path_with_the_same_method(host: MachineHost, https: str) -> None:
    for method in ("GET", "POST"):
        answer = curl(host, "-i", "-X", method, "-H", "Host: shop.example", "http://127.0.0.1/a/b?c=d%20e").lower()
        assert answer.startswith("http/1.1 308 "), answer
        assert "\nlocation: https://shop.example/a/b?c=d%20e\n" in answer, answer
        assert "strict-transport-security" not in answer, "browsers must not believe it here"
    assert "Active connections" in curl(host, "http://127.0.0.1:8082/nginx_status"), "monitoring stays where it is"


FORGED = ("-H", "X-Forwarded-For: 6.6.6.6, 192.0.2.9", "-H", "X-Forwarded-Proto: https")


def test_a_trusted_proxy_says_who_asks_and_how(host: MachineHost, https: str) -> None:
    seen = json.loads(curl(host, *FORGED, "http://10.99.0.21/"))
    assert seen["x-forwarded-for"] == "192.0.2.9", "what the proxy saw, not what its client claims to have been"
    assert seen["x-real-ip"] == "192.0.2.9"
    assert seen["x-forwarded-proto"] == "https", "and no redirect, which would never end"
    assert json.loads(curl(host, "-H", "CloudFront-Forwarded-Proto: https", "http://10.99.0.21/"))
    proxied_http = site(
        host,
        "/",
        "-o",
        "/dev/null",
        "-w",
        "%{http_code}",
        "-H",
        FORGED[1],
        "-H",
        "X-Forwarded-Proto: http",
        address="10.99.0.21",
    )
    assert proxied_http == "308", "its client asked in the clear"


def test_nobody_else_is_believed(host: MachineHost, https: str) -> None:
    assert status(host, *FORGED, "http://127.0.0.1/") == "308", "who asks in the clear is sent away"
    assert status(host, "-H", "CloudFront-Forwarded-Proto: https", "http://127.0.0.1/") == "308"
    seen = json.loads(site(host, "/", "-H", FORGED[1], "-H", "X-Forwarded-Proto: http"))
    assert (seen["x-forwarded-for"], seen["x-forwarded-proto"]) == ("127.0.0.1", "https")


REPLACE = """
import itertools, socket, ssl, threading, time
trust = ssl.create_default_context(cafile="/srv/ca.pem")
end, seen, failed = time.monotonic() + 5, set(), []
def client():
    while time.monotonic() < end:
        try:
            with socket.create_connection(("127.0.0.1", 443), 5) as plain:
                with trust.wrap_socket(plain, server_hostname="shop.example") as secure:
                    seen.add(secure.getpeercert()["serialNumber"])
        except OSError as error:
            failed.append(str(error))
clients = [threading.Thread(target=client) for _ in range(3)]
for each in clients: each.start()
for replaced, each in enumerate(itertools.cycle(reversed(pairs))):
    if time.monotonic() > end: break
    store.Store().put(each)
    time.sleep(0.005)
for each in clients: each.join()
print(json.dumps([replaced, len(seen), failed]))
"""


def test_a_certificate_replaced_at_any_instant_breaks_no_handshake_and_needs_no_reload(
    host: MachineHost, https: str
) -> None:
    workers = host.output(https, "pgrep", "--full", "nginx: worker process$")
    replaced, seen, failed = json.loads(as_www_data(host, PUT + REPLACE))
    assert replaced > 50, "it shows nothing"
    assert seen == 2, "both certificates were served"
    assert failed == []
    assert host.output(https, "pgrep", "--full", "nginx: worker process$") == workers, "the same workers"


def test_a_boot_that_fails_says_so_at_its_end(host: MachineHost) -> None:
    broken = _render.render("edge", {"tier": "edge", "region": "us-east-1"})
    host.start("i-broken", "10.99.0.22", image=EDGE.name, user_data=broken.encode())
    assert host.booted("i-broken").state is machine.State.FAILED, "cloud-init took a failing step for a success"
    log = host.output("i-broken", "cat", "/var/log/cloud-init-output.log").splitlines()
    assert any("bootstrap failed: KeyError: " in line for line in log[-8:]), log[-8:]
    result = json.loads(host.output("i-broken", "cat", "/run/cloud-init/result.json"))
    assert result["v1"]["errors"], "and result.json doesn't know"
