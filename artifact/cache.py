"""Where built artifacts and lab images are kept between runs."""

import os
from pathlib import Path

import platformdirs


def root() -> Path:
    """The cache directory: `EXPRESSWAY_CACHE` if set, else the system's own place for caches (XDG)."""
    override = os.environ.get("EXPRESSWAY_CACHE")
    return Path(override) if override else Path(platformdirs.user_cache_path("expressway"))
