"""RDS: database instances and their groups."""

from collections.abc import Mapping
from typing import Any, ClassVar

from typing_extensions import override

from lab.aws import Aws
from lab.provider import tags
from lab.provider.errors import InputError
from lab.provider.resource import Autoname, Created, Found, Properties, Resource
from lab.provider.services import data_groups
from lab.provider.values import UNKNOWN, Spec, aws_tags, present, translate, unless_default, untranslate

SUBNET_GROUP = "terraform-provider-aws internal/service/rds/subnet_group.go, ForceNew"
PARAMETER_GROUP = "terraform-provider-aws internal/service/rds/parameter_group.go, ForceNew"
INSTANCE_SOURCE = "terraform-provider-aws internal/service/rds/instance.go, ForceNew"

PARAMETER: Spec = {"name": "ParameterName", "value": ("ParameterValue", str), "applyMethod": "ApplyMethod"}

EXPORTS = "EnableCloudwatchLogsExports"
"""What a creation calls the logs that go to CloudWatch; a modification says which more and which less."""

MOST_STORAGE = "MaxAllocatedStorage"

INSTANCE: Spec = {
    "allocatedStorage": "AllocatedStorage",
    "autoMinorVersionUpgrade": "AutoMinorVersionUpgrade",
    "backupRetentionPeriod": "BackupRetentionPeriod",
    "backupWindow": "PreferredBackupWindow",
    "copyTagsToSnapshot": "CopyTagsToSnapshot",
    "databaseInsightsMode": "DatabaseInsightsMode",
    "dbName": "DBName",
    "dbSubnetGroupName": "DBSubnetGroupName",
    "deletionProtection": "DeletionProtection",
    "enabledCloudwatchLogsExports": EXPORTS,
    "engine": "Engine",
    "engineVersion": "EngineVersion",
    "identifier": "DBInstanceIdentifier",
    "instanceClass": "DBInstanceClass",
    "maintenanceWindow": "PreferredMaintenanceWindow",
    "manageMasterUserPassword": "ManageMasterUserPassword",
    "maxAllocatedStorage": MOST_STORAGE,
    "multiAz": "MultiAZ",
    "parameterGroupName": "DBParameterGroupName",
    "password": "MasterUserPassword",
    "performanceInsightsEnabled": "EnablePerformanceInsights",
    "performanceInsightsRetentionPeriod": "PerformanceInsightsRetentionPeriod",
    "port": "Port",
    "publiclyAccessible": "PubliclyAccessible",
    "storageEncrypted": "StorageEncrypted",
    "storageType": "StorageType",
    "username": "MasterUsername",
    "vpcSecurityGroupIds": "VpcSecurityGroupIds",
}
SOURCE = "replicateSourceDb"
REPLICA = (
    "allocatedStorage",
    "autoMinorVersionUpgrade",
    "copyTagsToSnapshot",
    "databaseInsightsMode",
    "dbSubnetGroupName",
    "deletionProtection",
    "enabledCloudwatchLogsExports",
    "identifier",
    "instanceClass",
    "multiAz",
    "parameterGroupName",
    "performanceInsightsEnabled",
    "performanceInsightsRetentionPeriod",
    "port",
    "publiclyAccessible",
    "storageType",
    "vpcSecurityGroupIds",
)
"""Inputs that a replica is made with; others the AWS provider changes when it is there, or they are its source's."""
LATER = ("backupRetentionPeriod", "backupWindow", "maintenanceWindow", "maxAllocatedStorage")
"""Those others."""

LOCAL = ("allowMajorVersionUpgrade", "applyImmediately", "finalSnapshotIdentifier", "skipFinalSnapshot")
"""What matters at an update or a deletion only."""

POINT: Spec = {
    "sourceDbInstanceIdentifier": "SourceDBInstanceIdentifier",
    "restoreTime": "RestoreTime",
    "useLatestRestorableTime": "UseLatestRestorableTime",
}
STARTS = ("snapshotIdentifier", "restoreToPointInTime")
"""What an instance starts from, which nothing in AWS tells afterwards."""

