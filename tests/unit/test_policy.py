"""The policy pack: each rule on a stack that breaks it, on the mended one, and on every environment of this project."""

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

import pulumi
import pulumi_aws as aws
import pytest
from pulumi.output import Unknown
from pulumi_policy import Policy, PolicyResourceOptions, ResourceValidationArgs, ResourceValidationPolicy
from pulumi_policy.proxy import UNKNOWN_BOOLEAN_VALUE, UNKNOWN_STRING_VALUE, unknown_checking_proxy
from recording import Recording, Registered, record, unknown

import artifact
import settings
import stack as program
from policy.pack import RULES, STACK_RULES, UNKNOWN, Resource, data, encryption, machines, ports, registration, tags
from policy.pack.model import settings as settled
from tests.paths import ROOT

TAGS = {"project": "shop", "stack": "dev"}
TIER = "expressway:tier"

Made = Callable[..., object]
Options = Mapping[str, Mapping[str, Any]]


def judge(
    made: Recording, *, stack: str = "dev", default_tags: Mapping[str, str] = TAGS, options: Options | None = None
) -> list[tuple[str, str, str]]:
    """Each violation: rule, resource, what is said."""
    seen = [resource(each, default_tags) for each in made.resources.values()]
    told: list[tuple[str, str, str]] = []
    for rule in RULES:
        with_options = settled(rule, stack, (options or {}).get(rule.name, {}))
        told += [(rule.name, each.name, said) for each in seen for said in rule.check(each, with_options)]
    for rule in STACK_RULES:
        with_options = settled(rule, stack, (options or {}).get(rule.name, {}))
        told += [(rule.name, each.name, said) for each, said in rule.check(seen, with_options)]
    return told


def resource(made: Registered, default_tags: Mapping[str, str]) -> Resource:
    """As the engine shows it at the end: with its id where that is known, else with what its properties refer to."""
    props = {name: told(value) for name, value in made.inputs.items()}
    return Resource(
        made.type,
        made.name,
        {"id": f"{made.name}-id", **({"bucket": made.name} if made.type == BUCKET else {}), **props},
        urn=urn(made.type, made.name),
        provider={"defaultTags": json.dumps({"tags": dict(default_tags)})},
        references={
            # Which of the dependencies a property has, the recording doesn't tell: any of them, where it isn't known.
            name: frozenset(urn(kind, other) for other in made.depends_on for kind in REFERRED)
            for name, value in props.items()
            if value is UNKNOWN or value == [UNKNOWN]
        },
    )


def urn(kind: str, name: str) -> str:
    return f"urn:pulumi:dev::shop::{kind}::{name}"


def told(value: Any) -> Any:
    """A recorded value with the rules' own word for what isn't known."""
    if isinstance(value, Unknown):
        return UNKNOWN
    if isinstance(value, dict):
        return {key: told(each) for key, each in cast(dict[str, Any], value).items()}
    return [told(each) for each in cast(list[Any], value)] if isinstance(value, list) else value


BUCKET = "aws:s3/bucket:Bucket"
GROUP = "aws:ec2/securityGroup:SecurityGroup"
REFERRED = (BUCKET, GROUP)


def usual(more: Mapping[str, Any], **properties: Any) -> dict[str, Any]:
    """Properties that keep every rule, and what a case has in their place."""
    return {**properties, **more}


def database(**more: Any) -> None:
    kept = {"storage_encrypted": True, "backup_retention_period": 7}
    aws.rds.Instance("made", **usual(more, instance_class="db.t4g.micro", **kept))


def cluster(**more: Any) -> None:
    kept = {"storage_encrypted": True, "backup_retention_period": 7}
    aws.rds.Cluster("made", **usual(more, engine="aurora-postgresql", **kept))


def member(**more: Any) -> None:
    aws.rds.ClusterInstance(
        "made", **usual(more, cluster_identifier="c", engine="aurora-postgresql", instance_class="db.r7g.large")
    )


def cache(**more: Any) -> None:
    encrypted = {"at_rest_encryption_enabled": True, "transit_encryption_enabled": True}
    aws.elasticache.ReplicationGroup("made", **usual(more, description="cache", **encrypted))


def volume(**more: Any) -> None:
    aws.ebs.Volume("made", **usual(more, availability_zone="us-east-1a", size=1, encrypted=True))


def template(**more: Any) -> None:
    disks = [{"device_name": "/dev/xvda", "ebs": {"encrypted": "true"}}, {"device_name": "/dev/sdb", "no_device": "x"}]
    aws.ec2.LaunchTemplate(
        "made",
        **usual(
            more,
            metadata_options={"http_tokens": "required"},
            block_device_mappings=disks,
            tag_specifications=launched_as("app"),
        ),
    )


