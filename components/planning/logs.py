"""Logs: for how long they are kept, and which requests and statements are in them."""

from .rule import Rule, choice, number

# https://docs.aws.amazon.com/AmazonCloudWatchLogs/latest/APIReference/API_PutRetentionPolicy.html
_DAYS = (1, 3, 5, 7, 14, 30, 60, 90, 120, 150, 180, 365, 400, 545, 731, 1096, 1827, 2192, 2557, 2922, 3288, 3653)

LOG_RETENTION_DAYS = Rule(
    int,
    lambda value: value in _DAYS,
    "it must be a number of days that CloudWatch Logs has",
    f"Choose one of {', '.join(map(str, _DAYS))}.",
)

ACCESS_LOGS = choice(("all", "errors", "none"))

SLOW_STATEMENT_MS = number(-1, 2_147_483_647, "Choose -1 for none, 0 for all, or milliseconds.")
"""PostgreSQL's log_min_duration_statement."""
