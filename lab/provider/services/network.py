"""VPC: networks, subnets, routes, gateways, addresses."""

import zlib
from typing import Any

from lab.provider.aws import Aws
from lab.provider.resource import Created, Invoke, Properties, Resource
from lab.provider.values import aws_tags, present, translate


def tag_specification(kind: str, tags: dict[str, str]) -> list[dict[str, Any]]:
    """Tags of an EC2 resource as its create call takes them: none at all, or at least one."""
    return [{"ResourceType": kind, "Tags": aws_tags(tags)}] if tags else []


def arn(aws: Aws, kind: str, identifier: str) -> str:
    """An EC2 resource's ARN."""
    return f"arn:aws:ec2:{aws.region}:{aws.account()}:{kind}/{identifier}"


class Vpc(Resource):
    """A network."""

    pulumi_type = "aws:ec2/vpc:Vpc"
    required = ("cidrBlock",)
    optional = ("enableDnsHostnames", "enableDnsSupport")
    tagged = True

    def create(self, aws: Aws, inputs: Properties) -> Created:
        """Also gives the ids of what AWS makes along with a VPC."""
        ec2 = aws("ec2")
        specification = tag_specification("vpc", inputs["tagsAll"])
        vpc = ec2.create_vpc(CidrBlock=inputs["cidrBlock"], TagSpecifications=specification)["Vpc"]
        for attribute in ("enableDnsSupport", "enableDnsHostnames"):
            if attribute in inputs:
                argument = {f"E{attribute[1:]}": {"Value": inputs[attribute]}}
                ec2.modify_vpc_attribute(VpcId=vpc["VpcId"], **argument)
        mine = [{"Name": "vpc-id", "Values": [vpc["VpcId"]]}]
        groups = ec2.describe_security_groups(Filters=mine)["SecurityGroups"]
        tables = ec2.describe_route_tables(Filters=mine)["RouteTables"]
        return Created(
            vpc["VpcId"],
            {
                "arn": arn(aws, "vpc", vpc["VpcId"]),
                "defaultSecurityGroupId": groups[0]["GroupId"],
                "mainRouteTableId": tables[0]["RouteTableId"],
                "defaultRouteTableId": tables[0]["RouteTableId"],
                "ownerId": aws.account(),
            },
        )


class Subnet(Resource):
    """A part of a VPC in one zone."""

    pulumi_type = "aws:ec2/subnet:Subnet"
    required = ("vpcId", "cidrBlock")
    optional = ("availabilityZone", "mapPublicIpOnLaunch")
    tagged = True

    def create(self, aws: Aws, inputs: Properties) -> Created:
        """Create it."""
        subnet = aws("ec2").create_subnet(
            VpcId=inputs["vpcId"],
            CidrBlock=inputs["cidrBlock"],
            TagSpecifications=tag_specification("subnet", inputs["tagsAll"]),
            **present(AvailabilityZone=inputs.get("availabilityZone")),
        )["Subnet"]
        if "mapPublicIpOnLaunch" in inputs:
            aws("ec2").modify_subnet_attribute(
                SubnetId=subnet["SubnetId"], MapPublicIpOnLaunch={"Value": inputs["mapPublicIpOnLaunch"]}
            )
        outputs = {
            "arn": subnet["SubnetArn"],
            "availabilityZone": subnet["AvailabilityZone"],
            "availabilityZoneId": subnet["AvailabilityZoneId"],
            "ownerId": subnet["OwnerId"],
        }
        return Created(subnet["SubnetId"], outputs)


class InternetGateway(Resource):
    """A VPC's way out, and in."""

    pulumi_type = "aws:ec2/internetGateway:InternetGateway"
    optional = ("vpcId",)
    tagged = True

    def create(self, aws: Aws, inputs: Properties) -> Created:
        """Create and attach it."""
        specification = tag_specification("internet-gateway", inputs["tagsAll"])
        gateway = aws("ec2").create_internet_gateway(TagSpecifications=specification)["InternetGateway"]
        identifier = gateway["InternetGatewayId"]
        if "vpcId" in inputs:
            aws("ec2").attach_internet_gateway(InternetGatewayId=identifier, VpcId=inputs["vpcId"])
        return Created(identifier, {"arn": arn(aws, "internet-gateway", identifier), "ownerId": aws.account()})


class RouteTable(Resource):
    """A table; its routes are resources of their own."""

    pulumi_type = "aws:ec2/routeTable:RouteTable"
    required = ("vpcId",)
    tagged = True

    def create(self, aws: Aws, inputs: Properties) -> Created:
        """Create it."""
        specification = tag_specification("route-table", inputs["tagsAll"])
        table = aws("ec2").create_route_table(VpcId=inputs["vpcId"], TagSpecifications=specification)["RouteTable"]
        identifier = table["RouteTableId"]
        return Created(identifier, {"arn": arn(aws, "route-table", identifier), "ownerId": aws.account()})


