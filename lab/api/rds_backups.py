"""What RDS tells of a database's backups and of maintenance that is to come, which moto doesn't.

Nothing is to come: the lab makes no versions. Times are told as RDS would; what a copy holds is `rds_restore`'s.

Sources: https://docs.aws.amazon.com/AmazonRDS/latest/APIReference/API_RestoreWindow.html,
API_DescribePendingMaintenanceActions.html
"""

from datetime import datetime, timedelta
from typing import Any

from moto.core.responses import ActionResult
from moto.core.utils import utcnow
from moto.rds import models, responses

from lab.api.patching import add


def install() -> None:
    """Change moto's RDS. Once a process, before the first request."""
    add(models.DBInstanceAutomatedBackup, "restore_window", property(_window))
    add(responses.RDSResponse, "describe_pending_maintenance_actions", _maintenance)


def _window(backup: Any) -> dict[str, datetime] | None:
    """From when the database was made, or its backups begin, to now."""
    database = backup.backend.databases.get(backup.db_instance_identifier)
    if database is None or not database.backup_retention_period:
        return None
    kept = utcnow() - timedelta(days=database.backup_retention_period)
    return {"EarliestTime": max(kept, database.instance_create_time), "LatestTime": database.latest_restorable_time}


def _maintenance(_: Any) -> ActionResult:
    return ActionResult({"PendingMaintenanceActions": []})
