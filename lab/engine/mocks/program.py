"""Runs a Pulumi program in this process, under the lab's monitor. Once a process: the SDK keeps state in modules."""

import asyncio
import logging
import os
import runpy
import sys
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from pulumi.runtime import set_all_config, set_mocks
from pulumi.runtime.settings import set_root_resource
from pulumi.runtime.stack import run_in_stack

from lab.engine.mocks.monitor import Monitor

PARALLEL = 16
"""Resources created at once."""


def run(
    directory: Path, project: str, stack: str, config: Mapping[str, str], monitor: Monitor, *, preview: bool
) -> None:
    """Run `__main__.py` of `directory` to its end, and until every resource is there. The first failure is raised."""
    # The SDK reports a failure once for each output that depended on it.
    logging.getLogger("asyncio").setLevel(logging.CRITICAL)
    os.chdir(directory)  # as the engine does: assets are relative to the program
    sys.path.insert(0, str(directory))
    set_all_config(dict(config))
    # `set_mocks` registers a stack unless there is a root, and `run_in_stack` another: both would never end.
    root: Any = object()
    set_root_resource(root)
    set_mocks(monitor.mocks, project=project, stack=stack, preview=preview, monitor=monitor)
    root = None
    set_root_resource(root)

    def program() -> None:
        runpy.run_path(str(directory / "__main__.py"), run_name="__main__")

    loop = asyncio.new_event_loop()
    asyncio.set_event_loop(loop)
    pool = ThreadPoolExecutor(PARALLEL)
    loop.set_default_executor(pool)
    try:
        loop.run_until_complete(run_in_stack(program))
    finally:
        # What is being created is finished, so that the API and the report agree.
        pool.shutdown(wait=True, cancel_futures=True)
        loop.close()
