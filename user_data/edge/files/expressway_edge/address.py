"""The stack's public address, claimed by the machine that is the edge now."""

import time
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError


def claim(ec2: Any, allocation_id: str, instance_id: str, patience: float = 90, pause: float = 0.2) -> str:
    """Have the Elastic IP point at this machine; the address. OSError when it doesn't after `patience` seconds.

    From an edge that is gone, or is being replaced, it is taken over. Success is what AWS says when asked again: the
    answer to the request itself may be lost, as it changes the address that the answer is sent to.
    """
    deadline = time.monotonic() + patience
    problem = "the association doesn't show"
    while True:
        try:
            address = ec2.describe_addresses(AllocationIds=[allocation_id])["Addresses"][0]
            if address.get("InstanceId") == instance_id:
                return address["PublicIp"]
            ec2.associate_address(AllocationId=allocation_id, InstanceId=instance_id, AllowReassociation=True)
        except (BotoCoreError, ClientError) as error:
            problem = str(error)
        if time.monotonic() > deadline:
            raise OSError(f"{allocation_id} can't be claimed: {problem}")
        time.sleep(pause)
        pause = min(2 * pause, 5)
