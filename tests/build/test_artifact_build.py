"""Real builds, with packages from the registry. The runtime is fetched once for all of them."""

import json
import shutil
import subprocess
import sys
import tarfile
import threading
from pathlib import Path

import pytest

import artifact
from artifact import AppError, BuildError, npm
from tests.unit.artifact_apps import FIXTURES, write_app

NODE = 24
ARCH = npm.host_arch()


def silent(_message: str) -> None:
    pass


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A cache that these tests share, in place of the user's."""
    return tmp_path_factory.mktemp("cache")


@pytest.fixture
def offline(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """No registry, and nothing of it remembered."""
    monkeypatch.setenv("npm_config_registry", "http://127.0.0.1:9")
    monkeypatch.setenv("npm_config_fetch_retries", "0")
    monkeypatch.setenv("npm_config_cache", str(tmp_path / "npm-cache"))


def build(path: Path, cache: Path) -> artifact.Artifact:
    return artifact.build(path, NODE, ARCH, cache, silent)


def contents(built: artifact.Artifact) -> dict[str, tarfile.TarInfo]:
    with tarfile.open(built.path) as tar:
        return {member.name: member for member in tar}


def manifest(built: artifact.Artifact) -> dict[str, object]:
    with tarfile.open(built.path) as tar:
        file = tar.extractfile("expressway.json")
        assert file is not None, "the manifest is a file"
        return json.loads(file.read())


def assert_nothing_half_done(cache: Path) -> None:
    assert list((cache / "artifacts" / "work").iterdir()) == [], "a build cleans up after itself"


def test_the_same_source_gives_the_same_bytes_wherever_it_is_built(cache: Path, tmp_path: Path) -> None:
    other = shutil.copytree(FIXTURES / "commonjs", tmp_path / "other", copy_function=shutil.copyfile)
    (other / "bin" / "www").chmod((FIXTURES / "commonjs" / "bin" / "www").stat().st_mode & 0o700)
    other_cache = tmp_path / "cache"
    (other_cache / "artifacts").mkdir(parents=True)

    first = build(FIXTURES / "commonjs", cache)
    # Fetching the runtime again would say nothing more.
    (other_cache / "artifacts" / "tools").symlink_to(cache / "artifacts" / "tools")
    script = (
        "import os, sys, artifact; from pathlib import Path; os.umask(0o077)\n"
        "artifact.build(Path(sys.argv[1]), int(sys.argv[2]), sys.argv[3], Path(sys.argv[4]), print)"
    )
    subprocess.run([sys.executable, "-c", script, other, str(NODE), ARCH, other_cache], check=True, capture_output=True)
    second = artifact.find(other, NODE, ARCH, other_cache)

    assert second is not None, "it was built"
    assert second.path != first.path, "really built twice"
    assert second.path.read_bytes() == first.path.read_bytes()
    assert_nothing_half_done(cache)


def test_an_artifact_holds_the_app_with_its_dependencies_and_how_to_start_it(cache: Path) -> None:
    built = build(FIXTURES / "commonjs", cache)
    names = contents(built)

    assert {"app/package.json", "app/bin/www", "app/node_modules/express/index.js"} <= names.keys()
    assert manifest(built) == {
        "name": "commonjs",
        "version": "1.0.0",
        "start": {
            "mode": "cluster",
            "script": "bin/www",
            "args": [],
            "npm_script": None,
            "reason": "start script `node ./bin/www`",
        },
        "wait_ready": False,
        "release": None,
        "processes": {},
        "node": NODE,
    }
    assert built.release_id == built.sha256[:12]
    assert built.key == f"releases/{built.sha256}.tar.gz"
    assert built.path.name == f"commonjs-{built.sha256}.tar.gz"


def test_an_artifact_says_what_else_its_machines_run(cache: Path) -> None:
    said = manifest(build(FIXTURES / "processes", cache))
    assert said["release"] == "npm run migrate"
    assert said["processes"] == {
        "worker": {"command": "node worker.js worker", "on": "every"},
        "clock": {"command": "node worker.js clock", "on": "one"},
    }


def test_the_build_script_runs_and_what_only_it_needs_stays_behind(cache: Path, tmp_path: Path) -> None:
    app = shutil.copytree(FIXTURES / "build-script", tmp_path / "app")
    (app / ".env").write_text("TOKEN=secret")
    (app / ".npmrc").write_text("//example.invalid/:_authToken=secret\n")
    said: list[str] = []

    built = artifact.build(app, NODE, ARCH, cache, said.append)
    names = contents(built)

    assert "app/dist/server.js" in names, "the build script made it"
    assert "app/node_modules/express/index.js" in names, "the app needs it"
    assert not any("node_modules/sucrase" in name for name in names), "only the build needed it"
    assert not {"app/.env", "app/.npmrc"} & names.keys(), "credentials don't leave this machine"
    assert any(".env" in line for line in said), "and the user hears of it"
    assert built.start.script == "dist/server.js", "known once it is there"


def test_an_artifact_is_found_until_its_source_changes(cache: Path, tmp_path: Path) -> None:
    app = write_app(tmp_path / "app", {}, "index.js")
    assert artifact.find(app, NODE, ARCH, cache) is None, "not built yet"

    built = build(app, cache)

    assert artifact.find(app, NODE, ARCH, cache) == built
    assert build(app, cache) == built, "and not built again"
    (app / "index.js").write_text("changed();")
    assert artifact.find(app, NODE, ARCH, cache) is None, "that is another app"


def test_a_build_script_that_makes_no_entry_point_is_the_apps_mistake(cache: Path, tmp_path: Path) -> None:
    app = write_app(tmp_path / "app", {"main": "dist/index.js", "scripts": {"build": "true"}})

    with pytest.raises(AppError, match="the entry point it should have made isn't there"):
        build(app, cache)

    assert_nothing_half_done(cache)


def test_a_failing_build_script_is_quoted(cache: Path, tmp_path: Path) -> None:
    app = write_app(tmp_path / "app", {"scripts": {"build": "echo the reason; exit 7"}}, "index.js")

    with pytest.raises(BuildError, match="running the build script: it failed") as caught:
        build(app, cache)

    assert "the reason" in str(caught.value), "the end of its output"
    assert artifact.find(app, NODE, ARCH, cache) is None, "nothing half-done is found"
    assert_nothing_half_done(cache)


def test_a_lock_file_that_disagrees_with_the_manifest_is_not_overruled(cache: Path, tmp_path: Path) -> None:
    app = shutil.copytree(FIXTURES / "commonjs", tmp_path / "app")
    package = json.loads((app / "package.json").read_text())
    package["dependencies"]["cookie"] = "^1.0.0"
    (app / "package.json").write_text(json.dumps(package))

    with pytest.raises(BuildError, match="in sync"):
        build(app, cache)


def test_a_link_that_the_build_leads_out_is_refused(cache: Path, tmp_path: Path) -> None:
    app = write_app(
        tmp_path / "app",
        {"scripts": {"build": "mkdir -p node_modules/.made; ln -s / node_modules/.made/root"}},
        "index.js",
    )

    with pytest.raises(BuildError, match="leads out of the app"):
        build(app, cache)

    assert_nothing_half_done(cache)


@pytest.mark.usefixtures("offline")
def test_without_a_registry_the_build_says_so_and_leaves_nothing(cache: Path, tmp_path: Path) -> None:
    app = shutil.copytree(FIXTURES / "commonjs", tmp_path / "app")
    (app / "extra.js").touch()

    with pytest.raises(BuildError, match="the package registry can't be reached"):
        build(app, cache)

    assert_nothing_half_done(cache)


@pytest.mark.usefixtures("offline")
def test_without_a_registry_there_is_no_half_runtime(tmp_path: Path) -> None:
    with pytest.raises(BuildError, match="the package registry can't be reached"):
        artifact.build_runtime(NODE, ARCH, tmp_path, silent)

    assert artifact.find_runtime(NODE, ARCH, tmp_path) is None
    assert list((tmp_path / "artifacts" / "tools").iterdir()) == []
    assert_nothing_half_done(tmp_path)


def test_two_builds_at_once_make_one_artifact(cache: Path, tmp_path: Path) -> None:
    app = write_app(tmp_path / "app", {"scripts": {"build": "echo x >> ../../../../count"}}, "index.js")
    found: list[artifact.Artifact] = []
    threads = [threading.Thread(target=lambda: found.append(build(app, cache))) for _ in range(2)]

    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert len(found) == 2, "both succeed"
    assert found[0] == found[1], "with the same artifact"
    assert (cache / "count").read_text() == "x\n", "and it was built once"


def test_a_build_that_is_killed_does_not_hinder_the_next(cache: Path, tmp_path: Path) -> None:
    app = write_app(tmp_path / "app", {"scripts": {"build": "test -e ready && exit 0; sleep 2"}}, "index.js")
    script = (
        "import sys, artifact; from pathlib import Path\n"
        "say = lambda line: print(line, flush=True)\n"
        "artifact.build(Path(sys.argv[1]), int(sys.argv[2]), sys.argv[3], Path(sys.argv[4]), say)"
    )
    command = [sys.executable, "-c", script, str(app), str(NODE), ARCH, str(cache)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as killed:
        assert killed.stdout is not None, "its progress is read"
        assert any("build script" in line for line in killed.stdout), "it has come to the build script"
        killed.kill()

    assert artifact.find(app, NODE, ARCH, cache) is None, "it wasn't finished"
    assert build(app, cache).path.exists()
    assert_nothing_half_done(cache)


def test_the_runtime_holds_node_npm_and_pm2(cache: Path, tmp_path: Path) -> None:
    runtime = artifact.build_runtime(NODE, ARCH, cache, silent)
    with tarfile.open(runtime.path) as tar:
        links = {member.name: member.linkname for member in tar if member.issym()}
        tar.extractall(tmp_path, filter="data")

    assert links == {
        "bin/npm": "../lib/node_modules/npm/bin/npm-cli.js",
        "bin/npx": "../lib/node_modules/npm/bin/npx-cli.js",
        "bin/pm2": "../lib/node_modules/pm2/bin/pm2",
    }
    versions = "process.version + ' ' + require('./lib/node_modules/pm2/package.json').version"
    said = subprocess.check_output([tmp_path / "bin/node", "-p", versions], cwd=tmp_path, text=True).split()
    assert said[0].startswith(f"v{NODE}."), "the pinned major"
    assert said[1] == "7.0.4", "the pinned PM2"
    assert runtime.key == f"runtime/node-{NODE}-{ARCH}-{runtime.sha256}.tar.gz"
    assert artifact.find_runtime(NODE, ARCH, cache) == runtime


def test_a_runtime_that_does_not_exist_is_refused() -> None:
    with pytest.raises(artifact.BuildError, match="no runtime for Node 18"):
        artifact.find_runtime(18, "x64", Path("/nowhere"))