REPLACES = ("dbName", "engine", "storageEncrypted", "username", *STARTS)
RENAMED = {"identifier": "NewDBInstanceIdentifier", "port": "DBPortNumber"}
"""Inputs that a modification calls otherwise than a creation."""
FALLBACKS = {
    "autoMinorVersionUpgrade": True,
    "copyTagsToSnapshot": False,
    "deletionProtection": False,
    "enabledCloudwatchLogsExports": [],
    "manageMasterUserPassword": False,
    "performanceInsightsEnabled": False,
    "publiclyAccessible": False,
}
"""What an input goes back to when it is taken away; any other then stays what it is, as with the AWS provider."""


class SubnetGroup(data_groups.SubnetGroup):
    """Where databases may be."""

    pulumi_type = "aws:rds/subnetGroup:SubnetGroup"
    service, prefix, arn = "rds", "DB", "DBSubnetGroupArn"
    replaces_on: ClassVar[Mapping[str, str]] = {"name": SUBNET_GROUP}


class ParameterGroup(data_groups.ParameterGroup):
    """How a database is configured."""

    pulumi_type = "aws:rds/parameterGroup:ParameterGroup"
    service, prefix, arn = "rds", "DB", "DBParameterGroupArn"
    parameter = PARAMETER
    parameters = "Parameters"
    parameter_defaults = {"applyMethod": "immediate"}
    replaces_on: ClassVar[Mapping[str, str]] = dict.fromkeys(("description", "family", "name"), PARAMETER_GROUP)


