"""VPC: networks, subnets, routes, gateways, addresses."""

import time
import zlib
from collections.abc import Mapping
from typing import Any, ClassVar

from typing_extensions import override

from lab.aws import Aws
from lab.provider import tags
from lab.provider.errors import InputError
from lab.provider.resource import Created, Found, Invoke, Properties, Resource
from lab.provider.values import aws_tags, present, translate, unless_default

_FORCE_NEW = "terraform-provider-aws internal/service/ec2/{}, ForceNew"
VPC = _FORCE_NEW.format("vpc_.go")
SUBNET = _FORCE_NEW.format("vpc_subnet.go")
ROUTE_TABLE = _FORCE_NEW.format("vpc_route_table.go")
ROUTE = _FORCE_NEW.format("vpc_route.go")
ASSOCIATION = _FORCE_NEW.format("vpc_route_table_association.go")
EIP = _FORCE_NEW.format("ec2_eip.go")
NAT_GATEWAY = _FORCE_NEW.format("vpc_nat_gateway.go")
ENDPOINT = _FORCE_NEW.format("vpc_endpoint.go")


SHUTDOWN_SECONDS = 60
"""The lab gives a machine 30 to shut down in order."""
POLL_SECONDS = 0.2


def await_shutdowns(aws: Aws, attribute: str, value: str) -> None:
    """Wait for the machines of which an attribute has this value and that are shutting down, but for no others.

    Until they are gone, AWS refuses to delete what they use, and the AWS provider tries again for minutes.
    """
    ending = [{"Name": attribute, "Values": [value]}, {"Name": "instance-state-name", "Values": ["shutting-down"]}]
    deadline = time.monotonic() + SHUTDOWN_SECONDS
    while aws("ec2").describe_instances(Filters=ending)["Reservations"] and time.monotonic() < deadline:
        time.sleep(POLL_SECONDS)


def tag_specification(kind: str, tags: dict[str, str]) -> list[dict[str, Any]]:
    """Tags of an EC2 resource as its create call takes them: none at all, or at least one."""
    return [{"ResourceType": kind, "Tags": aws_tags(tags)}] if tags else []


def arn(aws: Aws, kind: str, identifier: str) -> str:
    """An EC2 resource's ARN."""
    return f"arn:aws:ec2:{aws.region}:{aws.account()}:{kind}/{identifier}"


class ChangesByTags(Resource):
    """A resource of EC2 or VPC of which only the tags can change in place."""

    tagged = True

    @override
    def update(self, aws: Aws, identifier: str, old: Properties, new: Properties) -> Properties:
        tags.set_ec2(aws, identifier, old["tagsAll"], new["tagsAll"])
        return {}


