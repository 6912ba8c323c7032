"""VPC as AWS has it, where moto differs: what goes with a NAT gateway, an endpoint's routes, a subnet's only table.

Sources: https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_DeleteNatGateway.html, API_ModifyVpcEndpoint.html,
API_DeleteVpcEndpoints.html, API_AssociateRouteTable.html
"""

from typing import Any

from moto.ec2.exceptions import EC2ClientError
from moto.ec2.models.nat_gateways import NatGatewayBackend
from moto.ec2.models.route_tables import RouteBackend
from moto.ec2.models.vpcs import VPCBackend
from moto.ec2.utils import generate_route_id

from lab.api.patching import around


def install() -> None:
    """Change moto's VPC. Once a process, before the first request."""
    around(NatGatewayBackend, "delete_nat_gateway", _delete_nat_gateway)
    around(VPCBackend, "modify_vpc_endpoint", _modify_endpoint)
    around(VPCBackend, "delete_vpc_endpoints", _delete_endpoints)
    around(RouteBackend, "associate_route_table", _associate)


def _delete_nat_gateway(original: Any, backend: Any, nat_gateway_id: str) -> Any:
    """moto keeps the gateway's interface, and with it the address."""
    gateway = backend.nat_gateways.get(nat_gateway_id)
    if gateway is None or gateway.state == "deleted":
        raise EC2ClientError("NatGatewayNotFound", f"The Nat Gateway {nat_gateway_id} was not found")
    for address in backend.addresses:
        if address.eni is gateway._eni:
            backend.disassociate_address(address=address.public_ip)
    gateway._eni.delete()
    return original(backend, nat_gateway_id)


def _modify_endpoint(original: Any, backend: Any, **changes: Any) -> None:
    """moto changes the endpoint's list of tables, and no table."""
    endpoint = backend.get_vpc_end_point(changes["vpc_id"])
    for table in changes.get("add_route_tables") or []:
        backend.get_route_table(table)
    before = list(endpoint.route_table_ids)
    original(backend, **changes)
    services = endpoint.destination_prefix_list_id
    for table in endpoint.route_table_ids:
        if services and table not in before:
            backend.create_route(table, None, gateway_id=endpoint.id, destination_prefix_list_id=services)
    for table in before:
        if table not in endpoint.route_table_ids and _routed(backend, endpoint, table):
            backend.delete_route(table, services)


def _delete_endpoints(original: Any, backend: Any, vpce_ids: list[str] | None = None) -> None:
    """moto fails when a route or its table is gone already."""
    left = [endpoint for key in vpce_ids or [] if (endpoint := backend.vpc_end_points.get(key))]
    left = [endpoint for endpoint in left if endpoint.state != "deleted"]
    for endpoint in left:
        endpoint.route_table_ids = [table for table in endpoint.route_table_ids if _routed(backend, endpoint, table)]
    original(backend, [endpoint.id for endpoint in left])


def _routed(backend: Any, endpoint: Any, table: str) -> bool:
    known = backend.route_tables.get(table)
    return known is not None and generate_route_id(table, endpoint.destination_prefix_list_id) in known._routes


def _associate(
    original: Any, backend: Any, route_table_id: str, gateway_id: str | None = None, subnet_id: str | None = None
) -> Any:
    """moto answers with a subnet's association with another table, as if that were what was asked for."""
    for table in backend.route_tables.values():
        if subnet_id and table.id != route_table_id and subnet_id in table._associations.values():
            raise EC2ClientError(
                "Resource.AlreadyAssociated",
                f"the specified association for route table {route_table_id} conflicts with an existing association",
            )
    return original(backend, route_table_id=route_table_id, gateway_id=gateway_id, subnet_id=subnet_id)
