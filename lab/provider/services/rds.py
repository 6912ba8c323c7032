"""RDS: database instances and their groups."""

from lab.provider.aws import Aws
from lab.provider.resource import Autoname, Created, Properties, Resource
from lab.provider.values import Spec, aws_tags, present, translate

INSTANCE: Spec = {
    "allocatedStorage": "AllocatedStorage",
    "autoMinorVersionUpgrade": "AutoMinorVersionUpgrade",
    "backupRetentionPeriod": "BackupRetentionPeriod",
    "copyTagsToSnapshot": "CopyTagsToSnapshot",
    "dbName": "DBName",
    "dbSubnetGroupName": "DBSubnetGroupName",
    "deletionProtection": "DeletionProtection",
    "engine": "Engine",
    "engineVersion": "EngineVersion",
    "identifier": "DBInstanceIdentifier",
    "instanceClass": "DBInstanceClass",
    "manageMasterUserPassword": "ManageMasterUserPassword",
    "multiAz": "MultiAZ",
    "parameterGroupName": "DBParameterGroupName",
    "port": "Port",
    "publiclyAccessible": "PubliclyAccessible",
    "storageEncrypted": "StorageEncrypted",
    "storageType": "StorageType",
    "username": "MasterUsername",
    "vpcSecurityGroupIds": "VpcSecurityGroupIds",
}
LOCAL = ("applyImmediately", "finalSnapshotIdentifier", "skipFinalSnapshot")
"""What matters at an update or a deletion only."""


class SubnetGroup(Resource):
    """Where databases may be."""

    pulumi_type = "aws:rds/subnetGroup:SubnetGroup"
    required = ("subnetIds",)
    optional = ("description",)
    autoname = Autoname(lower=True)
    tagged = True

    def create(self, aws: Aws, inputs: Properties) -> Created:
        """Create it."""
        group = aws("rds").create_db_subnet_group(
            DBSubnetGroupName=inputs["name"],
            DBSubnetGroupDescription=inputs.get("description", "Managed by Pulumi"),
            SubnetIds=inputs["subnetIds"],
            Tags=aws_tags(inputs["tagsAll"]),
        )["DBSubnetGroup"]
        return Created(inputs["name"], {"arn": group["DBSubnetGroupArn"], "vpcId": group["VpcId"]})


class ParameterGroup(Resource):
    """How a database is configured."""

    pulumi_type = "aws:rds/parameterGroup:ParameterGroup"
    required = ("family",)
    optional = ("description", "parameters")
    autoname = Autoname(lower=True)
    tagged = True

    def create(self, aws: Aws, inputs: Properties) -> Created:
        """Create it, and set its parameters."""
        group = aws("rds").create_db_parameter_group(
            DBParameterGroupName=inputs["name"],
            DBParameterGroupFamily=inputs["family"],
            Description=inputs.get("description", "Managed by Pulumi"),
            Tags=aws_tags(inputs["tagsAll"]),
        )["DBParameterGroup"]
        spec: Spec = {"name": "ParameterName", "value": ("ParameterValue", str), "applyMethod": "ApplyMethod"}
        parameters = translate(inputs.get("parameters", []), spec, "parameters")
        if parameters:
            aws("rds").modify_db_parameter_group(
                DBParameterGroupName=inputs["name"],
                Parameters=[{"ApplyMethod": "immediate"} | parameter for parameter in parameters],
            )
        return Created(inputs["name"], {"arn": group["DBParameterGroupArn"]})


class Instance(Resource):
    """A database. Its machine starts after the program has run, so creating it doesn't wait for `available`."""

    pulumi_type = "aws:rds/instance:Instance"
    required = ("engine", "instanceClass")
    optional = (*(key for key in INSTANCE if key not in ("engine", "identifier", "instanceClass")), *LOCAL)
    autoname = Autoname("identifier", longest=63, lower=True)
    tagged = True

    def create(self, aws: Aws, inputs: Properties) -> Created:
        """Create it."""
        given = {key: value for key, value in inputs.items() if key in INSTANCE}
        instance = aws("rds").create_db_instance(
            Tags=aws_tags(inputs["tagsAll"]), **translate(given, INSTANCE, "inputs")
        )["DBInstance"]
        address, port = instance["Endpoint"]["Address"], instance["Endpoint"]["Port"]
        secret = instance.get("MasterUserSecret")
        outputs = {
            "address": address,
            "port": port,
            "endpoint": f"{address}:{port}",
            "arn": instance["DBInstanceArn"],
            "resourceId": instance["DbiResourceId"],
            "engineVersionActual": instance["EngineVersion"],
            "availabilityZone": instance["AvailabilityZone"],
            "status": instance["DBInstanceStatus"],
            "masterUserSecrets": [_secret(secret)] if secret else [],
            **present(masterUserSecretKmsKeyId=secret.get("KmsKeyId") if secret else None),
        }
        return Created(instance["DbiResourceId"], outputs)


def _secret(secret: Properties) -> Properties:
    return {
        "secretArn": secret["SecretArn"],
        "secretStatus": secret["SecretStatus"],
        "kmsKeyId": secret.get("KmsKeyId", ""),
    }


RESOURCES: tuple[type[Resource], ...] = (SubnetGroup, ParameterGroup, Instance)