class Vpc(Resource):
    """A network."""

    pulumi_type = "aws:ec2/vpc:Vpc"
    required = ("cidrBlock",)
    optional = ("enableDnsHostnames", "enableDnsSupport")
    tagged = True
    replaces_on = {"cidrBlock": VPC}
    DNS: ClassVar[Mapping[str, bool]] = {"enableDnsSupport": True, "enableDnsHostnames": False}
    """Attributes with a call of their own, and AWS's defaults for a VPC that its API makes."""
    computed = ("enableDnsHostnames",)
    defaults = {"enableDnsSupport": True}

    @override
    def create(self, aws: Aws, inputs: Properties) -> Created:
        """Also gives the ids of what AWS makes along with a VPC."""
        ec2 = aws("ec2")
        specification = tag_specification("vpc", inputs["tagsAll"])
        identifier = ec2.create_vpc(CidrBlock=inputs["cidrBlock"], TagSpecifications=specification)["Vpc"]["VpcId"]
        for attribute in self.DNS:
            if attribute in inputs:
                self._set(aws, identifier, attribute, inputs[attribute])
        return Created(identifier, self._outputs(aws, identifier))

    @override
    def read(self, aws: Aws, identifier: str, state: Properties) -> Found | None:
        """The VPC with its two attributes."""
        vpc = aws("ec2").describe_vpcs(VpcIds=[identifier])["Vpcs"][0]
        inputs = {"cidrBlock": vpc["CidrBlock"], "tags": tags.as_map(vpc.get("Tags", []))}
        for attribute in self.DNS:
            answer = aws("ec2").describe_vpc_attribute(VpcId=identifier, Attribute=attribute)
            inputs[attribute] = answer[f"E{attribute[1:]}"]["Value"]
        return Found(identifier, inputs, self._outputs(aws, identifier))

    @override
    def update(self, aws: Aws, identifier: str, old: Properties, new: Properties) -> Properties:
        """The VPC's attributes and tags."""
        for attribute, default in self.DNS.items():
            if old.get(attribute) != new.get(attribute):
                self._set(aws, identifier, attribute, new.get(attribute, default))
        tags.set_ec2(aws, identifier, old["tagsAll"], new["tagsAll"])
        return {}

    @override
    def delete(self, aws: Aws, identifier: str, state: Properties) -> None:
        """Refused by the API while anything is in it."""
        aws("ec2").delete_vpc(VpcId=identifier)

    def _set(self, aws: Aws, identifier: str, attribute: str, value: bool) -> None:
        aws("ec2").modify_vpc_attribute(VpcId=identifier, **{f"E{attribute[1:]}": {"Value": value}})

    def _outputs(self, aws: Aws, identifier: str) -> Properties:
        mine = [{"Name": "vpc-id", "Values": [identifier]}]
        default = [*mine, {"Name": "group-name", "Values": ["default"]}]
        main = [*mine, {"Name": "association.main", "Values": ["true"]}]
        groups = aws("ec2").describe_security_groups(Filters=default)["SecurityGroups"]
        tables = aws("ec2").describe_route_tables(Filters=main)["RouteTables"]
        return {
            "arn": arn(aws, "vpc", identifier),
            "defaultSecurityGroupId": groups[0]["GroupId"],
            "mainRouteTableId": tables[0]["RouteTableId"],
            "defaultRouteTableId": tables[0]["RouteTableId"],
            "ownerId": aws.account(),
        }


class Subnet(Resource):
    """A part of a VPC in one zone."""

    pulumi_type = "aws:ec2/subnet:Subnet"
    required = ("vpcId", "cidrBlock")
    optional = ("availabilityZone", "mapPublicIpOnLaunch")
    tagged = True
    replaces_on = {"vpcId": SUBNET, "cidrBlock": SUBNET, "availabilityZone": SUBNET}
    computed = ("availabilityZone",)
    defaults = {"mapPublicIpOnLaunch": False}

    @override
    def create(self, aws: Aws, inputs: Properties) -> Created:
        subnet = aws("ec2").create_subnet(
            VpcId=inputs["vpcId"],
            CidrBlock=inputs["cidrBlock"],
            TagSpecifications=tag_specification("subnet", inputs["tagsAll"]),
            **present(AvailabilityZone=inputs.get("availabilityZone")),
        )["Subnet"]
        if "mapPublicIpOnLaunch" in inputs:
            self._map_public(aws, subnet["SubnetId"], inputs["mapPublicIpOnLaunch"])
        return Created(subnet["SubnetId"], self._outputs(subnet))

    @override
    def read(self, aws: Aws, identifier: str, state: Properties) -> Found | None:
        subnet = aws("ec2").describe_subnets(SubnetIds=[identifier])["Subnets"][0]
        maps = unless_default(subnet["MapPublicIpOnLaunch"], False, state.get("mapPublicIpOnLaunch"))
        inputs = {
            "vpcId": subnet["VpcId"],
            "cidrBlock": subnet["CidrBlock"],
            "availabilityZone": subnet["AvailabilityZone"],
            "mapPublicIpOnLaunch": maps,
            "tags": tags.as_map(subnet.get("Tags", [])),
        }
        return Found(identifier, inputs, self._outputs(subnet))

    @override
    def update(self, aws: Aws, identifier: str, old: Properties, new: Properties) -> Properties:
        """The subnet's attribute and its tags."""
        if old.get("mapPublicIpOnLaunch") != new.get("mapPublicIpOnLaunch"):
            self._map_public(aws, identifier, new.get("mapPublicIpOnLaunch", False))
        tags.set_ec2(aws, identifier, old["tagsAll"], new["tagsAll"])
        return {}

    @override
    def delete(self, aws: Aws, identifier: str, state: Properties) -> None:
        await_shutdowns(aws, "subnet-id", identifier)
        aws("ec2").delete_subnet(SubnetId=identifier)

    def _map_public(self, aws: Aws, identifier: str, value: bool) -> None:
        aws("ec2").modify_subnet_attribute(SubnetId=identifier, MapPublicIpOnLaunch={"Value": value})

    def _outputs(self, subnet: Properties) -> Properties:
        return {
            "arn": subnet["SubnetArn"],
            "availabilityZone": subnet["AvailabilityZone"],
            "availabilityZoneId": subnet["AvailabilityZoneId"],
            "ownerId": subnet["OwnerId"],
        }