def machine(**more: Any) -> None:
    disk = {"encrypted": True}
    aws.ec2.Instance("made", **usual(more, metadata_options={"http_tokens": "required"}, root_block_device=disk))


def scaling(version: Any = "3", **more: Any) -> None:
    tagged = [{"key": key, "value": value, "propagate_at_launch": False} for key, value in TAGS.items()]
    used = {"id": "lt-1", "version": version}
    aws.autoscaling.Group("made", **usual(more, min_size=1, max_size=2, tags=tagged, launch_template=used))


def mixed(version: Any = "3", override: Any = "4") -> None:
    by_type = [{"instance_type": "t4g.small", "launch_template_specification": {"id": "lt-2", "version": override}}]
    first: Any = {"launch_template_specification": {"id": "lt-1", "version": version}, "overrides": by_type}
    scaling(launch_template=None, mixed_instances_policy={"launch_template": first})


def ingress(**more: Any) -> None:
    """A rule of a group whose only member is the edge."""
    group = aws.ec2.SecurityGroup("group")
    template(vpc_security_group_ids=[group.id], tag_specifications=launched_as("edge"))
    opened = {"cidr_ipv4": "0.0.0.0/0", "ip_protocol": "tcp", "from_port": 443, "to_port": 443}
    aws.vpc.SecurityGroupIngressRule("rule", **usual(more, security_group_id=group.id, **opened))


def old_ingress(**more: Any) -> None:
    group = aws.ec2.SecurityGroup("group", tags={TIER: "edge"})
    opened = {"cidr_blocks": ["10.0.0.0/8", "0.0.0.0/0"], "protocol": "tcp", "from_port": 80, "to_port": 80}
    aws.ec2.SecurityGroupRule("rule", **usual(more, type="ingress", security_group_id=group.id, **opened))


def inline_ingress(tier: str = "edge", **more: Any) -> None:
    opened: Any = usual(more, ipv6_cidr_blocks=["::/0"], protocol="tcp", from_port=443, to_port=443)
    aws.ec2.SecurityGroup("rule", ingress=[opened], tags={TIER: tier})


def launched_as(tier: str) -> list[Any]:
    return [{"resource_type": kind, "tags": {**TAGS, TIER: tier}} for kind in ("instance", "volume")]


def members(tier: str = "edge", *, database_too: bool = False, balancer: bool = False) -> None:
    group = aws.ec2.SecurityGroup("group")
    if balancer:
        aws.lb.LoadBalancer("balancer", security_groups=[group.id])
    else:
        template(vpc_security_group_ids=[group.id], tag_specifications=launched_as(tier))
    if database_too:
        database(vpc_security_group_ids=[group.id])
    aws.vpc.SecurityGroupIngressRule(
        "rule", security_group_id=group.id, cidr_ipv4="0.0.0.0/0", ip_protocol="tcp", from_port=80, to_port=80
    )


def bucket(*, encrypted: bool = True, closed: bool = True, **more: Any) -> None:
    flags = ("block_public_acls", "block_public_policy", "ignore_public_acls", "restrict_public_buckets")
    by_default: Any = [{"apply_server_side_encryption_by_default": {"sse_algorithm": "AES256"}}]
    for name, is_other in (("made", False), ("other", True)):
        made = aws.s3.Bucket(name)
        if encrypted or is_other:
            aws.s3.BucketServerSideEncryptionConfiguration(f"{name}-encryption", bucket=made.bucket, rules=by_default)
        if closed or is_other:
            shut = usual({} if is_other else more, **dict.fromkeys(flags, True))
            aws.s3.BucketPublicAccessBlock(f"{name}-block", bucket=made.bucket, **shut)


@dataclass(frozen=True)
class Case:
    """A stack that breaks one rule when made with `broken`, and none without."""

    rule: str
    make: Made
    broken: Mapping[str, Any]
    says: str
    """How the violation begins."""
    at: str = "made"
    stack: str = "dev"
    options: Options = field(default_factory=dict[str, Mapping[str, Any]])


DECIDED_BY_THE_PROGRAM = {"encrypted", "closed", "tier", "database_too"}
"""What a case may break that is no property: whether there is a resource, and which."""

