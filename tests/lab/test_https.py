"""The stack over HTTPS, as curl, Chromium and an app with sessions meet it; and what renewing the certificate costs."""

import base64
import json
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from lab import config
from lab.aws import Aws
from tests.lab.https_client import NAME, Authority, load, serial
from tests.lab.stack import Stack, expressway, up
from tests.paths import ROOT

pytestmark = [pytest.mark.lab, pytest.mark.timeout(900)]

SECRET = "shop/tls"
RENEWED_WITHIN = 60
"""Seconds from a new value of the secret to its use."""


@dataclass(frozen=True)
class Site:
    """A lab that serves an app with sessions over HTTPS."""

    stack: Stack
    authority: Authority
    folder: Path

    @property
    def address(self) -> str:
        """The edge, as clients see it."""
        return self.stack.url.removeprefix("https://")

    def curl(self, *arguments: str) -> str:
        """What curl prints, which trusts the test's authority alone."""
        resolve = [word for port in (80, 443) for word in ("--resolve", f"{NAME}:{port}:{self.address}")]
        trust = ["--noproxy", "*", "--cacert", str(self.authority.root), *resolve]
        done = subprocess.run(["curl", "-sS", *trust, *arguments], capture_output=True, text=True, check=False)
        assert done.returncode == 0, f"{arguments}: {done.stderr}"
        return done.stdout

    def store(self, secret: str) -> None:
        """Put a new value into the secret."""
        lab = config.read()
        assert lab
        Aws(lab.endpoint, lab.region)("secretsmanager").put_secret_value(SecretId=SECRET, SecretString=secret)

    def log(self) -> str:
        """What the certificate's service has said."""
        return self.stack.shell("edge", "journalctl", "--unit=expressway-certificate", "--no-pager").stdout


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    folder = tmp_path_factory.mktemp("site")
    authority = Authority.make(folder)
    (folder / "tls.json").write_text(authority.secret())
    (folder / "session").write_text("a secret of the app's own")
    expressway("lab", "down")
    stack = up(
        *("--app", str(ROOT / "tests/fixtures/apps/sessions")),
        *("--secret", f"{SECRET}={folder}/tls.json", "-c", f"expressway:edge.certificate={SECRET}"),
        *("--secret", f"shop/session={folder}/session", "-c", "expressway:app.secrets.SESSION_SECRET=shop/session"),
        # The app has its sessions in memory, so there is one.
        *("-c", "expressway:app.minSize=1", "-c", "expressway:app.maxSize=1"),
    )
    yield Site(stack, authority, folder)
    expressway("lab", "down")


def test_the_site_is_served_over_http_2_by_its_name(site: Site) -> None:
    assert site.stack.url.startswith("https://"), site.stack.url
    told = site.curl("-o", "/dev/null", "-w", "%{http_code} %{http_version} %{ssl_verify_result}", f"https://{NAME}/")
    assert told == "200 2 0"
    redirect = site.curl("-o", "/dev/null", "-w", "%{http_code} %{redirect_url}", f"http://{NAME}/me?a=b")
    assert redirect == f"308 https://{NAME}/me?a=b"


def test_express_session_sets_a_secure_cookie_and_knows_it_again(site: Site) -> None:
    answer = site.curl("-i", "-X", "POST", f"https://{NAME}/login").lower()
    (cookie,) = [line for line in answer.splitlines() if line.startswith("set-cookie: ")]
    assert "; secure" in cookie, cookie
    assert "; httponly" in cookie, cookie
    jar = str(site.folder / "cookies")
    site.curl("-c", jar, "-X", "POST", f"https://{NAME}/login")
    me = json.loads(site.curl("-b", jar, f"https://{NAME}/me"))
    assert me["user"] == "ada"
    assert me["protocol"] == "https", "`trust proxy` believes the edge"
    assert me["ip"] not in ("127.0.0.1", site.address), "and knows the client's own address"


def test_chromium_is_sent_to_https_logs_in_and_speaks_http_2(site: Site, tmp_path: Path) -> None:
    seen = _browse(site, tmp_path, trust=True)
    found = json.loads(seen.partition('<pre id="seen">')[2].partition("</pre>")[0] or "{}")
    assert found == found | {
        "url": f"https://{NAME}/",
        "user": "ada",
        "protocol": "https",
        "http": "h2",
        "cookie": "",
    }, f"redirected, logged in, over HTTP/2, with a cookie that no script can read: {seen}"
    assert "seen" not in _browse(site, tmp_path / "other", trust=False), "and it would have minded another certificate"


def _browse(site: Site, home: Path, *, trust: bool) -> str:
    """The page as Chromium leaves it, which is sent to the site over plain HTTP."""
    database = home / ".pki/nssdb"
    database.mkdir(parents=True)
    certutil = ["certutil", "-d", f"sql:{database}"]
    try:
        subprocess.run([*certutil, "-N", "--empty-password"], check=True, capture_output=True)
        if trust:
            added = ["-A", "-n", "test", "-t", "C,,", "-i", str(site.authority.root)]
            subprocess.run([*certutil, *added], check=True, capture_output=True)
        browser = ["chromium-headless-shell", "--no-sandbox", "--no-proxy-server", "--disable-gpu"]
        rules = f"--host-resolver-rules=MAP {NAME} {site.address}"
        done = subprocess.run(
            [*browser, rules, "--virtual-time-budget=10000", "--dump-dom", f"http://{NAME}/"],
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
            env={"HOME": str(home), "PATH": "/usr/bin:/bin"},
        )
    except FileNotFoundError as error:
        raise AssertionError(f"{error.filename} is missing: scripts/setup browser") from error
    return done.stdout