class InternetGateway(Resource):
    """A VPC's way out, and in."""

    pulumi_type = "aws:ec2/internetGateway:InternetGateway"
    optional = ("vpcId",)
    tagged = True
    computed = ("vpcId",)

    @override
    def create(self, aws: Aws, inputs: Properties) -> Created:
        """Create and attach it."""
        specification = tag_specification("internet-gateway", inputs["tagsAll"])
        gateway = aws("ec2").create_internet_gateway(TagSpecifications=specification)["InternetGateway"]
        identifier = gateway["InternetGatewayId"]
        self._attach(aws, identifier, inputs.get("vpcId"))
        return Created(identifier, self._outputs(aws, identifier))

    @override
    def read(self, aws: Aws, identifier: str, state: Properties) -> Found | None:
        """The gateway, and where it is attached."""
        gateway = aws("ec2").describe_internet_gateways(InternetGatewayIds=[identifier])["InternetGateways"][0]
        attached = [attachment["VpcId"] for attachment in gateway["Attachments"]]
        inputs = {"vpcId": attached[0] if attached else None, "tags": tags.as_map(gateway.get("Tags", []))}
        return Found(identifier, inputs, self._outputs(aws, identifier))

    @override
    def update(self, aws: Aws, identifier: str, old: Properties, new: Properties) -> Properties:
        """Another VPC: off the old one first, since a gateway has one at most."""
        if old.get("vpcId") != new.get("vpcId"):
            self._detach(aws, identifier, old.get("vpcId"))
            self._attach(aws, identifier, new.get("vpcId"))
        tags.set_ec2(aws, identifier, old["tagsAll"], new["tagsAll"])
        return {}

    @override
    def delete(self, aws: Aws, identifier: str, state: Properties) -> None:
        """Detach and delete it."""
        self._detach(aws, identifier, state.get("vpcId"))
        aws("ec2").delete_internet_gateway(InternetGatewayId=identifier)

    def _attach(self, aws: Aws, identifier: str, vpc: str | None) -> None:
        if vpc:
            aws("ec2").attach_internet_gateway(InternetGatewayId=identifier, VpcId=vpc)

    def _detach(self, aws: Aws, identifier: str, vpc: str | None) -> None:
        if vpc:
            await_shutdowns(aws, "vpc-id", vpc)
            aws("ec2").detach_internet_gateway(InternetGatewayId=identifier, VpcId=vpc)

    def _outputs(self, aws: Aws, identifier: str) -> Properties:
        return {"arn": arn(aws, "internet-gateway", identifier), "ownerId": aws.account()}


