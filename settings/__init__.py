"""The only reader of Pulumi configuration: typed, frozen, and every mistake reported at once."""

from .model import AppSettings, CacheSettings, DatabaseSettings, EdgeSettings, NetworkSettings, Settings
from .parsing import parse
from .problems import Problem, SettingsError
from .sources import from_file, from_pulumi, read, stack_of
from .standing import Standing, made_anew
from .standing import check as check_standing
from .standing import waiting as waiting_for_window

__all__ = [
    "AppSettings",
    "CacheSettings",
    "DatabaseSettings",
    "EdgeSettings",
    "NetworkSettings",
    "Problem",
    "Settings",
    "SettingsError",
    "Standing",
    "check_standing",
    "from_file",
    "from_pulumi",
    "made_anew",
    "parse",
    "read",
    "stack_of",
    "waiting_for_window",
]