def test_a_certificate_renewed_under_load_costs_no_request(site: Site, tmp_path: Path) -> None:
    trust = site.authority.trust()
    before = serial(site.address, trust)
    nginx = site.stack.shell("edge", "pgrep", "--full", "nginx: worker").stdout
    with load(site.address, site.authority, tmp_path) as seen:
        time.sleep(1)
        site.store(site.authority.secret())
        began = time.monotonic()
        while serial(site.address, trust) == before and time.monotonic() < began + RENEWED_WITHIN:
            time.sleep(0.2)
        renewed = time.monotonic() - began
        time.sleep(1)
    print(f"\nrenewed after {renewed:.1f} s: {seen.answered} requests answered, {len(seen.failed)} failed")
    assert renewed < RENEWED_WITHIN, f"the new certificate is not in use: {site.log()}"
    assert not seen.failed, f"{len(seen.failed)} of {seen.answered} failed, the first with {seen.failed[0]}"
    assert before in seen.serials, "new connections were made before"
    assert len(seen.serials) == 2, "and after"
    assert site.stack.shell("edge", "pgrep", "--full", "nginx: worker").stdout == nginx, "Nginx was reloaded"


def test_upgrades_of_nginx_and_of_openssl_under_load_cost_no_request(site: Site, tmp_path: Path) -> None:
    def inside(script: str) -> str:
        done = site.stack.shell("edge", "sh", "-ec", script)
        assert done.returncode == 0, f"{script}: {done.stdout}{done.stderr}"
        return done.stdout

    apt = "DEBIAN_FRONTEND=noninteractive apt-get -q -y -o DPkg::Lock::Timeout=60"
    # What a baked image left out; and packages, so that the load meets upgrades and not downloads.
    inside(f"{apt} update; {apt} install --no-install-recommends unattended-upgrades")
    inside(f"{apt} install --reinstall --download-only nginx libssl3t64")
    told = inside("unattended-upgrade --dry-run --debug 2>&1")
    (origins,) = [line for line in told.splitlines() if line.startswith("Allowed origins are: ")]
    assert "label=Debian-Security" in origins, origins
    assert origins.count("origin=") == 1, f"nothing but security updates: {origins}"

    masters = [inside("cat /run/nginx.pid").strip()]
    with load(site.address, site.authority, tmp_path, patient=True) as seen:
        for package in ("nginx", "libssl3t64"):
            time.sleep(1)
            said = inside(f"{apt} install --reinstall --no-download {package} 2>&1")
            masters.append(inside("cat /run/nginx.pid").strip())
            assert masters[-1] != masters[-2], f"{package}: Nginx runs on the old files: {said}"
        time.sleep(2)
    print(f"\nupgraded: {seen.answered} requests answered, {len(seen.failed)} failed, {seen.repeated} repeated")
    assert not seen.failed, f"{len(seen.failed)} of {seen.answered} failed, the first with {seen.failed[0]}"
    assert inside("systemctl is-active nginx").strip() == "active", "and systemd has the new master"
    assert inside("systemctl show --property=MainPID --value nginx").strip() == masters[-1]


def test_the_key_is_nginxs_alone_and_in_no_log(site: Site) -> None:
    at = "/var/lib/expressway-certificate"
    modes = site.stack.shell("edge", "stat", "-c", "%a %U", at, f"{at}/current/key.pem").stdout.split("\n")
    assert modes[:2] == ["700 www-data", "600 www-data"], modes
    key = site.stack.shell("edge", "sh", "-c", f"sed -n 2p {at}/current/key.pem").stdout.strip()
    assert len(base64.b64decode(key)) > 30, "what is looked for"
    places = "/proc/[0-9]*/cmdline /proc/[0-9]*/environ /var/log/*.log /etc/expressway/* /var/lib/cloud/instance/*.txt"
    text = site.stack.shell(
        "edge", "sh", "-c", f"(journalctl --no-pager; cat {places}) 2>/dev/null | tr '\\0' ' '"
    ).stdout
    assert "expressway" in text, "the places that were searched are empty"
    assert key not in text, "the key is in the clear"


def test_a_key_that_does_not_fit_changes_nothing_and_is_told(site: Site) -> None:
    trust = site.authority.trust()
    before = serial(site.address, trust)
    wrong = json.loads(site.authority.secret()) | {"private_key": json.loads(site.authority.secret())["private_key"]}
    site.store(json.dumps(wrong))
    deadline = time.monotonic() + RENEWED_WITHIN
    while "doesn't fit" not in site.log() and time.monotonic() < deadline:
        time.sleep(0.5)
    assert "its private key doesn't fit its first certificate. Store the key that" in site.log()
    assert serial(site.address, trust) == before, "the last good certificate stays"
    # The same program as at boot: another start finds what it had.
    assert site.stack.shell("edge", "systemctl", "restart", "expressway-certificate").returncode == 0, site.log()
    assert serial(site.address, trust) == before