class Route(Resource):
    """One line of a route table."""

    pulumi_type = "aws:ec2/route:Route"
    required = ("routeTableId", "destinationCidrBlock")
    optional = ("gatewayId", "natGatewayId")

    def create(self, aws: Aws, inputs: Properties) -> Created:
        """Create it."""
        aws("ec2").create_route(
            RouteTableId=inputs["routeTableId"],
            DestinationCidrBlock=inputs["destinationCidrBlock"],
            **present(GatewayId=inputs.get("gatewayId"), NatGatewayId=inputs.get("natGatewayId")),
        )
        destination = zlib.crc32(inputs["destinationCidrBlock"].encode())
        return Created(f"r-{inputs['routeTableId']}{destination}", {"origin": "CreateRoute", "state": "active"})


class RouteTableAssociation(Resource):
    """Which table a subnet uses."""

    pulumi_type = "aws:ec2/routeTableAssociation:RouteTableAssociation"
    required = ("routeTableId", "subnetId")

    def create(self, aws: Aws, inputs: Properties) -> Created:
        """Create it."""
        answer = aws("ec2").associate_route_table(RouteTableId=inputs["routeTableId"], SubnetId=inputs["subnetId"])
        return Created(answer["AssociationId"], {})


class Eip(Resource):
    """A public address that stays."""

    pulumi_type = "aws:ec2/eip:Eip"
    optional = ("domain",)
    tagged = True

    def create(self, aws: Aws, inputs: Properties) -> Created:
        """Allocate it."""
        specification = tag_specification("elastic-ip", inputs["tagsAll"])
        address = aws("ec2").allocate_address(Domain=inputs.get("domain", "vpc"), TagSpecifications=specification)
        identifier, public = address["AllocationId"], address["PublicIp"]
        outputs = {
            "allocationId": identifier,
            "publicIp": public,
            "publicDns": f"ec2-{public.replace('.', '-')}.compute-1.amazonaws.com",
            "domain": address["Domain"],
            "arn": arn(aws, "elastic-ip", identifier),
        }
        return Created(identifier, outputs)


class NatGateway(Resource):
    """A private subnet's way out."""

    pulumi_type = "aws:ec2/natGateway:NatGateway"
    required = ("subnetId",)
    optional = ("allocationId",)
    tagged = True

    def create(self, aws: Aws, inputs: Properties) -> Created:
        """Create it."""
        gateway = aws("ec2").create_nat_gateway(
            SubnetId=inputs["subnetId"],
            TagSpecifications=tag_specification("natgateway", inputs["tagsAll"]),
            **present(AllocationId=inputs.get("allocationId")),
        )["NatGateway"]
        address = gateway["NatGatewayAddresses"][0]
        outputs = {"publicIp": address.get("PublicIp"), "privateIp": address.get("PrivateIp")}
        return Created(gateway["NatGatewayId"], outputs)


class VpcEndpoint(Resource):
    """A private way to an AWS service."""

    pulumi_type = "aws:ec2/vpcEndpoint:VpcEndpoint"
    required = ("vpcId", "serviceName")
    optional = ("vpcEndpointType", "routeTableIds")
    tagged = True

    def create(self, aws: Aws, inputs: Properties) -> Created:
        """Create it."""
        endpoint = aws("ec2").create_vpc_endpoint(
            VpcId=inputs["vpcId"],
            ServiceName=inputs["serviceName"],
            VpcEndpointType=inputs.get("vpcEndpointType", "Gateway"),
            RouteTableIds=inputs.get("routeTableIds", []),
            TagSpecifications=tag_specification("vpc-endpoint", inputs["tagsAll"]),
        )["VpcEndpoint"]
        identifier = endpoint["VpcEndpointId"]
        outputs = {"arn": arn(aws, "vpc-endpoint", identifier), "state": endpoint["State"]}
        return Created(identifier, outputs)


def _availability_zones(aws: Aws, inputs: Properties) -> Properties:
    filters = translate(inputs.get("filters", []), {"name": "Name", "values": "Values"}, "filters")
    if state := inputs.get("state"):
        filters.append({"Name": "state", "Values": [state]})
    zones = aws("ec2").describe_availability_zones(Filters=filters)["AvailabilityZones"]
    return {
        "id": aws.region,
        "region": aws.region,
        "names": [zone["ZoneName"] for zone in zones],
        "zoneIds": [zone["ZoneId"] for zone in zones],
    }


def _region(aws: Aws, _inputs: Properties) -> Properties:
    return {"id": aws.region, "region": aws.region, "name": aws.region, "description": aws.region}


RESOURCES: tuple[type[Resource], ...] = (
    Vpc,
    Subnet,
    InternetGateway,
    RouteTable,
    Route,
    RouteTableAssociation,
    Eip,
    NatGateway,
    VpcEndpoint,
)
INVOKES = (
    Invoke("aws:index/getAvailabilityZones:getAvailabilityZones", ("state", "filters"), _availability_zones),
    Invoke("aws:index/getRegion:getRegion", (), _region),
)
