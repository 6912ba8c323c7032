"""Expressway's components for a Pulumi program in Python: an Express.js app as a fleet on AWS.

from expressway import AppServers, LoadBalancer
"""

from .components import *  # noqa: F403  # it says itself what it exports
from .components import __version__ as __version__
