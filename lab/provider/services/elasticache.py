"""ElastiCache: replication groups, and the groups that they refer to."""

from lab.provider.aws import Aws
from lab.provider.resource import Autoname, Created, Properties, Resource
from lab.provider.values import Spec, aws_tags, present, translate

REPLICATION_GROUP: Spec = {
    "atRestEncryptionEnabled": "AtRestEncryptionEnabled",
    "authToken": "AuthToken",
    "autoMinorVersionUpgrade": "AutoMinorVersionUpgrade",
    "automaticFailoverEnabled": "AutomaticFailoverEnabled",
    "description": "ReplicationGroupDescription",
    "engine": "Engine",
    "engineVersion": "EngineVersion",
    "multiAzEnabled": "MultiAZEnabled",
    "nodeType": "CacheNodeType",
    "numCacheClusters": "NumCacheClusters",
    "parameterGroupName": "CacheParameterGroupName",
    "port": "Port",
    "replicationGroupId": "ReplicationGroupId",
    "securityGroupIds": "SecurityGroupIds",
    "snapshotRetentionLimit": "SnapshotRetentionLimit",
    "subnetGroupName": "CacheSubnetGroupName",
    "transitEncryptionEnabled": "TransitEncryptionEnabled",
}


class SubnetGroup(Resource):
    """Where cache nodes may be."""

    pulumi_type = "aws:elasticache/subnetGroup:SubnetGroup"
    required = ("subnetIds",)
    optional = ("description",)
    autoname = Autoname(lower=True)
    tagged = True

    def create(self, aws: Aws, inputs: Properties) -> Created:
        """Create it."""
        group = aws("elasticache").create_cache_subnet_group(
            CacheSubnetGroupName=inputs["name"],
            CacheSubnetGroupDescription=inputs.get("description", "Managed by Pulumi"),
            SubnetIds=inputs["subnetIds"],
            Tags=aws_tags(inputs["tagsAll"]),
        )["CacheSubnetGroup"]
        return Created(inputs["name"], {"arn": group["ARN"], "vpcId": group["VpcId"]})


class ParameterGroup(Resource):
    """How a cache is configured."""

    pulumi_type = "aws:elasticache/parameterGroup:ParameterGroup"
    required = ("family",)
    optional = ("description", "parameters")
    autoname = Autoname(lower=True)
    tagged = True

    def create(self, aws: Aws, inputs: Properties) -> Created:
        """Create it, and set its parameters."""
        name = inputs["name"]
        group = aws("elasticache").create_cache_parameter_group(
            CacheParameterGroupName=name,
            CacheParameterGroupFamily=inputs["family"],
            Description=inputs.get("description", "Managed by Pulumi"),
            Tags=aws_tags(inputs["tagsAll"]),
        )["CacheParameterGroup"]
        spec: Spec = {"name": "ParameterName", "value": ("ParameterValue", str)}
        if parameters := translate(inputs.get("parameters", []), spec, "parameters"):
            aws("elasticache").modify_cache_parameter_group(
                CacheParameterGroupName=name, ParameterNameValues=parameters
            )
        return Created(name, {"arn": group["ARN"]})


class ReplicationGroup(Resource):
    """A cache. Its machine starts after the program has run, so creating it doesn't wait for `available`."""

    pulumi_type = "aws:elasticache/replicationGroup:ReplicationGroup"
    required = ("description",)
    optional = (
        *(key for key in REPLICATION_GROUP if key not in ("description", "replicationGroupId")),
        "applyImmediately",
    )
    autoname = Autoname("replicationGroupId", longest=40, lower=True)
    tagged = True
    secret_outputs = ("authToken",)

    def create(self, aws: Aws, inputs: Properties) -> Created:
        """Create it."""
        given = {key: value for key, value in inputs.items() if key in REPLICATION_GROUP}
        group = aws("elasticache").create_replication_group(
            Tags=aws_tags(inputs["tagsAll"]), **translate(given, REPLICATION_GROUP, "inputs")
        )["ReplicationGroup"]
        shard = group["NodeGroups"][0]
        outputs = {
            "arn": group["ARN"],
            "primaryEndpointAddress": shard["PrimaryEndpoint"]["Address"],
            "memberClusters": group["MemberClusters"],
            "port": shard["PrimaryEndpoint"]["Port"],
            **present(readerEndpointAddress=shard.get("ReaderEndpoint", {}).get("Address")),
        }
        return Created(inputs["replicationGroupId"], outputs)


RESOURCES: tuple[type[Resource], ...] = (SubnetGroup, ParameterGroup, ReplicationGroup)
