"""AppServers without LoadBalancer: behind an Application Load Balancer, which also decides on health."""

import pulumi
import pulumi_aws as aws
from expressway import AppServers, Network, Release

PORT = 3000
BOUNDARY = "arn:aws:iam::aws:policy/PowerUserAccess"


def within_boundary(args: pulumi.ResourceTransformArgs) -> pulumi.ResourceTransformResult | None:
    """What no argument is for: every role that a component makes gets the platform's permissions boundary."""
    if args.type_ != "aws:iam/role:Role":
        return None
    return pulumi.ResourceTransformResult({**args.props, "permissionsBoundary": BOUNDARY}, args.opts)


archives = pulumi.Config().require("archives")
network = Network("shop", {"cidr": "10.70.0.0/16", "nat_per_zone": False})
release = Release(
    "shop-release",
    {
        "app": {"path": f"{archives}/app.tar.gz"},
        "runtime": {"path": f"{archives}/runtime.tar.gz"},
        "force_destroy": True,
    },
)

alb_group = aws.ec2.SecurityGroup("alb", vpc_id=network.vpc_id, description="The load balancer")
aws.vpc.SecurityGroupIngressRule(
    "alb-http",
    security_group_id=alb_group.id,
    cidr_ipv4="0.0.0.0/0",
    ip_protocol="tcp",
    from_port=80,
    to_port=80,
)
balancer = aws.lb.LoadBalancer(
    "shop", load_balancer_type="application", subnets=network.public_subnet_ids, security_groups=[alb_group.id]
)
target_group = aws.lb.TargetGroup(
    "shop",
    port=PORT,
    protocol="HTTP",
    vpc_id=network.vpc_id,
    health_check={"path": "/readyz", "interval": 10, "healthy_threshold": 2},
    # How long a machine that leaves still finishes its requests.
    deregistration_delay=30,
)
aws.lb.Listener(
    "shop",
    load_balancer_arn=balancer.arn,
    port=80,
    protocol="HTTP",
    default_actions=[{"type": "forward", "target_group_arn": target_group.arn}],
)

servers = AppServers(
    "shop-app",
    {
        "vpc_id": network.vpc_id,
        "subnet_ids": network.private_subnet_ids,
        "release": release.access,
        "port": PORT,
        "target_group_arns": [target_group.arn],
        "ingress": {"alb": alb_group.id},
        "packages": ["webp"],
        "outgoing_ports": [587],
    },
    opts=pulumi.ResourceOptions(transforms=[within_boundary]),
)
# Rules of the load balancer's group are this stack's own.
aws.vpc.SecurityGroupEgressRule(
    "alb-app",
    security_group_id=alb_group.id,
    referenced_security_group_id=servers.security_group_id,
    ip_protocol="tcp",
    from_port=PORT,
    to_port=PORT,
)
# The app may do more than fetch its release: its role is there to be added to.
flags = aws.ssm.Parameter("feature-flags", type="String", value="{}")
aws.iam.RolePolicy(
    "feature-flags",
    role=servers.role_name,
    policy=pulumi.Output.json_dumps(
        {
            "Version": "2012-10-17",
            "Statement": [{"Effect": "Allow", "Action": "ssm:GetParameter", "Resource": flags.arn}],
        }
    ),
)

pulumi.export("url", pulumi.Output.concat("http://", balancer.dns_name))
pulumi.export("groupName", servers.group_name)
