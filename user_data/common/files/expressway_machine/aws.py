"""AWS clients with the patience that a booting machine needs."""

import threading
from typing import Any

import botocore.session
from botocore.config import Config


class Clients:
    """Makes clients that share one session, and so one fetch of the role's credentials."""

    def __init__(self, region: str, attempts: int = 6, read_timeout: float = 20) -> None:
        """`read_timeout` in seconds."""
        self._making = threading.Lock()
        self._session = botocore.session.get_session()
        # By default one lost packet to the metadata service means "no credentials".
        self._session.set_config_variable("metadata_service_num_attempts", 5)
        self._config = Config(
            region_name=region,
            connect_timeout=3,
            read_timeout=read_timeout,
            retries={"mode": "standard", "total_max_attempts": attempts},
        )

    def get(self, service: str) -> Any:
        """A client for one service. Any thread may ask, and clients may be shared by threads."""
        with self._making:
            return self._session.create_client(service, config=self._config)
