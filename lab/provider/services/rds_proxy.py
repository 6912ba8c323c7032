"""RDS Proxy: proxies, how many connections they may have, and the database that they lead to."""

from collections.abc import Mapping
from typing import Any, ClassVar

from typing_extensions import override

from lab.aws import Aws
from lab.provider import tags
from lab.provider.resource import Autoname, Created, Found, Properties, Resource
from lab.provider.values import Spec, aws_tags, translate, unless_default, untranslate

PROXY = "terraform-provider-aws internal/service/rds/proxy.go, ForceNew"
RENAMED = "ModifyDBProxy gives it another name, which is its id: the lab makes another proxy"
POOL = "terraform-provider-aws internal/service/rds/proxy_default_target_group.go, ForceNew"
TARGET = "terraform-provider-aws internal/service/rds/proxy_target.go, ForceNew"

AUTH: Spec = {
    "authScheme": "AuthScheme",
    "clientPasswordAuthType": "ClientPasswordAuthType",
    "description": "Description",
    "iamAuth": "IAMAuth",
    "secretArn": "SecretArn",
    "username": "UserName",
}
SPEC: Spec = {
    "auths": ("Auth", AUTH),
    "debugLogging": "DebugLogging",
    "engineFamily": "EngineFamily",
    "idleClientTimeout": "IdleClientTimeout",
    "name": "DBProxyName",
    "requireTls": "RequireTLS",
    "roleArn": "RoleArn",
    "vpcSecurityGroupIds": "VpcSecurityGroupIds",
    "vpcSubnetIds": "VpcSubnetIds",
}
CONFIGURATION: Spec = {
    "connectionBorrowTimeout": "ConnectionBorrowTimeout",
    "maxConnectionsPercent": "MaxConnectionsPercent",
    "maxIdleConnectionsPercent": "MaxIdleConnectionsPercent",
    "sessionPinningFilters": "SessionPinningFilters",
}


class Proxy(Resource):
    """A proxy. Its machine starts after the program has run, so creating it doesn't wait for `available`."""

    pulumi_type = "aws:rds/proxy:Proxy"
    required = ("auths", "engineFamily", "roleArn", "vpcSubnetIds")
    optional = ("debugLogging", "idleClientTimeout", "requireTls", "vpcSecurityGroupIds")
    autoname = Autoname(longest=63, lower=True)
    tagged = True
    computed = ("idleClientTimeout", "vpcSecurityGroupIds")
    defaults: ClassVar[Mapping[str, Any]] = {"debugLogging": False, "requireTls": False}
    replaces_on: ClassVar[Mapping[str, str]] = {"name": RENAMED, "engineFamily": PROXY, "vpcSubnetIds": PROXY}

    @override
    def create(self, aws: Aws, inputs: Properties) -> Created:
        given = {key: value for key, value in inputs.items() if key in SPEC}
        wanted, tagged = translate(given, SPEC, "inputs"), aws_tags(inputs["tagsAll"])
        made = aws("rds").create_db_proxy(Tags=tagged, **wanted)["DBProxy"]
        return Created(made["DBProxyName"], _outputs(made))

    @override
    def read(self, aws: Aws, identifier: str, state: Properties) -> Found | None:
        found = _find(aws, identifier)
        inputs = untranslate(found, SPEC) | {
            key: unless_default(found[str(SPEC[key])], False, state.get(key)) for key in self.defaults
        }
        inputs["tags"] = tags.of_arn(aws, "rds", found["DBProxyArn"])
        return Found(identifier, inputs, _outputs(found))

    @override
    def update(self, aws: Aws, identifier: str, old: Properties, new: Properties) -> Properties:
        tags.set_by_arn(aws, "rds", old["arn"], old["tagsAll"], new["tagsAll"])
        meant = self.meant(new, old)
        changed = {
            key: meant[key]
            for key in SPEC
            if key not in self.replaces_on and old.get(key) != meant.get(key) and meant.get(key) is not None
        }
        if changed:
            wanted = translate(changed, SPEC, "inputs")
            if "VpcSecurityGroupIds" in wanted:
                wanted["SecurityGroups"] = wanted.pop("VpcSecurityGroupIds")
            aws("rds").modify_db_proxy(DBProxyName=identifier, **wanted)
        return {}

    @override
    def delete(self, aws: Aws, identifier: str, state: Properties) -> None:
        aws("rds").delete_db_proxy(DBProxyName=identifier)


