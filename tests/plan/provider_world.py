"""What the provider's contract tests refer to: things that exist in the lab's API before the resource under test."""

import json
from dataclasses import dataclass, field
from functools import cached_property
from itertools import count
from typing import Any

from lab.aws import Aws
from tests.plan.lab_api_server import PLAIN_X86


@dataclass
class World:
    """Made on first use, in an API that the tests share."""

    aws: Aws
    _numbers: Any = field(default_factory=lambda: count(1))

    def unique(self, prefix: str) -> str:
        """A name that nothing else has."""
        return f"{prefix}-{next(self._numbers)}"

    @cached_property
    def vpc(self) -> str:
        """A VPC, 10.99.0.0/16."""
        return self.aws("ec2").create_vpc(CidrBlock="10.99.0.0/16")["Vpc"]["VpcId"]

    @cached_property
    def other_vpc(self) -> str:
        """Another one, 10.98.0.0/16."""
        return self.aws("ec2").create_vpc(CidrBlock="10.98.0.0/16")["Vpc"]["VpcId"]

    @cached_property
    def subnets(self) -> list[str]:
        """Three subnets of the VPC, in zones a, b and c."""
        return [
            self.aws("ec2").create_subnet(
                VpcId=self.vpc, CidrBlock=f"10.99.{number}.0/24", AvailabilityZone=f"{self.aws.region}{zone}"
            )["Subnet"]["SubnetId"]
            for number, zone in enumerate("abc", 200)
        ]

    def new_vpc(self) -> str:
        """A new VPC."""
        return self.aws("ec2").create_vpc(CidrBlock="10.95.0.0/16")["Vpc"]["VpcId"]

    def subnet(self) -> str:
        """A new subnet of the VPC."""
        block = f"10.99.{100 + next(self._numbers) % 100}.0/28"
        return self.aws("ec2").create_subnet(VpcId=self.vpc, CidrBlock=block)["Subnet"]["SubnetId"]

    def route_table(self) -> str:
        """A new route table of the VPC."""
        return self.aws("ec2").create_route_table(VpcId=self.vpc)["RouteTable"]["RouteTableId"]

    def address(self) -> str:
        """A new Elastic IP."""
        return self.aws("ec2").allocate_address(Domain="vpc")["AllocationId"]

    @cached_property
    def internet_gateway(self) -> str:
        """The VPC's internet gateway."""
        identifier = self.aws("ec2").create_internet_gateway()["InternetGateway"]["InternetGatewayId"]
        self.aws("ec2").attach_internet_gateway(InternetGatewayId=identifier, VpcId=self.vpc)
        return identifier

    @cached_property
    def nat_gateway(self) -> str:
        """A NAT gateway in the VPC."""
        made = self.aws("ec2").create_nat_gateway(SubnetId=self.subnets[0], AllocationId=self.address())
        return made["NatGateway"]["NatGatewayId"]

    def security_group(self) -> str:
        """A new security group in the VPC."""
        return self.aws("ec2").create_security_group(
            GroupName=self.unique("group"), Description="for a test", VpcId=self.vpc
        )["GroupId"]

    def bucket(self) -> str:
        """A new bucket."""
        name = self.unique("bucket")
        self.aws("s3").create_bucket(Bucket=name)
        return name

    def role(self) -> str:
        """A new role for EC2."""
        name = self.unique("role")
        trust = {"Effect": "Allow", "Principal": {"Service": "ec2.amazonaws.com"}, "Action": "sts:AssumeRole"}
        document = json.dumps({"Version": "2012-10-17", "Statement": [trust]})
        self.aws("iam").create_role(RoleName=name, AssumeRolePolicyDocument=document)
        return name

    def policy(self) -> str:
        """A new managed policy."""
        allow = {"Effect": "Allow", "Action": "sqs:SendMessage", "Resource": "*"}
        document = json.dumps({"Version": "2012-10-17", "Statement": [allow]})
        return self.aws("iam").create_policy(PolicyName=self.unique("policy"), PolicyDocument=document)["Policy"]["Arn"]

    def load_balancer(self, kind: str = "application") -> str:
        """A new Application or Network Load Balancer."""
        made = self.aws("elbv2").create_load_balancer(Name=self.unique("balancer"), Type=kind, Subnets=self.subnets[:2])
        return made["LoadBalancers"][0]["LoadBalancerArn"]

    def target_group(self) -> str:
        """A new target group."""
        made = self.aws("elbv2").create_target_group(
            Name=self.unique("targets"), Protocol="HTTP", Port=3000, VpcId=self.vpc
        )
        return made["TargetGroups"][0]["TargetGroupArn"]

    def launch_template(self) -> str:
        """A new launch template."""
        template = self.aws("ec2").create_launch_template(
            LaunchTemplateName=self.unique("template"),
            LaunchTemplateData={"ImageId": PLAIN_X86.id, "InstanceType": "t3.small"},
        )
        return template["LaunchTemplate"]["LaunchTemplateId"]

    def auto_scaling_group(self) -> str:
        """A new group without machines."""
        name = self.unique("machines")
        self.aws("autoscaling").create_auto_scaling_group(
            AutoScalingGroupName=name,
            MinSize=0,
            MaxSize=1,
            VPCZoneIdentifier=",".join(self.subnets),
            LaunchTemplate={"LaunchTemplateId": self.launch_template(), "Version": "1"},
        )
        return name

    @cached_property
    def other_subnets(self) -> list[str]:
        """Two subnets of the other VPC, in zones a and b."""
        return [
            self.aws("ec2").create_subnet(
                VpcId=self.other_vpc, CidrBlock=f"10.98.{number}.0/24", AvailabilityZone=f"{self.aws.region}{zone}"
            )["Subnet"]["SubnetId"]
            for number, zone in enumerate("ab", 200)
        ]

    def database_subnets(self, subnets: list[str] | None = None) -> str:
        """A new subnet group of RDS."""
        name = self.unique("db-subnets")
        self.aws("rds").create_db_subnet_group(
            DBSubnetGroupName=name, DBSubnetGroupDescription="for a test", SubnetIds=subnets or self.subnets
        )
        return name

    def database_parameters(self, family: str = "postgres17") -> str:
        """A new parameter group of RDS."""
        name = self.unique("db-parameters")
        self.aws("rds").create_db_parameter_group(
            DBParameterGroupName=name, DBParameterGroupFamily=family, Description="for a test"
        )
        return name

    @cached_property
    def database(self) -> str:
        """A database instance."""
        name = self.unique("database")
        self.aws("rds").create_db_instance(
            DBInstanceIdentifier=name,
            DBInstanceClass="db.t4g.micro",
            Engine="postgres",
            AllocatedStorage=20,
            MasterUsername="owner",
            ManageMasterUserPassword=True,
            DBSubnetGroupName=self.database_subnets(),
        )
        return name

    def proxy(self) -> str:
        """A new RDS Proxy."""
        name = self.unique("proxy")
        self.aws("rds").create_db_proxy(
            DBProxyName=name,
            EngineFamily="POSTGRESQL",
            Auth=[{"AuthScheme": "SECRETS", "SecretArn": self.secret()}],
            RoleArn="arn:aws:iam::123456789012:role/one",
            VpcSubnetIds=self.subnets[:2],
        )
        return name

    def cache_subnets(self) -> str:
        """A new subnet group of ElastiCache."""
        name = self.unique("cache-subnets")
        self.aws("elasticache").create_cache_subnet_group(
            CacheSubnetGroupName=name, CacheSubnetGroupDescription="for a test", SubnetIds=self.subnets
        )
        return name

    def cache_parameters(self, family: str = "redis7", **values: str) -> str:
        """A new parameter group of ElastiCache. In names of `values` _ stands for a hyphen."""
        name = self.unique("cache-parameters")
        self.aws("elasticache").create_cache_parameter_group(
            CacheParameterGroupName=name, CacheParameterGroupFamily=family, Description="for a test"
        )
        given = [{"ParameterName": key.replace("_", "-"), "ParameterValue": value} for key, value in values.items()]
        if given:
            self.aws("elasticache").modify_cache_parameter_group(
                CacheParameterGroupName=name, ParameterNameValues=given
            )
        return name

    def secret(self) -> str:
        """A new secret without a value."""
        return self.aws("secretsmanager").create_secret(Name=self.unique("secret"))["ARN"]

    def event_rule(self) -> str:
        """A new rule of EventBridge."""
        name = self.unique("rule")
        self.aws("events").put_rule(Name=name, EventPattern=json.dumps({"source": ["aws.ec2"]}))
        return name

    def queue(self) -> str:
        """A new queue of SQS; its URL."""
        return self.aws("sqs").create_queue(QueueName=self.unique("queue"))["QueueUrl"]

    def queue_arn(self) -> str:
        """A new queue of SQS; its ARN."""
        found = self.aws("sqs").get_queue_attributes(QueueUrl=self.queue(), AttributeNames=["QueueArn"])
        return found["Attributes"]["QueueArn"]
