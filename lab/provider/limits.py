"""What AWS and its provider refuse in an input before they do anything, by resource type and property. Pure.

A path names what is inside a list by `[]`. Not every limit of AWS is here, but those of the inputs that a stack sets
and that are easily got wrong. What depends on other resources is for the lab's API to refuse, as on AWS.
"""

from collections.abc import Mapping

from lab.provider.rules import Between, Json, Length, Matches, Model, Network, OneOf, Rule

_API = "https://docs.aws.amazon.com/{}"
AUTOSCALING_HOOK = _API.format("autoscaling/ec2/APIReference/API_LifecycleHookSpecification.html")
AUTOSCALING_GROUP = _API.format("autoscaling/ec2/APIReference/API_CreateAutoScalingGroup.html")
AUTOSCALING_MAINTENANCE = _API.format("autoscaling/ec2/APIReference/API_InstanceMaintenancePolicy.html")
AUTOSCALING_POLICY = _API.format("autoscaling/ec2/APIReference/API_PutScalingPolicy.html")
ALARM = _API.format("AmazonCloudWatch/latest/APIReference/API_PutMetricAlarm.html")
ALARM_STATISTIC = "terraform-provider-aws internal/service/cloudwatch/metric_alarm.go, validMetricAlarmStatistic"
CACHE = _API.format("AmazonElastiCache/latest/APIReference/API_CreateReplicationGroup.html")
CACHE_SUBNETS = _API.format("AmazonElastiCache/latest/APIReference/API_CreateCacheSubnetGroup.html")
CACHE_PARAMETERS = _API.format("AmazonElastiCache/latest/APIReference/API_CreateCacheParameterGroup.html")
CACHE_ENGINE = "terraform-provider-aws internal/service/elasticache/engine_version.go"
DASHBOARD = _API.format("AmazonCloudWatch/latest/APIReference/CloudWatch-Dashboard-Body-Structure.html")
DATABASE = _API.format("AmazonRDS/latest/APIReference/API_CreateDBInstance.html")
DATABASE_GROUPS = _API.format("AmazonRDS/latest/APIReference/API_CreateDBParameterGroup.html")
DATABASE_PROXY = _API.format("AmazonRDS/latest/APIReference/API_CreateDBProxy.html")
DATABASE_PROXY_POOL = _API.format("AmazonRDS/latest/APIReference/API_ConnectionPoolConfiguration.html")
DATABASE_STORAGE = _API.format("AmazonRDS/latest/UserGuide/CHAP_Storage.html")
METADATA = _API.format("AWSEC2/latest/APIReference/API_LaunchTemplateInstanceMetadataOptionsRequest.html")
EBS = _API.format("AWSEC2/latest/APIReference/API_LaunchTemplateEbsBlockDeviceRequest.html")
TEMPLATE = "terraform-provider-aws internal/service/ec2/ec2_launch_template.go"
VPC = _API.format("AWSEC2/latest/APIReference/API_CreateVpc.html")
SUBNET = _API.format("AWSEC2/latest/APIReference/API_CreateSubnet.html")
ROUTE = _API.format("AWSEC2/latest/APIReference/API_CreateRoute.html")
SECURITY_GROUP = _API.format("AWSEC2/latest/APIReference/API_CreateSecurityGroup.html")
SECURITY_GROUP_RULE = _API.format("AWSEC2/latest/APIReference/API_IpPermission.html")
POLICY = _API.format("IAM/latest/UserGuide/reference_policies_grammar.html")
BUCKET = _API.format("AmazonS3/latest/userguide/bucketnamingrules.html")
LIFECYCLE = _API.format("AmazonS3/latest/API/API_LifecycleRule.html")
SECRET = _API.format("secretsmanager/latest/apireference/API_CreateSecret.html")
SECRET_DELETION = _API.format("secretsmanager/latest/apireference/API_DeleteSecret.html")
PARAMETER = _API.format("systems-manager/latest/userguide/sysman-paramstore-su-create.html")