class Instance(Resource):
    """A database. Its machine starts after the program has run, so creating it doesn't wait for `available`."""

    pulumi_type = "aws:rds/instance:Instance"
    required = ("instanceClass",)
    optional = (*(key for key in INSTANCE if key not in ("identifier", "instanceClass")), SOURCE, *STARTS, *LOCAL)
    autoname = Autoname("identifier", longest=63, lower=True)
    tagged = True
    replaces_on: ClassVar[Mapping[str, str]] = dict.fromkeys(REPLACES, INSTANCE_SOURCE)
    volatile = {
        "address": ("identifier",),
        "arn": ("identifier",),
        "endpoint": ("identifier", "port"),
        "engineVersionActual": ("engineVersion",),
        "masterUserSecrets": ("manageMasterUserPassword",),
        "status": (),
    }
    secret_outputs = ("password",)
    computed = (
        "allocatedStorage",
        "backupRetentionPeriod",
        "backupWindow",
        "databaseInsightsMode",
        "dbName",
        "dbSubnetGroupName",
        "engine",
        "engineVersion",
        "maintenanceWindow",
        "multiAz",
        "parameterGroupName",
        "performanceInsightsRetentionPeriod",
        "port",
        "snapshotIdentifier",
        "storageType",
        "username",
        "vpcSecurityGroupIds",
    )
    defaults = {**FALLBACKS, "skipFinalSnapshot": False}

    @override
    def create(self, aws: Aws, inputs: Properties) -> Created:
        if inputs.get(SOURCE):
            return self._replicate(aws, inputs)
        given = {key: value for key, value in inputs.items() if key in INSTANCE}
        wanted, tagged = translate(given, INSTANCE, "inputs"), aws_tags(inputs["tagsAll"])
        if any(inputs.get(each) for each in STARTS):
            instance = _restore(aws, inputs, wanted, tagged)
        else:
            instance = aws("rds").create_db_instance(Tags=tagged, **wanted)["DBInstance"]
        # Asked for anew, as it is after its creation: the secret in the answer above is still being made.
        made = _find(aws, instance["DbiResourceId"]) or instance
        return Created(instance["DbiResourceId"], _instance_outputs(made))

    def _replicate(self, aws: Aws, inputs: Properties) -> Created:
        """A read replica of another instance, by its name or its ARN."""
        given = {key: value for key, value in inputs.items() if key in REPLICA}
        made = aws("rds").create_db_instance_read_replica(
            SourceDBInstanceIdentifier=inputs[SOURCE],
            Tags=aws_tags(inputs["tagsAll"]),
            **translate(given, INSTANCE, "inputs"),
        )["DBInstance"]
        later = {str(INSTANCE[key]): inputs[key] for key in LATER if inputs.get(key) is not None}
        if later:
            named = inputs["identifier"]
            aws("rds").modify_db_instance(DBInstanceIdentifier=named, ApplyImmediately=True, **later)
        return Created(made["DbiResourceId"], _instance_outputs(_find(aws, made["DbiResourceId"]) or made))

    @override
    def refusal(self, old: Properties, new: Properties) -> InputError | None:
        """A replica's source can't be another: terraform-provider-aws internal/service/rds/instance.go, update."""
        if new.get(SOURCE) in (None, UNKNOWN, old.get(SOURCE)):
            return None
        return InputError("cannot elect new source database for replication", SOURCE)

    @override
    def read(self, aws: Aws, identifier: str, state: Properties) -> Found | None:
        """The instance; an import names it by its identifier, which can change, and its id can't."""
        instance = _find(aws, identifier)
        if instance is None:
            return None
        endpoint = instance["Endpoint"]
        inputs = untranslate(instance, INSTANCE) | {
            "enabledCloudwatchLogsExports": instance.get("EnabledCloudwatchLogsExports") or None,
            "dbSubnetGroupName": instance.get("DBSubnetGroup", {}).get("DBSubnetGroupName"),
            "engineVersion": _version(_coming_version(instance), state.get("engineVersion")),
            "manageMasterUserPassword": unless_default(
                "MasterUserSecret" in instance, False, state.get("manageMasterUserPassword")
            ),
            "parameterGroupName": instance["DBParameterGroups"][0]["DBParameterGroupName"],
            "performanceInsightsEnabled": instance.get("PerformanceInsightsEnabled", False),
            "port": endpoint["Port"],
            SOURCE: _source(instance, state),
            "vpcSecurityGroupIds": [group["VpcSecurityGroupId"] for group in instance["VpcSecurityGroups"]],
            "tags": tags.of_arn(aws, "rds", instance["DBInstanceArn"]),
        }
        return Found(instance["DbiResourceId"], inputs, _instance_outputs(instance))

    @override
    def update(self, aws: Aws, identifier: str, old: Properties, new: Properties) -> Properties:
        """In one call, by its old name."""
        # The tags first: a new name is a new ARN.
        tags.set_by_arn(aws, "rds", old["arn"], old["tagsAll"], new["tagsAll"])
        changed = {
            RENAMED.get(key, str(name)): value
            for key, name in INSTANCE.items()
            if key not in REPLACES
            and old.get(key) != new.get(key)
            and (value := new.get(key, FALLBACKS.get(key))) is not None
        }
        if old.get(SOURCE) and not new.get(SOURCE):
            promoted = present(BackupRetentionPeriod=changed.pop("BackupRetentionPeriod", None))
            aws("rds").promote_read_replica(DBInstanceIdentifier=old["identifier"], **promoted)
        if EXPORTS in changed:
            changed["CloudwatchLogsExportConfiguration"] = _exports(old, changed.pop(EXPORTS))
        if old.get("maxAllocatedStorage") and not new.get("maxAllocatedStorage"):
            # How RDS is told that it need not grow.
            changed[MOST_STORAGE] = new.get("allocatedStorage", old["allocatedStorage"])
        if not changed:
            return {}
        instance = aws("rds").modify_db_instance(
            DBInstanceIdentifier=old["identifier"],
            AllowMajorVersionUpgrade=new.get("allowMajorVersionUpgrade", False),
            ApplyImmediately=new.get("applyImmediately", False),
            **changed,
        )["DBInstance"]
        return _instance_outputs(instance)

    @override
    def delete(self, aws: Aws, identifier: str, state: Properties) -> None:
        """The instance and its backups go. RDS refuses while it is protected, or has no name for the last snapshot."""
        skip = state.get("skipFinalSnapshot", False)
        aws("rds").delete_db_instance(
            DBInstanceIdentifier=state["identifier"],
            DeleteAutomatedBackups=True,
            SkipFinalSnapshot=skip,
            **present(FinalDBSnapshotIdentifier=None if skip else state.get("finalSnapshotIdentifier")),
        )


