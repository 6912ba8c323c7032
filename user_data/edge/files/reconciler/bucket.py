"""The edges' reports in the bucket, for operators and for each other."""

import json
from typing import Any

from botocore.exceptions import ClientError

_NONE = frozenset({"NoSuchKey", "AccessDenied", "403", "404"})
"""What S3 says where there is no object; AccessDenied to a role that may not list the bucket."""


class Reports:
    """Reads and writes `reports/edge/<instance id>.json`."""

    def __init__(self, s3: Any, bucket: str) -> None:
        self._s3 = s3
        self._bucket = bucket

    def write(self, report: dict[str, Any]) -> None:
        """Put this edge's in place of its last one. botocore's errors when that fails."""
        self._s3.put_object(
            Bucket=self._bucket,
            Key=_key(report["id"]),
            Body=json.dumps(report).encode(),
            ContentType="application/json",
        )

    def read(self, instance_id: str) -> Any:
        """Another edge's; None when it has made none. botocore's errors, or ValueError, when that can't be said."""
        try:
            return json.loads(self._s3.get_object(Bucket=self._bucket, Key=_key(instance_id))["Body"].read())
        except ClientError as error:
            if error.response.get("Error", {}).get("Code") in _NONE:
                return None
            raise


def _key(instance_id: str) -> str:
    return f"reports/edge/{instance_id}.json"