CACHE_NAME = Matches(
    r"[A-Za-z](-?[A-Za-z0-9])*",
    "be letters, digits and single hyphens, begin with a letter and not end with a hyphen",
    source=CACHE,
)
DATABASE_NAME = Matches(
    r"[a-z](-?[a-z0-9])*",
    "be lower-case letters, digits and single hyphens, begin with a letter and not end with a hyphen",
    source=DATABASE,
)
GROUP_NAME = Matches(r"[a-z0-9._ -]+", "be lower-case letters, digits, . _ - and spaces", source=DATABASE_GROUPS)
SNAPSHOT_NAME = Matches(
    r"[A-Za-z](-?[A-Za-z0-9])*",
    "be letters, digits and single hyphens, begin with a letter and not end with a hyphen",
    source=DATABASE,
)
DESCRIPTION = (
    Length(0, 255, source=SECURITY_GROUP),
    Matches(
        r"[A-Za-z0-9 ._\-:/()#,@\[\]+=&;{}!$*]*",
        "be letters, digits, spaces and ._-:/()#,@[]+=&;{}!$*",
        source=SECURITY_GROUP,
    ),
)
HOOK: Mapping[str, tuple[Rule, ...]] = {
    "name": (Model("autoscaling", "AsciiStringMaxLen255"),),
    "lifecycleTransition": (
        OneOf("autoscaling:EC2_INSTANCE_LAUNCHING", "autoscaling:EC2_INSTANCE_TERMINATING", source=AUTOSCALING_HOOK),
    ),
    "defaultResult": (OneOf("CONTINUE", "ABANDON", source=AUTOSCALING_HOOK),),
    "heartbeatTimeout": (Between(30, 7200, source=AUTOSCALING_HOOK),),
}
RULE: Mapping[str, tuple[Rule, ...]] = {
    "fromPort": (Between(-1, 65535, source=SECURITY_GROUP_RULE),),
    "toPort": (Between(-1, 65535, source=SECURITY_GROUP_RULE),),
    "cidrIpv4": (Network(0, 32, source=SECURITY_GROUP_RULE),),
    "description": DESCRIPTION,
}