def _find(aws: Aws, identifier: str) -> Properties | None:
    for kind in ("dbi-resource-id", "db-instance-id"):
        found = aws("rds").describe_db_instances(Filters=[{"Name": kind, "Values": [identifier]}])["DBInstances"]
        if found:
            return found[0]
    return None


def _source(instance: Properties, state: Properties) -> str | None:
    """As the program names it: by name or by ARN."""
    name, given = instance.get("ReadReplicaSourceDBInstanceIdentifier"), state.get(SOURCE)
    return given if name and given and given.rpartition(":")[2] == name else name


def _restore(aws: Aws, inputs: Properties, wanted: Properties, tagged: list[Any]) -> Properties:
    """Started from a copy, and then made what the copy was not, as the AWS provider does it."""
    rds = aws("rds")
    start: Properties = {"DBSnapshotIdentifier": inputs.get("snapshotIdentifier")}
    operation, restore = "RestoreDBInstanceFromDBSnapshot", rds.restore_db_instance_from_db_snapshot
    if point := inputs.get("restoreToPointInTime"):
        operation, restore = "RestoreDBInstanceToPointInTime", rds.restore_db_instance_to_point_in_time
        start = translate(point, POINT, "restoreToPointInTime")
        start["TargetDBInstanceIdentifier"] = wanted["DBInstanceIdentifier"]
    takes = rds.meta.service_model.operation_model(operation).input_shape.members
    restore(
        **start, Tags=tagged, **{name: value for name, value in wanted.items() if name in takes and name != "DBName"}
    )
    changes = {
        RENAMED.get(key, str(name)): wanted[str(name)]
        for key, name in INSTANCE.items()
        if str(name) in wanted and key not in REPLACES and str(name) not in (*takes, "DBInstanceIdentifier")
    }
    return rds.modify_db_instance(
        DBInstanceIdentifier=wanted["DBInstanceIdentifier"],
        AllowMajorVersionUpgrade=inputs.get("allowMajorVersionUpgrade", False),
        ApplyImmediately=True,
        **changes,
    )["DBInstance"]


def _exports(old: Properties, wanted: list[str]) -> Properties:
    before = old.get("enabledCloudwatchLogsExports") or []
    return {
        "EnableLogTypes": [each for each in wanted if each not in before],
        "DisableLogTypes": [each for each in before if each not in wanted],
    }


def _coming_version(instance: Properties) -> str:
    """The version that waits for its window counts as the present one, as with the AWS provider; nothing else does."""
    return instance.get("PendingModifiedValues", {}).get("EngineVersion") or instance["EngineVersion"]


def _version(actual: str, given: str | None) -> str:
    """A program may give a major version only, of which RDS runs what it likes."""
    return given if given and f"{actual}.".startswith(f"{given}.") else actual


def _instance_outputs(instance: Properties) -> Properties:
    address, port = instance["Endpoint"]["Address"], instance["Endpoint"]["Port"]
    secret = instance.get("MasterUserSecret")
    return {
        "address": address,
        "port": port,
        "endpoint": f"{address}:{port}",
        "arn": instance["DBInstanceArn"],
        "resourceId": instance["DbiResourceId"],
        "engineVersionActual": instance["EngineVersion"],
        "availabilityZone": instance["AvailabilityZone"],
        "status": instance["DBInstanceStatus"],
        "masterUserSecrets": [_secret(secret)] if secret else [],
    }


def _secret(secret: Properties) -> Properties:
    return {
        "secretArn": secret["SecretArn"],
        "secretStatus": secret["SecretStatus"],
        "kmsKeyId": secret.get("KmsKeyId", ""),
    }


RESOURCES: tuple[type[Resource], ...] = (SubnetGroup, ParameterGroup, Instance)