class ProxyDefaultTargetGroup(Resource):
    """How a proxy shares its database's connections. It is there with the proxy, and goes with it."""

    pulumi_type = "aws:rds/proxyDefaultTargetGroup:ProxyDefaultTargetGroup"
    required = ("dbProxyName",)
    optional = ("connectionPoolConfig",)
    computed = ("connectionPoolConfig",)
    replaces_on: ClassVar[Mapping[str, str]] = {"dbProxyName": POOL}

    @override
    def create(self, aws: Aws, inputs: Properties) -> Created:
        proxy = inputs["dbProxyName"]
        if inputs.get("connectionPoolConfig"):
            self._configure(aws, proxy, inputs)
        return Created(proxy, _group_outputs(_group(aws, proxy)))

    @override
    def read(self, aws: Aws, identifier: str, state: Properties) -> Found | None:
        found = _group(aws, identifier)
        configuration = untranslate(found["ConnectionPoolConfig"], CONFIGURATION)
        if not configuration.get("sessionPinningFilters"):
            configuration.pop("sessionPinningFilters", None)
        if known := state.get("connectionPoolConfig"):
            # What a program leaves out, AWS fills in.
            configuration = {key: value for key, value in configuration.items() if key in known}
        inputs = {"dbProxyName": identifier, "connectionPoolConfig": configuration}
        return Found(identifier, inputs, _group_outputs(found))

    @override
    def update(self, aws: Aws, identifier: str, old: Properties, new: Properties) -> Properties:
        if new.get("connectionPoolConfig"):
            self._configure(aws, identifier, new)
        return {}

    @override
    def delete(self, aws: Aws, identifier: str, state: Properties) -> None:
        """As with the AWS provider, nothing is done: only its proxy takes it away."""

    def _configure(self, aws: Aws, proxy: str, inputs: Properties) -> None:
        wanted = translate(inputs["connectionPoolConfig"], CONFIGURATION, "connectionPoolConfig")
        aws("rds").modify_db_proxy_target_group(
            DBProxyName=proxy, TargetGroupName="default", ConnectionPoolConfig=wanted
        )


class ProxyTarget(Resource):
    """The database that a proxy leads to."""

    pulumi_type = "aws:rds/proxyTarget:ProxyTarget"
    required = ("dbProxyName", "targetGroupName")
    optional = ("dbClusterIdentifier", "dbInstanceIdentifier")
    replaces_on: ClassVar[Mapping[str, str]] = dict.fromkeys((*required, *optional), TARGET)

    @override
    def create(self, aws: Aws, inputs: Properties) -> Created:
        cluster, instance = inputs.get("dbClusterIdentifier"), inputs.get("dbInstanceIdentifier")
        proxy, group = inputs["dbProxyName"], inputs["targetGroupName"]
        made = aws("rds").register_db_proxy_targets(
            DBProxyName=proxy,
            TargetGroupName=group,
            DBClusterIdentifiers=[cluster] if cluster else [],
            DBInstanceIdentifiers=[instance] if instance else [],
        )["DBProxyTargets"][0]
        return Created(f"{proxy}/{group}/{made['Type']}/{made['RdsResourceId']}", _target_outputs(made))

    @override
    def read(self, aws: Aws, identifier: str, state: Properties) -> Found | None:
        proxy, group, kind, instance = identifier.split("/")
        targets = aws("rds").describe_db_proxy_targets(DBProxyName=proxy, TargetGroupName=group)["Targets"]
        for each in targets:
            if (each["Type"], each["RdsResourceId"]) == (kind, instance):
                inputs = {"dbProxyName": proxy, "targetGroupName": group, "dbInstanceIdentifier": instance}
                return Found(identifier, inputs, _target_outputs(each))
        return None

    @override
    def delete(self, aws: Aws, identifier: str, state: Properties) -> None:
        proxy, group, _, instance = identifier.split("/")
        aws("rds").deregister_db_proxy_targets(
            DBProxyName=proxy, TargetGroupName=group, DBInstanceIdentifiers=[instance]
        )


def _find(aws: Aws, name: str) -> Properties:
    return aws("rds").describe_db_proxies(DBProxyName=name)["DBProxies"][0]


def _outputs(proxy: Properties) -> Properties:
    return {"arn": proxy["DBProxyArn"], "endpoint": proxy["Endpoint"]}


def _group(aws: Aws, proxy: str) -> Properties:
    return aws("rds").describe_db_proxy_target_groups(DBProxyName=proxy)["TargetGroups"][0]


def _group_outputs(group: Properties) -> Properties:
    return {"arn": group["TargetGroupArn"], "name": group["TargetGroupName"]}


def _target_outputs(target: Properties) -> Properties:
    return {
        "endpoint": target.get("Endpoint", ""),
        "port": target["Port"],
        "rdsResourceId": target["RdsResourceId"],
        "targetArn": target.get("TargetArn", ""),
        "trackedClusterId": target.get("TrackedClusterId", ""),
        "type": target["Type"],
    }


RESOURCES: tuple[type[Resource], ...] = (Proxy, ProxyDefaultTargetGroup, ProxyTarget)
