"""Running `expressway load` on what was planted."""

import json
import os
import subprocess
import tempfile
import time
from pathlib import Path
from typing import Final

from lab.prove.stand import Stand, words_of

from .plant import Environment, Named, Plant

STEP_SECONDS: Final = 10
"""As long as the machines' own periods are, and so as short as a step can be."""
WITHIN_SECONDS: Final = 100
"""Four steps or five."""
UNGUIDED_WITHIN_SECONDS: Final = 140
"""Where it has to find the first rate itself, which is a lighter one."""
SHORT_WITHIN_SECONDS: Final = 45
"""Two steps: one that is too much, and the light one that then is looked for."""
SHORT_START: Final = 4
"""Times the usual first rate: about twice what can be answered."""
PATIENCE: Final = 300.0


def named(plant: Plant, stand: Stand, *, short: bool = False) -> tuple[Named, ...]:
    """What `expressway load` says of it, each time; in two steps where it is to be `short`."""
    with plant.planting(stand) as environment:
        return tuple(load(plant, environment, short=short) for _ in range(plant.runs))


def load(plant: Plant, environment: Environment, *, short: bool = False) -> Named:
    """One run."""
    with tempfile.TemporaryDirectory(prefix="expressway-bottlenecks-") as folder:
        began = time.monotonic()
        words = words_of("load", *options(plant, Path(folder), short=short))
        done = subprocess.run(
            words,
            env={**os.environ, **environment},
            capture_output=True,
            text=True,
            check=False,
            timeout=PATIENCE,
            cwd=folder,
        )
        seconds = time.monotonic() - began
        if done.returncode:
            said = (done.stderr.strip().splitlines() or ["it does not say why"])[-1]
            return Named(seconds, failure=f"load ended with {done.returncode}: {said}")
        found = json.loads((Path(folder) / "load.json").read_text())
    verdict = found["bottleneck"]
    return Named(
        seconds,
        found["knee_rps"],
        verdict["tier"],
        verdict["resource"],
        tuple(verdict["evidence"]),
        tuple(found["steps"]),
    )


def options(plant: Plant, folder: Path, *, short: bool = False) -> list[str]:
    """The command's; a mix file is written into `folder`, and the run will be."""
    given = ["--json", str(folder / "load.json"), "--report", str(folder / "load.html")]
    within = UNGUIDED_WITHIN_SECONDS if plant.start is None else WITHIN_SECONDS
    given += ["--step", str(STEP_SECONDS), "--within", str(SHORT_WITHIN_SECONDS if short else within)]
    if plant.path is not None:
        mix = folder / "mix.yaml"
        mix.write_text(json.dumps({"routes": [{"path": plant.path}]}))  # JSON is YAML too
        given += ["--mix", str(mix)]
    if plant.start is not None:
        given += ["--start-rps", str(plant.start * (SHORT_START if short else 1))]
    return given
