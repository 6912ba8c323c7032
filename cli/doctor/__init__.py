"""`expressway doctor`."""

from cli.doctor.command import doctor

__all__ = ["doctor"]
