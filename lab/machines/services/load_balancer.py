"""What stands behind an Application Load Balancer's name in the lab: Debian's HAProxy, and probes as ALB sends them.

One machine a load balancer, whatever number of zones it is in. Not emulated: HTTPS, rules beside a listener's default
action, weights, stickiness, slow start, access logs; `lab.api.load_balancers` refuses what would change an answer.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from lab.machines.recipe import BASE, Recipe

from .cloud_config import ConfigFile, render

IMAGE: Final = Recipe("haproxy", BASE, packages=("haproxy",), commands=("systemctl disable haproxy.service",))
"""HAProxy does not start by itself: it has no listener yet."""

PROGRAM: Final = Path(__file__).with_name("balancing")
_INTO: Final = "/usr/local/lib/lab"

HEALTH: Final = Path("var/lib/lab-balancer/health.json")
"""What the probes found, below the machine's root: target group -> target -> state, reason and description."""

_UNIT: Final = f"""\
[Unit]
Description=Health checks and configuration of the load balancer
ConditionPathExists={_INTO}/balancing

[Service]
ExecStart=/usr/bin/python3 -m balancing
WorkingDirectory={_INTO}
StateDirectory=lab-balancer
Restart=always
RestartSec=1

[Install]
WantedBy=multi-user.target
"""

_APPLY: Final = """\
set -eu
cd /var/lib/lab-balancer
cat > wanted.new
mv wanted.new wanted.json
for _ in $(seq 100); do
    [ "$(cat applied 2> /dev/null)" != "$1" ] || exit 0
    sleep 0.1
done
journalctl --unit lab-balancer.service --lines 20 --output cat >&2
exit 1
"""


def user_data() -> bytes:
    """What the machine's cloud-init runs. What to listen for and whom to forward to comes by `apply`."""
    files = [
        ConfigFile(f"{_INTO}/balancing/{file.name}", file.read_text(), "root", public=True)
        for file in sorted(PROGRAM.glob("*.py"))
    ]
    unit = ConfigFile("/etc/systemd/system/lab-balancer.service", _UNIT, "root", public=True)
    return render([*files, unit], ["systemctl daemon-reload", "systemctl enable --now lab-balancer.service"])


def apply(version: str, configuration: Mapping[str, Any]) -> tuple[list[str], str]:
    """The command that makes `configuration` count, and its standard input. Fails unless it does within 10 s."""
    return ["sh", "-c", _APPLY, "apply", version], json.dumps({**configuration, "version": version})
