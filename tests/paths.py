"""Where tests find things."""

from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
"""This repository."""