class RouteTable(ChangesByTags):
    """A table; its routes are resources of their own."""

    pulumi_type = "aws:ec2/routeTable:RouteTable"
    required = ("vpcId",)
    replaces_on = {"vpcId": ROUTE_TABLE}

    @override
    def create(self, aws: Aws, inputs: Properties) -> Created:
        specification = tag_specification("route-table", inputs["tagsAll"])
        table = aws("ec2").create_route_table(VpcId=inputs["vpcId"], TagSpecifications=specification)["RouteTable"]
        return Created(table["RouteTableId"], self._outputs(aws, table["RouteTableId"]))

    @override
    def read(self, aws: Aws, identifier: str, state: Properties) -> Found | None:
        """The table without its routes."""
        table = aws("ec2").describe_route_tables(RouteTableIds=[identifier])["RouteTables"][0]
        inputs = {"vpcId": table["VpcId"], "tags": tags.as_map(table.get("Tags", []))}
        return Found(identifier, inputs, self._outputs(aws, identifier))

    @override
    def delete(self, aws: Aws, identifier: str, state: Properties) -> None:
        """Refused by the API while a subnet uses it."""
        aws("ec2").delete_route_table(RouteTableId=identifier)

    def _outputs(self, aws: Aws, identifier: str) -> Properties:
        return {"arn": arn(aws, "route-table", identifier), "ownerId": aws.account()}


class Route(Resource):
    """One line of a route table."""

    pulumi_type = "aws:ec2/route:Route"
    required = ("routeTableId", "destinationCidrBlock")
    optional = ("gatewayId", "natGatewayId")
    replaces_on = {"routeTableId": ROUTE, "destinationCidrBlock": ROUTE}
    OUTPUTS: ClassVar[Mapping[str, str]] = {"origin": "CreateRoute", "state": "active"}

    @override
    def create(self, aws: Aws, inputs: Properties) -> Created:
        aws("ec2").create_route(**self._arguments(inputs))
        return Created(self._id(inputs["routeTableId"], inputs["destinationCidrBlock"]), {**self.OUTPUTS})

    @override
    def read(self, aws: Aws, identifier: str, state: Properties) -> Found | None:
        """The route; an import names it as `<table>_<destination>`, since it has no id of its own."""
        table, destination = (
            (state["routeTableId"], state["destinationCidrBlock"]) if state else identifier.split("_", 1)
        )
        found = aws("ec2").describe_route_tables(RouteTableIds=[table])["RouteTables"][0]["Routes"]
        for route in found:
            if route.get("DestinationCidrBlock") == destination and route.get("GatewayId") != "local":
                inputs = {
                    "routeTableId": table,
                    "destinationCidrBlock": destination,
                    "gatewayId": route.get("GatewayId"),
                    "natGatewayId": route.get("NatGatewayId"),
                }
                return Found(self._id(table, destination), inputs, {**self.OUTPUTS})
        return None

    @override
    def update(self, aws: Aws, identifier: str, old: Properties, new: Properties) -> Properties:
        """Lead it elsewhere, without a gap."""
        aws("ec2").replace_route(**self._arguments(new))
        return {}

    @override
    def delete(self, aws: Aws, identifier: str, state: Properties) -> None:
        aws("ec2").delete_route(RouteTableId=state["routeTableId"], DestinationCidrBlock=state["destinationCidrBlock"])

    def _arguments(self, inputs: Properties) -> Properties:
        return {
            "RouteTableId": inputs["routeTableId"],
            "DestinationCidrBlock": inputs["destinationCidrBlock"],
            **present(GatewayId=inputs.get("gatewayId"), NatGatewayId=inputs.get("natGatewayId")),
        }

    def _id(self, table: str, destination: str) -> str:
        return f"r-{table}{zlib.crc32(destination.encode())}"