LIMITS: Mapping[str, Mapping[str, tuple[Rule, ...]]] = {
    "aws:autoscaling/group:Group": {
        "name": (Length(1, 255, source=AUTOSCALING_GROUP),),
        "healthCheckType": (
            Matches(r"((EC2|ELB|EBS|VPC_LATTICE),?)+", "be EC2, ELB, EBS or VPC_LATTICE", source=AUTOSCALING_GROUP),
        ),
        **{f"initialLifecycleHooks[].{key}": rules for key, rules in HOOK.items()},
        "instanceMaintenancePolicy.minHealthyPercentage": (Between(0, 100, source=AUTOSCALING_MAINTENANCE),),
        "instanceMaintenancePolicy.maxHealthyPercentage": (Between(100, 200, source=AUTOSCALING_MAINTENANCE),),
    },
    "aws:autoscaling/lifecycleHook:LifecycleHook": HOOK,
    "aws:autoscaling/policy:Policy": {
        "policyType": (
            OneOf(
                "SimpleScaling", "StepScaling", "TargetTrackingScaling", "PredictiveScaling", source=AUTOSCALING_POLICY
            ),
        ),
        "targetTrackingConfiguration.predefinedMetricSpecification.predefinedMetricType": (
            Model("autoscaling", "MetricType"),
        ),
    },
    "aws:cloudwatch/metricAlarm:MetricAlarm": {
        "name": (Length(1, 255, source=ALARM),),
        "alarmDescription": (Length(0, 1024, source=ALARM),),
        "comparisonOperator": (Model("cloudwatch", "ComparisonOperator"),),
        "statistic": (Model("cloudwatch", "Statistic"),),
        "extendedStatistic": (
            Matches(
                r"(p|tm|tc|ts|wm)(100(\.0{1,10})?|\d{1,2}(\.\d{1,10})?)|IQM|(TM|TC|TS|WM|PR)\(.+\)",
                "be a percentile such as p95, or another extended statistic",
                source=ALARM_STATISTIC,
            ),
        ),
        "evaluationPeriods": (Between(1, 86400, source=ALARM),),
        "treatMissingData": (OneOf("breaching", "notBreaching", "ignore", "missing", source=ALARM),),
        "unit": (Model("cloudwatch", "StandardUnit"),),
    },
    "aws:cloudwatch/dashboard:Dashboard": {
        "dashboardName": (
            Length(1, 255, source=DASHBOARD),
            Matches(r"[A-Za-z0-9_-]+", "be letters, digits, hyphens and underscores", source=DASHBOARD),
        ),
        "dashboardBody": (Json("widgets", source=DASHBOARD),),
    },
    "aws:ec2/launchTemplate:LaunchTemplate": {
        "name": (
            Length(3, 125, source=TEMPLATE),
            Matches(r"[a-zA-Z0-9().\-/_]+", "be letters, digits and ( ) . - / _", source=TEMPLATE),
        ),
        "description": (Length(0, 255, source=TEMPLATE),),
        "userData": (Matches(r"[A-Za-z0-9+/\s]*={0,2}\s*", "be encoded in base64", source=TEMPLATE),),
        "metadataOptions.httpEndpoint": (Model("ec2", "LaunchTemplateInstanceMetadataEndpointState"),),
        "metadataOptions.httpTokens": (Model("ec2", "LaunchTemplateHttpTokensState"),),
        "metadataOptions.httpPutResponseHopLimit": (Between(1, 64, source=METADATA),),
        "metadataOptions.instanceMetadataTags": (Model("ec2", "LaunchTemplateInstanceMetadataTagsState"),),
        "blockDeviceMappings[].ebs.volumeType": (Model("ec2", "VolumeType"),),
        "blockDeviceMappings[].ebs.volumeSize": (Between(1, 65536, source=EBS),),
        "tagSpecifications[].resourceType": (Model("ec2", "ResourceType"),),
    },
    "aws:elasticache/subnetGroup:SubnetGroup": {
        "name": (
            Length(1, 255, source=CACHE_SUBNETS),
            Matches(r"[A-Za-z0-9-]+", "be letters, digits and hyphens", source=CACHE_SUBNETS),
        ),
    },
    "aws:elasticache/parameterGroup:ParameterGroup": {
        "name": (
            Length(1, 255, source=CACHE_PARAMETERS),
            Matches(
                r"[A-Za-z](-?[A-Za-z0-9])*",
                "be letters, digits and single hyphens, begin with a letter and not end with a hyphen",
                source=CACHE_PARAMETERS,
            ),
        ),
    },
    "aws:elasticache/replicationGroup:ReplicationGroup": {
        "replicationGroupId": (Length(1, 40, source=CACHE), CACHE_NAME),
        "engine": (OneOf("redis", "valkey", source=CACHE_ENGINE),),
        "engineVersion": (
            Matches(
                r"[3-5]\.\d+\.\d+|6\.x|6\.\d+|([7-9]|\d\d)\.\d+", "be <major>.<minor>, such as 7.1", source=CACHE_ENGINE
            ),
        ),
        "authToken": (
            Length(16, 128, source=CACHE),
            Matches(r"[A-Za-z0-9!&#$^<>-]*", "be letters, digits and ! & # $ ^ < > -", source=CACHE),
        ),
        "transitEncryptionMode": (Model("elasticache", "TransitEncryptionMode"),),
        "numCacheClusters": (Between(1, 6, source=CACHE),),
        "numNodeGroups": (Between(1, 500, source=CACHE),),
        "replicasPerNodeGroup": (Between(0, 5, source=CACHE),),
        "snapshotRetentionLimit": (Between(0, 35, source=CACHE),),
        "snapshotWindow": (Matches(r"\d\d:\d\d-\d\d:\d\d", "be such as 03:00-04:00", source=CACHE),),
        "maintenanceWindow": (
            Matches(r"[a-z]{3}:\d\d:\d\d-[a-z]{3}:\d\d:\d\d", "be such as sun:05:00-sun:06:00", source=CACHE),
        ),
        "port": (Between(1, 65535, source=CACHE),),
    },
    "aws:iam/role:Role": {
        "name": (Model("iam", "roleNameType"),),
        "assumeRolePolicy": (Json(source=POLICY),),
        "description": (Model("iam", "roleDescriptionType"),),
        "path": (Model("iam", "pathType"),),
    },
    "aws:iam/rolePolicy:RolePolicy": {
        "name": (Model("iam", "policyNameType"),),
        "policy": (Json("Statement", source=POLICY),),
    },
    "aws:iam/instanceProfile:InstanceProfile": {
        "name": (Model("iam", "instanceProfileNameType"),),
        "path": (Model("iam", "pathType"),),
    },
    "aws:ec2/vpc:Vpc": {"cidrBlock": (Network(16, 28, source=VPC),)},
    "aws:ec2/subnet:Subnet": {"cidrBlock": (Network(16, 28, source=SUBNET),)},
    "aws:ec2/route:Route": {"destinationCidrBlock": (Network(0, 32, source=ROUTE),)},
    "aws:ec2/eip:Eip": {"domain": (Model("ec2", "DomainType"),)},
    "aws:ec2/vpcEndpoint:VpcEndpoint": {"vpcEndpointType": (Model("ec2", "VpcEndpointType"),)},
    "aws:ec2/securityGroup:SecurityGroup": {
        "name": (
            Length(1, 255, source=SECURITY_GROUP),
            Matches(r"(?!sg-).*", "not begin with sg-", source=SECURITY_GROUP),
        ),
        "description": DESCRIPTION,
    },
    "aws:vpc/securityGroupIngressRule:SecurityGroupIngressRule": RULE,
    "aws:vpc/securityGroupEgressRule:SecurityGroupEgressRule": RULE,
    "aws:rds/subnetGroup:SubnetGroup": {"name": (Length(1, 255, source=DATABASE_GROUPS), GROUP_NAME)},
    "aws:rds/parameterGroup:ParameterGroup": {
        "name": (
            Length(1, 255, source=DATABASE_GROUPS),
            Matches(
                r"[a-z](-?[a-z0-9])*",
                "be lower-case letters, digits and single hyphens, begin with a letter and not end with a hyphen",
                source=DATABASE_GROUPS,
            ),
        ),
        "parameters[].applyMethod": (Model("rds", "ApplyMethod"),),
    },
    "aws:rds/instance:Instance": {
        "identifier": (Length(1, 63, source=DATABASE), DATABASE_NAME),
        "backupRetentionPeriod": (Between(0, 35, source=DATABASE),),
        "backupWindow": (Matches(r"\d\d:\d\d-\d\d:\d\d", "be hh:mm-hh:mm", source=DATABASE),),
        "maintenanceWindow": (
            Matches(r"(?i)[a-z]{3}:\d\d:\d\d-[a-z]{3}:\d\d:\d\d", "be ddd:hh:mm-ddd:hh:mm", source=DATABASE),
        ),
        "databaseInsightsMode": (Model("rds", "DatabaseInsightsMode"),),
        "dbName": (
            Matches(
                r"[A-Za-z_]\w{0,62}", "be up to 63 letters, digits and _, and not begin with a digit", source=DATABASE
            ),
        ),
        "username": (
            Matches(r"[A-Za-z]\w{0,62}", "be up to 63 letters, digits and _, and begin with a letter", source=DATABASE),
        ),
        "finalSnapshotIdentifier": (Length(1, 255, source=DATABASE), SNAPSHOT_NAME),
        "storageType": (OneOf("standard", "gp2", "gp3", "io1", "io2", source=DATABASE_STORAGE),),
        "maxAllocatedStorage": (Between(5, 65536, source=DATABASE_STORAGE),),
        "allocatedStorage": (Between(5, 65536, source=DATABASE_STORAGE),),
        "port": (Between(1150, 65535, source=DATABASE),),
    },
    "aws:rds/proxy:Proxy": {
        "name": (Length(1, 63, source=DATABASE_PROXY), DATABASE_NAME),
        "engineFamily": (Model("rds", "EngineFamily"),),
        "idleClientTimeout": (Between(1, 28800, source=DATABASE_PROXY),),
        "auths[].authScheme": (Model("rds", "AuthScheme"),),
        "auths[].iamAuth": (Model("rds", "IAMAuthMode"),),
        "auths[].clientPasswordAuthType": (Model("rds", "ClientPasswordAuthType"),),
    },
    "aws:rds/proxyDefaultTargetGroup:ProxyDefaultTargetGroup": {
        "connectionPoolConfig.maxConnectionsPercent": (Between(1, 100, source=DATABASE_PROXY_POOL),),
        "connectionPoolConfig.maxIdleConnectionsPercent": (Between(0, 100, source=DATABASE_PROXY_POOL),),
        "connectionPoolConfig.connectionBorrowTimeout": (Between(0, 300, source=DATABASE_PROXY_POOL),),
    },
    "aws:s3/bucket:Bucket": {
        "bucket": (
            Length(3, 63, source=BUCKET),
            Matches(
                r"(?!.*\.\.)[a-z0-9][a-z0-9.-]*[a-z0-9]",
                "be lower-case letters, digits, hyphens and single dots, and begin and end with a letter or digit",
                source=BUCKET,
            ),
        ),
    },
    "aws:s3/bucketVersioning:BucketVersioning": {
        "versioningConfiguration.status": (
            OneOf("Enabled", "Suspended", "Disabled", source="terraform-provider-aws internal/service/s3/enum.go"),
        ),
        "versioningConfiguration.mfaDelete": (Model("s3", "MFADeleteStatus"),),
    },
    "aws:s3/bucketServerSideEncryptionConfiguration:BucketServerSideEncryptionConfiguration": {
        "rules[].applyServerSideEncryptionByDefault.sseAlgorithm": (Model("s3", "ServerSideEncryption"),),
    },
    "aws:s3/bucketLifecycleConfiguration:BucketLifecycleConfiguration": {
        "rules[].id": (Length(1, 255, source=LIFECYCLE),),
        "rules[].status": (Model("s3", "ExpirationStatus"),),
    },
    "aws:s3/bucketPolicy:BucketPolicy": {"policy": (Json("Statement", source=POLICY),)},
    "aws:s3/bucketObjectv2:BucketObjectv2": {"key": (Length(1, 1024, source=BUCKET),)},
    "aws:secretsmanager/secret:Secret": {
        "name": (
            Length(1, 512, source=SECRET),
            Matches(r"[A-Za-z0-9/_+=.@-]+", "be letters, digits and /_+=.@-", source=SECRET),
        ),
        "recoveryWindowInDays": (Between(7, 30, 0, source=SECRET_DELETION),),
    },
    "aws:ssm/parameter:Parameter": {
        "name": (
            Matches(r"[A-Za-z0-9_./-]+", "be letters, digits and _ . - /", source=PARAMETER),
            Matches(r"(?i)(?!/?(aws|ssm)).*", "not begin with aws or ssm", source=PARAMETER),
        ),
        "type": (Model("ssm", "ParameterType"),),
        "tier": (Model("ssm", "ParameterTier"),),
        "description": (Model("ssm", "ParameterDescription"),),
        "allowedPattern": (Model("ssm", "AllowedPattern"),),
    },
}
