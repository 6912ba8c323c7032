"""The real Pulumi engine on the lab: found, given the lab's provider, and driven through Pulumi's Automation API.

Everything here is optional: without a CLI the lab is applied under the SDK's mock monitor (`lab.engine.mocks`).
"""

from enum import StrEnum


class Engine(StrEnum):
    """What applies the program: the real engine, the SDK's mock monitor, or the former where there is one."""

    AUTO = "auto"
    PULUMI = "pulumi"
    MOCKS = "mocks"
