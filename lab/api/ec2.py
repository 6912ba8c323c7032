"""EC2 as AWS has it, where moto differs and the stack would notice."""

from typing import Any

from moto.core.exceptions import ServiceException
from moto.ec2.models import ec2_backends, elastic_ip_addresses, elastic_network_interfaces
from moto.ec2.models.instances import Instance

from lab.api.patching import around, instead
from lab.network.addresses import HOST, PUBLIC

_ADDRESSES = [str(address) for address in PUBLIC.hosts() if address != HOST]
_last = -1


class NoPublicAddressError(ServiceException):
    """All public addresses are taken."""

    code = "InsufficientAddressCapacity"
    message = f"All public addresses of {PUBLIC} are in use"


def install() -> None:
    """Change moto's EC2. Once a process, before the first request."""
    instead(elastic_ip_addresses, "random_ip", public_address)
    instead(elastic_network_interfaces, "random_public_ip", public_address)
    around(Instance, "terminate", _terminate)


def public_address() -> str:
    """A free public address. In turn, so that one just released isn't handed out at once."""
    global _last
    taken = _public_addresses_in_use()
    for step in range(1, len(_ADDRESSES) + 1):
        place = (_last + step) % len(_ADDRESSES)
        if _ADDRESSES[place] not in taken:
            _last = place
            return _ADDRESSES[place]
    raise NoPublicAddressError()


def private_interface(backend: Any, subnet_id: str, groups: list[str], description: str) -> Any:
    """A network interface with the subnet's next free address; moto would draw one by chance, even one in use."""
    subnet = backend.get_subnet(subnet_id)
    address = subnet.get_available_subnet_ip(instance=description)
    return backend.create_network_interface(subnet, address, group_ids=groups, description=description)


def _public_addresses_in_use() -> set[str]:
    taken: set[str] = set()
    for account in ec2_backends.values():
        for backend in account.values():
            taken.update(address.public_ip for address in backend.addresses)
            taken.update(interface.public_ip for interface in backend.enis.values() if interface.public_ip)
    return taken


def _terminate(original: Any, instance: Any) -> Any:
    """An Elastic IP is free again when its instance is gone."""
    for address in instance.ec2_backend.addresses:
        if address.instance is instance:
            instance.ec2_backend.disassociate_address(address=address.public_ip)
    return original(instance)