class RouteTableAssociation(Resource):
    """Which table a subnet uses. AWS gives the association another id with another table; Pulumi keeps the first."""

    pulumi_type = "aws:ec2/routeTableAssociation:RouteTableAssociation"
    required = ("routeTableId", "subnetId")
    replaces_on = {"subnetId": ASSOCIATION}

    @override
    def create(self, aws: Aws, inputs: Properties) -> Created:
        answer = aws("ec2").associate_route_table(RouteTableId=inputs["routeTableId"], SubnetId=inputs["subnetId"])
        return Created(answer["AssociationId"], {})

    @override
    def read(self, aws: Aws, identifier: str, state: Properties) -> Found | None:
        """The subnet's; an import names it as `<subnet>/<table>`."""
        found = self._find(aws, state.get("subnetId") or identifier.partition("/")[0])
        if found is None:
            return None
        inputs = {"routeTableId": found["RouteTableId"], "subnetId": found["SubnetId"]}
        return Found(identifier if state else found["RouteTableAssociationId"], inputs, {})

    @override
    def update(self, aws: Aws, identifier: str, old: Properties, new: Properties) -> Properties:
        """Another table, without a gap."""
        found = self._find(aws, old["subnetId"])
        if found is None:
            raise InputError(f"{old['subnetId']} uses no table any more; bring the state up to date: pulumi refresh")
        aws("ec2").replace_route_table_association(
            AssociationId=found["RouteTableAssociationId"], RouteTableId=new["routeTableId"]
        )
        return {}

    @override
    def delete(self, aws: Aws, identifier: str, state: Properties) -> None:
        """The subnet falls back to the VPC's main table."""
        if found := self._find(aws, state["subnetId"]):
            aws("ec2").disassociate_route_table(AssociationId=found["RouteTableAssociationId"])

    def _find(self, aws: Aws, subnet: str) -> Properties | None:
        filters = [{"Name": "association.subnet-id", "Values": [subnet]}]
        for table in aws("ec2").describe_route_tables(Filters=filters)["RouteTables"]:
            for association in table["Associations"]:
                if association.get("SubnetId") == subnet:
                    return association
        return None


class Eip(ChangesByTags):
    """A public address that stays."""

    pulumi_type = "aws:ec2/eip:Eip"
    optional = ("domain",)
    replaces_on = {"domain": EIP}
    computed = ("domain",)

    @override
    def create(self, aws: Aws, inputs: Properties) -> Created:
        """Allocate it."""
        specification = tag_specification("elastic-ip", inputs["tagsAll"])
        made = aws("ec2").allocate_address(Domain=inputs.get("domain", "vpc"), TagSpecifications=specification)
        return Created(made["AllocationId"], self._outputs(aws, made))

    @override
    def read(self, aws: Aws, identifier: str, state: Properties) -> Found | None:
        """The address. Which machine has it is not this resource's: the machine claims it."""
        address = aws("ec2").describe_addresses(AllocationIds=[identifier])["Addresses"][0]
        inputs = {"domain": address["Domain"], "tags": tags.as_map(address.get("Tags", []))}
        return Found(identifier, inputs, self._outputs(aws, address))

    @override
    def delete(self, aws: Aws, identifier: str, state: Properties) -> None:
        """Take it from the machine that has it, and release it."""
        address = aws("ec2").describe_addresses(AllocationIds=[identifier])["Addresses"][0]
        if association := address.get("AssociationId"):
            aws("ec2").disassociate_address(AssociationId=association)
        aws("ec2").release_address(AllocationId=identifier)

    def _outputs(self, aws: Aws, address: Properties) -> Properties:
        identifier, public = address["AllocationId"], address["PublicIp"]
        return {
            "allocationId": identifier,
            "publicIp": public,
            "publicDns": f"ec2-{public.replace('.', '-')}.compute-1.amazonaws.com",
            "domain": address["Domain"],
            "arn": arn(aws, "elastic-ip", identifier),
        }


