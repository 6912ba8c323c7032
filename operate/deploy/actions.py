"""What a deploy asks of AWS, one call each. Repeating one changes nothing."""

import contextlib
from collections.abc import Callable
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from operate.deploy import in_place, rolling
from operate.fleet import DEPLOY, DRAIN, Group, Template, resize
from operate.stack import Stack

CONSOLE_LINES = 40


def take_step(stack: Stack, group: Group, step: rolling.Step) -> frozenset[str]:
    """Terminate and launch what the step says; whose termination was asked for."""
    scaling, ended = stack.client("autoscaling"), set[str]()
    for each in step.terminations:
        try:
            scaling.terminate_instance_in_auto_scaling_group(
                InstanceId=each.id, ShouldDecrementDesiredCapacity=each.smaller
            )
        except ClientError as error:
            # It went by itself since the last look.
            if "not found" not in str(error).lower():
                raise
        ended.add(each.id)
    if step.desired is not None:
        if step.desired > group.maximum:
            scaling.update_auto_scaling_group(AutoScalingGroupName=group.name, MaxSize=step.desired)
        resize(stack, group, step.desired)
    return frozenset(ended)


def restore_maximum(stack: Stack, group: Group, maximum: int) -> None:
    """Take back the room that replacing took."""
    if group.maximum > maximum >= group.desired:
        stack.client("autoscaling").update_auto_scaling_group(AutoScalingGroupName=group.name, MaxSize=maximum)


def restore_template(stack: Stack, group: Group, template: Template | None) -> None:
    """Let the group launch what it launched before."""
    if template is not None and group.template != template:
        stack.client("autoscaling").update_auto_scaling_group(
            AutoScalingGroupName=group.name,
            LaunchTemplate={"LaunchTemplateId": template.id, "Version": template.version},
        )


def act_in_place(stack: Stack, step: in_place.Step, tag: str) -> None:
    """Set or delete the tag that the step is about."""
    ec2: Any = stack.client("ec2")
    match step.act:
        case in_place.Act.DRAIN:
            ec2.create_tags(Resources=[step.machine], Tags=[{"Key": DRAIN, "Value": in_place.OURS}])
        case in_place.Act.INSTALL:
            ec2.create_tags(Resources=[step.machine], Tags=[{"Key": DEPLOY, "Value": tag}])
        case in_place.Act.RETURN:
            ec2.delete_tags(Resources=[step.machine], Tags=[{"Key": DRAIN}])
        case None:
            pass


def undrain(stack: Stack, group: Group) -> None:
    """Give back to the edges whom a deploy in place had taken from them."""
    ours = [each.id for each in group.machines if each.tags.get(DRAIN) == in_place.OURS]
    if ours:
        stack.client("ec2").delete_tags(Resources=ours, Tags=[{"Key": DRAIN}])


def console(stack: Stack, machine: str) -> list[str]:
    """The end of a machine's boot log, as far as EC2 has it."""
    read: Callable[..., Any] = stack.client("ec2").get_console_output
    with contextlib.suppress(ClientError, BotoCoreError):
        text = str(read(InstanceId=machine, Latest=True).get("Output") or "")
        return [line.rstrip() for line in text.splitlines()][-CONSOLE_LINES:]
    return []
