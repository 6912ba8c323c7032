"""LoadBalancer without AppServers: before machines that serve HTTP their own way, in a group that has no hooks."""

import base64

import pulumi
import pulumi_aws as aws
from expressway import LoadBalancer, Network

PORT = 8080
USER_DATA = f"""#cloud-config
write_files:
  - path: /etc/systemd/system/hello.service
    content: |
      [Service]
      ExecStart=/usr/bin/python3 -m http.server {PORT} --directory /usr/share/doc
      DynamicUser=yes
      Restart=always
      [Install]
      WantedBy=multi-user.target
runcmd:
  - [systemctl, enable, --now, hello.service]
"""

network = Network("hello", {"cidr": "10.80.0.0/16", "nat_per_zone": False})

debian = aws.ec2.get_ami_output(
    most_recent=True,
    owners=["136693071363"],
    filters=[{"name": "name", "values": ["debian-13-amd64-*"]}, {"name": "architecture", "values": ["x86_64"]}],
)
machines = aws.ec2.SecurityGroup("hello", vpc_id=network.vpc_id, description="Machines that say hello")
template = aws.ec2.LaunchTemplate(
    "hello",
    image_id=debian.id,
    instance_type="t3.micro",
    user_data=base64.b64encode(USER_DATA.encode()).decode(),
    vpc_security_group_ids=[machines.id],
    metadata_options={"http_tokens": "required"},
)
group = aws.autoscaling.Group(
    "hello",
    min_size=2,
    max_size=4,
    vpc_zone_identifiers=network.private_subnet_ids,
    launch_template={"id": template.id, "version": template.latest_version.apply(lambda number: str(int(number)))},
)

edge = LoadBalancer(
    "hello-edge",
    {
        "vpc_id": network.vpc_id,
        "subnet_ids": network.public_subnet_ids,
        "targets": {
            "group_name": group.name,
            "group_arn": group.arn,
            "security_group_id": machines.id,
            "port": PORT,
            "readiness_path": "/",
            # The group has none: a machine joins once it is in service and answers.
            "lifecycle_hooks": [],
        },
    },
)

pulumi.export("url", edge.url)