PLAIN_DISK = {"device_name": "/dev/sdc", "ebs": {"volume_size": 8}}
CASES = [
    Case("no-public-database", database, {"publicly_accessible": True}, "publiclyAccessible is true. Set it to false"),
    Case("no-public-database", member, {"publicly_accessible": True}, "publiclyAccessible is true"),
    Case("encryption", database, {"storage_encrypted": None}, "storageEncrypted is not set. Set it to true"),
    Case("encryption", cluster, {"storage_encrypted": False}, "storageEncrypted is false"),
    Case("encryption", cache, {"at_rest_encryption_enabled": None}, "atRestEncryptionEnabled is not set"),
    Case("encryption", cache, {"transit_encryption_enabled": False}, "transitEncryptionEnabled is false"),
    Case("encryption", volume, {"encrypted": False}, "encrypted is false"),
    Case("encryption", template, {"block_device_mappings": None}, "blockDeviceMappings[0].ebs.encrypted is not set"),
    Case(
        "encryption", template, {"block_device_mappings": [PLAIN_DISK]}, "blockDeviceMappings[0].ebs.encrypted is not"
    ),
    Case("encryption", machine, {"root_block_device": None}, "rootBlockDevice.encrypted is not set"),
    Case(
        "encryption",
        machine,
        {"ebs_block_devices": [{"device_name": "/dev/sdb", "encrypted": False}]},
        "ebsBlockDevices[0].encrypted is false",
    ),
    Case("closed-buckets", bucket, {"encrypted": False}, "It has no BucketServerSideEncryptionConfiguration"),
    Case("closed-buckets", bucket, {"closed": False}, "It has no BucketPublicAccessBlock"),
    Case("closed-buckets", bucket, {"block_public_acls": False}, "blockPublicAcls is false", at="made-block"),
    Case("imdsv2", template, {"metadata_options": None}, "metadataOptions.httpTokens is not set. Set it to"),
    Case("imdsv2", machine, {"metadata_options": {"http_tokens": "optional"}}, 'metadataOptions.httpTokens is "opt'),
    Case("open-ports", ingress, {"from_port": 22, "to_port": 22}, 'cidrIpv4 is "0.0.0.0/0". It opens tcp 22', "rule"),
    Case("open-ports", ingress, {"from_port": 80}, 'cidrIpv4 is "0.0.0.0/0". It opens tcp 80-443', "rule"),
    Case("open-ports", ingress, {"cidr_ipv6": "::/0", "cidr_ipv4": None, "to_port": 8443}, "cidrIpv6 is", "rule"),
    Case("open-ports", ingress, {"ip_protocol": "-1", "from_port": None, "to_port": None}, "cidrIpv4 is", "rule"),
    Case("open-ports", old_ingress, {"from_port": 22, "to_port": 22}, 'cidrBlocks[1] is "0.0.0.0/0"', "rule"),
    Case("open-ports", inline_ingress, {"to_port": 444}, 'ingress[0].ipv6CidrBlocks[0] is "::/0"', "rule"),
    Case("edge-only", members, {"tier": "app"}, "It opens tcp 80 to the internet. Only the edge may", "rule"),
    Case("edge-only", members, {"database_too": True}, "It opens tcp 80 to the internet", "rule"),
    Case("edge-only", inline_ingress, {"tier": "app"}, "It opens tcp 443 to the internet", "rule"),
    Case("edge-only", ingress, {"security_group_id": "sg-of-another-stack"}, "It opens tcp 443", "rule"),
    Case("pinned-launch-template", scaling, {"version": "$Latest"}, 'launchTemplate.version is "$Latest". Give a num'),
    Case("pinned-launch-template", scaling, {"version": "$Default"}, 'launchTemplate.version is "$Default"'),
    Case("pinned-launch-template", scaling, {"version": None}, "launchTemplate.version is not set"),
    Case("pinned-launch-template", mixed, {"version": "$Latest"}, "mixedInstancesPolicy.launchTemplate.launchTemp"),
    Case("pinned-launch-template", mixed, {"override": "$Latest"}, "mixedInstancesPolicy.launchTemplate.overrides[0]"),
    Case("required-tags", scaling, {"tags": [{"key": "stack", "value": "dev", "propagate_at_launch": True}]}, "tags l"),
    Case("required-tags", template, {"tag_specifications": launched_as("app")[:1]}, "tagSpecifications[volume].tags l"),
    Case("data-protection", database, {"backup_retention_period": None}, "backupRetentionPeriod is not set. Keep back"),
    Case("data-protection", database, {"backup_retention_period": 0}, "backupRetentionPeriod is 0. Keep backups for 1"),
    Case(
        "data-protection",
        lambda **more: database(**{"deletion_protection": True, **more}),
        {"backup_retention_period": 6},
        "backupRetentionPeriod is 6. Keep backups for 7 days",
        stack="prod",
    ),
    Case(
        "data-protection",
        lambda **more: cluster(**{"deletion_protection": True, **more}),
        {"deletion_protection": False},
        "deletionProtection is false. Set it to true: shop is a production stack",
        stack="shop",
        options={"data-protection": {"production": True}},
    ),
]


