"""Looks at an AWS account before a first deploy, and at any time after: will what the settings want be had there?"""

from .cost import NOT_COUNTED, Estimate, Item, Logs
from .examination import Report, examine
from .finding import Finding, Status
from .needs import policy
from .wanted import Cache, Database, Machines, Wanted

__all__ = [
    "NOT_COUNTED",
    "Cache",
    "Database",
    "Estimate",
    "Finding",
    "Item",
    "Logs",
    "Machines",
    "Report",
    "Status",
    "Wanted",
    "examine",
    "policy",
]
