"""A platform team's VPC: public and private subnets in two zones, one NAT gateway."""

import pulumi
import pulumi_aws as aws

ZONES = {"us-east-1a": 0, "us-east-1b": 1}

vpc = aws.ec2.Vpc("main", cidr_block="10.40.0.0/16", enable_dns_hostnames=True, tags={"Name": "main"})
internet = aws.ec2.InternetGateway("main", vpc_id=vpc.id)

public_routes = aws.ec2.RouteTable("public", vpc_id=vpc.id)
aws.ec2.Route("public", route_table_id=public_routes.id, destination_cidr_block="0.0.0.0/0", gateway_id=internet.id)
public = {
    zone: aws.ec2.Subnet(
        f"public-{zone}",
        vpc_id=vpc.id,
        availability_zone=zone,
        cidr_block=f"10.40.{number}.0/24",
        map_public_ip_on_launch=True,
    )
    for zone, number in ZONES.items()
}
private = {
    zone: aws.ec2.Subnet(
        f"private-{zone}", vpc_id=vpc.id, availability_zone=zone, cidr_block=f"10.40.{100 + number}.0/24"
    )
    for zone, number in ZONES.items()
}

nat = aws.ec2.NatGateway(
    "main",
    allocation_id=aws.ec2.Eip("nat", domain="vpc").allocation_id,
    subnet_id=public["us-east-1a"].id,
    opts=pulumi.ResourceOptions(depends_on=[internet]),
)
private_routes = aws.ec2.RouteTable("private", vpc_id=vpc.id)
aws.ec2.Route("private", route_table_id=private_routes.id, destination_cidr_block="0.0.0.0/0", nat_gateway_id=nat.id)

for table, subnets in ((public_routes, public), (private_routes, private)):
    for zone, subnet in subnets.items():
        name = "public" if subnets is public else "private"
        aws.ec2.RouteTableAssociation(f"{name}-{zone}", subnet_id=subnet.id, route_table_id=table.id)

pulumi.export("vpcId", vpc.id)
pulumi.export("publicSubnetIds", [subnet.id for subnet in public.values()])
pulumi.export("privateSubnetIds", [subnet.id for subnet in private.values()])