class NatGateway(ChangesByTags):
    """A private subnet's way out."""

    pulumi_type = "aws:ec2/natGateway:NatGateway"
    required = ("subnetId",)
    optional = ("allocationId",)
    replaces_on = {"subnetId": NAT_GATEWAY, "allocationId": NAT_GATEWAY}

    @override
    def create(self, aws: Aws, inputs: Properties) -> Created:
        gateway = aws("ec2").create_nat_gateway(
            SubnetId=inputs["subnetId"],
            TagSpecifications=tag_specification("natgateway", inputs["tagsAll"]),
            **present(AllocationId=inputs.get("allocationId")),
        )["NatGateway"]
        return Created(gateway["NatGatewayId"], self._outputs(gateway))

    @override
    def read(self, aws: Aws, identifier: str, state: Properties) -> Found | None:
        """The gateway, unless it is deleted: AWS shows a deleted one for an hour."""
        gateways = aws("ec2").describe_nat_gateways(NatGatewayIds=[identifier])["NatGateways"]
        if not gateways or gateways[0]["State"] in ("deleting", "deleted"):
            return None
        inputs = {
            "subnetId": gateways[0]["SubnetId"],
            "allocationId": gateways[0]["NatGatewayAddresses"][0].get("AllocationId"),
            "tags": tags.as_map(gateways[0].get("Tags", [])),
        }
        return Found(identifier, inputs, self._outputs(gateways[0]))

    @override
    def delete(self, aws: Aws, identifier: str, state: Properties) -> None:
        """The gateway's address stays allocated."""
        aws("ec2").delete_nat_gateway(NatGatewayId=identifier)

    def _outputs(self, gateway: Properties) -> Properties:
        address = gateway["NatGatewayAddresses"][0]
        return {"publicIp": address.get("PublicIp"), "privateIp": address.get("PrivateIp")}


class VpcEndpoint(Resource):
    """A private way to an AWS service."""

    pulumi_type = "aws:ec2/vpcEndpoint:VpcEndpoint"
    required = ("vpcId", "serviceName")
    optional = ("vpcEndpointType", "routeTableIds")
    tagged = True
    replaces_on = {"vpcId": ENDPOINT, "serviceName": ENDPOINT, "vpcEndpointType": ENDPOINT}
    computed = ("routeTableIds",)
    defaults = {"vpcEndpointType": "Gateway"}

    @override
    def create(self, aws: Aws, inputs: Properties) -> Created:
        endpoint = aws("ec2").create_vpc_endpoint(
            VpcId=inputs["vpcId"],
            ServiceName=inputs["serviceName"],
            VpcEndpointType=inputs.get("vpcEndpointType", "Gateway"),
            RouteTableIds=inputs.get("routeTableIds", []),
            TagSpecifications=tag_specification("vpc-endpoint", inputs["tagsAll"]),
        )["VpcEndpoint"]
        return Created(endpoint["VpcEndpointId"], self._outputs(aws, endpoint))

    @override
    def read(self, aws: Aws, identifier: str, state: Properties) -> Found | None:
        endpoint = self._find(aws, identifier)
        if endpoint is None:
            return None
        kind = endpoint["VpcEndpointType"]
        inputs = {
            "vpcId": endpoint["VpcId"],
            "serviceName": endpoint["ServiceName"],
            "vpcEndpointType": unless_default(kind, "Gateway", state.get("vpcEndpointType")),
            "routeTableIds": endpoint.get("RouteTableIds") or None,
            "tags": tags.as_map(endpoint.get("Tags", [])),
        }
        return Found(identifier, inputs, self._outputs(aws, endpoint))

    @override
    def update(self, aws: Aws, identifier: str, old: Properties, new: Properties) -> Properties:
        """The endpoint's tables: one that is in both sets keeps its route all the while."""
        before, after = set(old.get("routeTableIds", ())), set(new.get("routeTableIds", ()))
        if before != after:
            aws("ec2").modify_vpc_endpoint(
                VpcEndpointId=identifier,
                AddRouteTableIds=sorted(after - before),
                RemoveRouteTableIds=sorted(before - after),
            )
        tags.set_ec2(aws, identifier, old["tagsAll"], new["tagsAll"])
        return {}

    @override
    def delete(self, aws: Aws, identifier: str, state: Properties) -> None:
        if self._find(aws, identifier):
            aws("ec2").delete_vpc_endpoints(VpcEndpointIds=[identifier])

    def _find(self, aws: Aws, identifier: str) -> Properties | None:
        found = aws("ec2").describe_vpc_endpoints(VpcEndpointIds=[identifier])["VpcEndpoints"]
        there = [endpoint for endpoint in found if endpoint["State"].lower() not in ("deleting", "deleted")]
        return there[0] if there else None

    def _outputs(self, aws: Aws, endpoint: Properties) -> Properties:
        return {"arn": arn(aws, "vpc-endpoint", endpoint["VpcEndpointId"]), "state": endpoint["State"]}


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