@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case.rule}: {case.says}")
def test_each_rule_finds_exactly_what_breaks_it(case: Case) -> None:
    broken = judge(record(lambda: case.make(**case.broken)), stack=case.stack, options=case.options)
    assert [each[:2] for each in broken] == [(case.rule, case.at)], broken
    assert broken[0][2].startswith(case.says), broken
    assert not judge(record(lambda: case.make()), stack=case.stack, options=case.options), "the mended one is fine"


def test_every_rule_has_a_case() -> None:
    assert {case.rule for case in CASES} == {rule.name for rule in (*RULES, *STACK_RULES)}


@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case.rule}: {case.says}")
def test_what_is_not_known_yet_is_no_violation(case: Case) -> None:
    def make_unknown() -> None:
        case.make(**{name: unknown() for name in case.broken})

    if not set(case.broken) & DECIDED_BY_THE_PROGRAM:
        assert not judge(record(make_unknown, preview=True), stack=case.stack, options=case.options)
    mended = record(case.make, preview=True)
    assert not judge(mended, stack=case.stack, options=case.options), (
        "and nothing that a preview doesn't know is needed"
    )


@pytest.mark.parametrize("preview", [False, True])
@pytest.mark.parametrize("name", ["dev", "staging", "prod", "lab"])
@pytest.mark.usefixtures("user_data")
def test_every_environment_of_this_project_keeps_every_rule(
    name: str, preview: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    @dataclass(frozen=True)
    class Built:
        path: Path = tmp_path / "archive"
        key: str = "releases/archive.tar.gz"
        sha256: str = "5e" * 32
        release_id: str = "5e88"

    (tmp_path / "archive").write_bytes(b"archive")
    monkeypatch.setattr(artifact, "find", lambda *_: Built())
    monkeypatch.setattr(artifact, "find_runtime", lambda *_: Built(key="runtime/archive.tar.gz"))
    wanted = settings.from_file(ROOT / f"Pulumi.{name}.yaml")
    made = record(lambda: program.build(wanted), stack=name, preview=preview)
    assert len(made.resources) > 60
    assert not judge(made, stack=name, default_tags=wanted.tags)


def test_tags_count_wherever_they_come_from() -> None:
    made = record(lambda: database(tags={"project": "shop"}))
    assert not judge(made, default_tags={"stack": "dev"})
    assert judge(made, default_tags={}) == [
        ("required-tags", "made", "tags lacks stack. Add it there, or for all in aws:defaultTags.")
    ]
    assert not judge(made, default_tags={}, options={"required-tags": {"keys": ["project"]}})
    everything = Resource("aws:sqs/queue:Queue", "queue", {"tagsAll": TAGS})
    assert not list(tags.REQUIRED_TAGS.check(everything, settled(tags.REQUIRED_TAGS, "dev", {})))


def test_a_rule_whose_ports_are_not_known_yet_is_no_violation_off_the_edge_either() -> None:
    def make() -> None:
        group = aws.ec2.SecurityGroup("group")
        open_to_all = {"cidr_ipv4": "0.0.0.0/0", "ip_protocol": "tcp", "from_port": unknown(), "to_port": unknown()}
        aws.vpc.SecurityGroupIngressRule("rule", security_group_id=group.id, **usual(open_to_all))

    assert not judge(record(make, preview=True))


def test_a_load_balancer_of_aws_is_an_edge_and_other_edges_are_told_by_their_tag() -> None:
    assert not judge(record(lambda: members(balancer=True)))
    named = {"edge-only": {"edgeTag": "role=front"}}
    assert judge(record(members), options=named), "not by this tag"
    assert not judge(record(lambda: old_ingress(cidr_blocks=["10.0.0.0/8"])), options=named), "not to the internet"
    ports_too = {rule: {"publicPorts": [8443]} for rule in ("open-ports", "edge-only")}
    assert not judge(record(lambda: ingress(from_port=8443, to_port=8443)), options=ports_too)
    assert [each[0] for each in judge(record(ingress), options=ports_too)] == ["open-ports"], "443 is not public then"


def test_a_part_of_something_else_has_its_encryption_and_backups() -> None:
    replica = {"replicate_source_db": "source", "storage_encrypted": None, "backup_retention_period": None}
    assert not judge(record(lambda: database(**replica)), stack="prod")
    assert not judge(record(lambda: cache(global_replication_group_id="g", at_rest_encryption_enabled=None)))
    started = {"launch_template": {"id": "lt-1"}, "metadata_options": None, "root_block_device": None}
    assert not judge(record(lambda: machine(**started))), "the template is looked at"
    snapshot = [{"device_name": "/dev/xvda", "ebs": {"snapshot_id": "snap-1"}}]
    assert not judge(record(lambda: template(block_device_mappings=snapshot))), "encrypted when the snapshot is"


def test_an_account_that_encrypts_new_disks_needs_no_word_of_it() -> None:
    account = {"encryption": {"ebsEncryptedByDefault": True}}
    assert not judge(record(lambda: machine(root_block_device=None)), options=account)
    assert judge(record(lambda: machine(root_block_device={"encrypted": False})), options=account)


@pytest.mark.parametrize(
    ("name", "option", "production"),
    [
        ("prod", None, True),
        ("production", None, True),
        ("prod-eu", None, True),
        ("shop-prod", None, True),
        ("dev", None, False),
        ("product", None, False),
        ("dev", True, True),
        ("prod", False, False),
    ],
)
def test_a_production_stack_is_told_by_the_option_or_else_by_its_name(
    name: str, option: bool | None, production: bool
) -> None:
    given = {} if option is None else {"production": option}
    assert data.is_production(settled(data.DATA_PROTECTION, name, given)) is production


def test_every_type_that_a_rule_names_is_one_of_the_aws_provider() -> None:
    named = {*data.REACHABLE, *data.KEPT, *encryption.FLAGS, *encryption.FOLLOWS, *encryption.MACHINES, *tags.TAGGED}
    named |= {*machines.METADATA, machines.GROUP, *ports.GROUP_TYPES, *ports.LOAD_BALANCERS}
    named |= {ports.INGRESS_RULE, ports.EITHER_RULE}
    for token in named:
        _, path, kind = token.split(":")
        module = path.partition("/")[0]
        found = getattr(getattr(aws, {"lambda": "lambda_"}.get(module, module)), kind)
        assert found.pulumi_type == token


def policy(name: str) -> ResourceValidationPolicy:
    (found,) = [each for each in registration.policies() if each.name == name]
    assert isinstance(found, ResourceValidationPolicy)
    return found


def test_the_engine_gets_every_rule_with_its_options_and_their_defaults() -> None:
    made: dict[str, Policy] = {each.name: each for each in registration.policies()}
    assert list(made) == [rule.name for rule in (*RULES, *STACK_RULES)]
    schema = made["open-ports"].config_schema
    assert schema is not None
    assert schema.properties["publicPorts"]["default"] == [80, 443]
    assert made["imdsv2"].config_schema is None


def test_a_policy_reads_the_engines_values_unknown_ones_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pulumi, "get_stack", lambda: "prod")
    said: list[str] = []

    def look(props: dict[str, Any]) -> list[str]:
        said.clear()
        seen = ResourceValidationArgs(
            "aws:rds/instance:Instance",
            unknown_checking_proxy(props),
            urn("aws:rds/instance:Instance", "made"),
            "made",
            cast(PolicyResourceOptions, None),
            None,
            {"productionBackupDays": 3.0},
        )
        policy("data-protection").validate(seen, lambda message, _: said.append(message))
        return said

    assert look({"backupRetentionPeriod": 2.0, "deletionProtection": True}) == [
        "backupRetentionPeriod is 2. Keep backups for 3 days or more."
    ]
    assert not look({"backupRetentionPeriod": UNKNOWN_STRING_VALUE, "deletionProtection": UNKNOWN_BOOLEAN_VALUE})
    deep = {"list": [{"a": UNKNOWN_STRING_VALUE, "b": 1.0}, UNKNOWN_STRING_VALUE], "c": 1.5}
    assert registration.plain(unknown_checking_proxy(deep)) == {"list": [{"a": UNKNOWN, "b": 1}, UNKNOWN], "c": 1.5}


def test_what_the_pack_installs_is_what_is_tested_here() -> None:
    locked = (ROOT / "requirements.txt").read_text()
    wanted = [line for line in (ROOT / "policy" / "requirements.txt").read_text().splitlines() if "==" in line]
    assert any(line.startswith("pulumi-policy==") for line in wanted)
    for line in wanted:
        assert re.search(rf"^{re.escape(line)} ", locked, re.MULTILINE), f"{line} is not what requirements.txt has"


def test_the_documentation_has_every_rule_and_option() -> None:
    text = (ROOT / "docs" / "policy.md").read_text()
    for rule in (*RULES, *STACK_RULES):
        assert f"`{rule.name}`" in text
        assert rule.source in text
        for option in rule.options:
            assert f"`{option}`" in text
