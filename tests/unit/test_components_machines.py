"""App servers and load balancer: what their machines are, may do, may reach and are told."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

import example_args
import pulumi
import pytest
from recording import Recording, record

from components import AppServers, LoadBalancer, _machines

ROOT = Path(__file__).resolve().parents[2]
TEMPLATE = "aws:ec2/launchTemplate:LaunchTemplate"
GROUP = "aws:autoscaling/group:Group"
INGRESS = "aws:vpc/securityGroupIngressRule:SecurityGroupIngressRule"
EGRESS = "aws:vpc/securityGroupEgressRule:SecurityGroupEgressRule"
AMI = "aws:ec2/getAmi:getAmi"

pytestmark = pytest.mark.usefixtures("user_data")


def make_app(**more: Any) -> Recording:
    return record(lambda: AppServers("app", cast(Any, {**example_args.app_servers(), **more})))


def make_edge(**more: Any) -> Recording:
    return record(lambda: LoadBalancer("edge", cast(Any, {**example_args.load_balancer(), **more})))


@pytest.fixture(params=["app", "edge"])
def either(request: pytest.FixtureRequest) -> Recording:
    return make_app() if request.param == "app" else make_edge()


def rules(made: Recording, kind: str) -> set[tuple[str, str, int]]:
    """Each rule's group, peer and port."""
    return {
        (
            rule.inputs["securityGroupId"],
            rule.inputs.get("referencedSecurityGroupId") or rule.inputs["cidrIpv4"],
            rule.inputs["toPort"],
        )
        for rule in made.all(kind)
    }


def test_machines_are_hardened(either: Recording) -> None:
    template = either.one(TEMPLATE).inputs
    options = dict(template["metadataOptions"])
    options.pop("instanceMetadataTags")
    assert options == {
        "httpEndpoint": "enabled",
        "httpTokens": "required",
        "httpPutResponseHopLimit": 1,
    }, "credentials must be out of reach of forged requests"
    (disk,) = template["blockDeviceMappings"]
    assert disk == {
        "deviceName": "/dev/xvda",
        "ebs": {"volumeSize": 10, "volumeType": "gp3", "encrypted": "true", "deleteOnTermination": "true"},
    }
    assert "keyName" not in template, "nobody logs in"
    assert "networkInterfaces" not in template, "whether a machine has a public address is its subnet's affair"


def test_machines_hear_of_deploys_and_of_their_group_by_their_tags(either: Recording) -> None:
    assert either.one(TEMPLATE).inputs["metadataOptions"]["instanceMetadataTags"] == "enabled"


def test_groups_name_the_templates_version_by_number(either: Recording) -> None:
    assert either.one(GROUP).inputs["launchTemplate"]["version"] == "1", "$Latest changes machines behind Pulumi's back"


def test_groups_leave_the_number_of_machines_to_scaling(either: Recording) -> None:
    assert "desiredCapacity" not in either.one(GROUP).inputs
    assert "instanceRefresh" not in either.one(GROUP).inputs, "deployments decide when machines are replaced"


def test_tags_reach_group_machines_and_disks(either: Recording) -> None:
    name = either.one(GROUP).parent
    tags = {"Name": name, "expressway:tier": name, "team": "web"}
    kinds = {each["resourceType"]: each["tags"] for each in either.one(TEMPLATE).inputs["tagSpecifications"]}
    assert kinds == {"instance": tags, "volume": tags}
    assert {each["key"]: each["value"] for each in either.one(GROUP).inputs["tags"]} == tags


def test_groups_have_no_rules_of_their_own(either: Recording) -> None:
    group = either.one("aws:ec2/securityGroup:SecurityGroup").inputs
    assert set(group) == {"vpcId", "description", "tags"}, "inline rules would fight with those of other components"


def test_roles_may_do_no_more_than_named(either: Recording) -> None:
    for policy in either.all("aws:iam/rolePolicy:RolePolicy"):
        for statement in json.loads(policy.inputs["policy"])["Statement"]:
            actions = statement["Action"] if isinstance(statement["Action"], list) else [statement["Action"]]
            assert not [action for action in actions if "*" in action], f"{policy.name} allows a whole family"
            if statement["Resource"] == "*":
                if statement == {"Effect": "Allow", **_machines.TELLS_METRICS}:
                    continue  # held to a namespace by its condition
                others = [action for action in actions if not action.partition(":")[2].startswith("Describe")]
                assert not others, f"{policy.name} allows {others} on everything"


@pytest.mark.parametrize("make", [make_app, make_edge], ids=["app", "edge"])
def test_session_manager_opens_channels_and_nothing_else(make: Callable[..., Recording]) -> None:
    key = (ROOT / "tests/fixtures/session_manager/signer.asc").read_text()
    made, name = make(session_manager_key=key), "app" if make is make_app else "edge"
    (statement,) = made.statements(f"{name}-sessions")
    assert sorted(statement["Action"]) == [
        "ssm:UpdateInstanceInformation",
        "ssmmessages:CreateControlChannel",
        "ssmmessages:CreateDataChannel",
        "ssmmessages:OpenControlChannel",
        "ssmmessages:OpenDataChannel",
    ], "AWS's own policy for it would let a machine read every parameter of the account"
    assert made.machine(name)["session_manager"] == key
    off = make()
    assert off.machine(name)["session_manager"] is None
    assert f"{name}-sessions" not in {each.name for each in off.all("aws:iam/rolePolicy:RolePolicy")}


def test_app_servers_reach_database_and_cache_by_reference_and_nobody_else_inside() -> None:
    made = make_app()
    assert rules(made, INGRESS) == {
        ("sg-database", "app-group-id", 5432),
        ("sg-cache", "app-group-id", 6379),
    }, "only the two data stores let app servers in, and nobody lets anybody into app servers yet"
    assert rules(made, EGRESS) == {
        ("app-group-id", "sg-database", 5432),
        ("app-group-id", "sg-cache", 6379),
        ("app-group-id", "0.0.0.0/0", 443),
        ("app-group-id", "0.0.0.0/0", 80),
    }


def test_no_address_range_is_let_in_but_everybody_on_the_edges_port_80() -> None:
    open_to_ranges = {rule for rule in rules(make_edge(), INGRESS) | rules(make_app(), INGRESS) if "/" in rule[1]}
    assert open_to_ranges == {("edge-group-id", "0.0.0.0/0", 80)}


def test_the_edge_reaches_its_targets_by_reference() -> None:
    made = make_edge()
    assert ("sg-app", "edge-group-id", 3000) in rules(made, INGRESS)
    assert rules(made, EGRESS) == {
        ("edge-group-id", "sg-app", 3000),
        ("edge-group-id", "0.0.0.0/0", 443),
        ("edge-group-id", "0.0.0.0/0", 80),
    }


SHOP_TLS = "arn:aws:secretsmanager:us-east-1:123456789012:secret:shop/tls-AbCdEf"


def test_with_a_certificate_the_edge_is_open_on_443_and_says_so() -> None:
    urls: list[str] = []

    def program() -> None:
        edge = LoadBalancer("edge", {**example_args.load_balancer(), "certificate": "shop/tls"})
        edge.url.apply(urls.append)

    made = record(program)
    open_to_all = {rule for rule in rules(made, INGRESS) if rule[1] == "0.0.0.0/0"}
    assert open_to_all == {("edge-group-id", "0.0.0.0/0", 80), ("edge-group-id", "0.0.0.0/0", 443)}
    assert "edge-https-in" in made.one(GROUP).depends_on, "else it answers where nobody gets through"
    assert urls[0].startswith("https://")


def test_the_edge_reads_its_certificates_secret_and_no_other() -> None:
    (reads,) = [
        each
        for each in make_edge(certificate="shop/tls").statements("edge-boot")
        if each["Action"] == "secretsmanager:GetSecretValue"
    ]
    assert reads["Resource"] == SHOP_TLS
    assert make_edge(certificate="shop/tls").machine("edge")["certificate"] == SHOP_TLS, "its name, never its content"
    assert "secretsmanager" not in json.dumps(make_edge().statements("edge-boot")), "without one there is none to read"


def test_a_certificate_by_arn_is_looked_up_too() -> None:
    (asked,) = make_edge(certificate=SHOP_TLS).called("aws:secretsmanager/getSecret:getSecret")
    assert asked == {"name": SHOP_TLS}, "one that isn't there must stop the deployment, not the machine"


def test_a_certificates_secret_that_is_not_there_is_refused_with_the_mend(monkeypatch: pytest.MonkeyPatch) -> None:
    def find_nothing(**_: object) -> None:
        raise Exception("invoke of aws:secretsmanager/getSecret:getSecret failed: couldn't find resource ()")

    monkeypatch.setattr("pulumi_aws.secretsmanager.get_secret", find_nothing)
    with pytest.raises(pulumi.InputPropertiesError) as caught:
        make_edge(certificate="shop/tls")
    (error,) = caught.value.errors or []
    assert error["property_path"] == "certificate"
    assert error["reason"].startswith('"shop/tls": ')
    assert "says: couldn't find resource. Create it" in error["reason"]


def test_the_edge_is_told_whom_it_may_believe() -> None:
    assert make_edge(trusted_proxies=["203.0.113.0/24"]).machine("edge")["trusted_proxies"] == ["203.0.113.0/24"]


def test_more_ranges_than_user_data_has_room_for_are_refused() -> None:
    with pytest.raises(pulumi.InputPropertiesError, match="there must be at most 100 ranges"):
        make_edge(trusted_proxies=[f"10.0.{each}.0/24" for each in range(101)])
    make_edge(trusted_proxies=[f"10.0.{each}.0/24" for each in range(100)])


def test_every_launch_and_termination_waits_to_be_completed() -> None:
    hooks = make_app().one(GROUP).inputs["initialLifecycleHooks"]
    assert {each["lifecycleTransition"] for each in hooks} == {
        "autoscaling:EC2_INSTANCE_LAUNCHING",
        "autoscaling:EC2_INSTANCE_TERMINATING",
    }
    assert {each["defaultResult"] for each in hooks} == {"ABANDON"}, "a machine that nobody vouches for gets no traffic"
    assert {each["heartbeatTimeout"] for each in hooks} == {600}
    assert not make_app().all("aws:autoscaling/lifecycleHook:LifecycleHook"), (
        "a hook made later misses the first machines"
    )


def test_a_destroy_does_not_wait_for_hooks_that_nobody_completes_any_more() -> None:
    assert make_app().one(GROUP).inputs["forceDelete"] is True


def test_an_update_does_not_wait_for_machines_that_the_edge_has_yet_to_let_in() -> None:
    assert make_app().one(GROUP).inputs["waitForCapacityTimeout"] == "0", "the edge comes after the app servers"


def test_machines_start_once_they_may_fetch_what_they_need() -> None:
    app, edge = make_app().one(GROUP), make_edge().one(GROUP)
    assert {"app-boot", "app-https-out", "app-database-in", "app-cache-in"} <= app.depends_on
    assert {"edge-boot", "edge-https-out", "edge-app-in"} <= edge.depends_on


def test_scaling_aims_at_a_cpu_load() -> None:
    policy = make_app(target_cpu=45).one("aws:autoscaling/policy:Policy").inputs
    assert policy["policyType"] == "TargetTrackingScaling"
    assert policy["targetTrackingConfiguration"]["targetValue"] == 45


def test_scaling_aims_at_requests_besides_where_that_is_wanted() -> None:
    made = make_app(target_requests=80)
    cpu, requests = (made.one("aws:autoscaling/policy:Policy", f"app-{each}") for each in ("cpu", "requests"))
    assert cpu.inputs["targetTrackingConfiguration"]["targetValue"] == 60
    told = requests.inputs["targetTrackingConfiguration"]
    metric = told["customizedMetricSpecification"]
    assert (told["targetValue"], metric["period"], metric["statistic"]) == (80, 10, "Sum")
    assert (metric["namespace"], metric["metricName"]) == ("Expressway", "RequestsPerServer"), "what the edge publishes"
    assert metric["metricDimensions"] == [{"name": "AutoScalingGroupName", "value": "app-group"}]


@pytest.mark.parametrize("tracks", [True, False])
def test_the_edge_measures_requests_only_for_servers_that_scale_by_them(tracks: bool) -> None:
    targets = {**cast(Any, example_args.load_balancer()["targets"]), "tracks_requests": tracks}
    made = make_edge(targets=targets, metrics=False)
    assert made.machine("edge")["upstream"]["tracks_requests"] is tracks
    document = json.loads(made.one("aws:iam/rolePolicy:RolePolicy", "edge-boot").inputs["policy"])
    tells = [each for each in document["Statement"] if each["Action"] == "cloudwatch:PutMetricData"]
    conditions = [each["Condition"] for each in tells]
    assert conditions == ([{"StringEquals": {"cloudwatch:namespace": "Expressway"}}] if tracks else [])


@pytest.mark.parametrize("make", [make_app, make_edge], ids=["app", "edge"])
def test_machines_that_measure_themselves_may_tell_their_namespace_and_no_other(make: Callable[..., Recording]) -> None:
    name = "app" if make is make_app else "edge"
    (tells,) = [each for each in make().statements(f"{name}-boot") if "cloudwatch:" in str(each["Action"])]
    assert tells["Condition"] == {"StringEquals": {"cloudwatch:namespace": "Expressway"}}
    off = make(metrics=False)
    assert "cloudwatch:Put" not in json.dumps(off.statements(f"{name}-boot"))
    assert off.machine(name)["metrics"] is None


@pytest.mark.parametrize("make", [make_app, make_edge], ids=["app", "edge"])
def test_machines_may_write_to_their_own_logs_and_to_no_others(make: Callable[..., Recording]) -> None:
    name = "app" if make is make_app else "edge"
    made = make(log_retention_days=90)
    assert made.one("aws:cloudwatch/logGroup:LogGroup", f"{name}-logs").inputs["retentionInDays"] == 90
    (writes,) = [each for each in made.statements(f"{name}-boot") if "logs:PutLogEvents" in each["Action"]]
    assert writes["Action"] == ["logs:CreateLogStream", "logs:PutLogEvents"], "it makes no group, and reads none"
    assert writes["Resource"].endswith(f"{name}-logs:*")


@pytest.mark.parametrize("make", [make_app, make_edge], ids=["app", "edge"])
def test_only_who_is_named_may_fetch_metrics(make: Callable[..., Recording]) -> None:
    name = "app" if make is make_app else "edge"
    made = make(scrape_from=["10.30.0.0/16", "10.31.0.0/16"])
    let_in = {rule[1] for rule in rules(made, INGRESS) if rule[2] == 9464}
    assert let_in == {"10.30.0.0/16", "10.31.0.0/16"}
    assert made.machine(name)["metrics"] == {"scraped": True}, "else it listens for itself alone"
    assert not [rule for rule in rules(make(), INGRESS) if rule[2] == 9464]


def test_the_edge_is_one_machine_with_one_address_and_room_for_its_successor() -> None:
    made = make_edge()
    group = made.one(GROUP).inputs
    assert (group["minSize"], group["maxSize"]) == (1, 2)
    assert group["instanceMaintenancePolicy"] == {"minHealthyPercentage": 100, "maxHealthyPercentage": 200}, (
        "else the old one ends before the new one starts"
    )
    assert group["healthCheckGracePeriod"] == 0, "a refresh would wait that long for a machine that is at work"
    assert made.one("aws:ec2/eip:Eip").inputs["domain"] == "vpc"
    assert not made.all("aws:autoscaling/policy:Policy")


def test_an_edge_is_in_service_only_when_it_has_said_so_itself() -> None:
    made = make_edge()
    group = made.one(GROUP)
    (first,) = group.inputs["initialLifecycleHooks"]
    later = made.one("aws:autoscaling/lifecycleHook:LifecycleHook").inputs
    assert later == {**first, "autoscalingGroupName": "edge-group"}, "the first hook, for a group that was made without"
    assert first["defaultResult"] == "ABANDON", "a machine that falls silent is given up"
    assert first["name"] == made.machine("edge")["launch_hook"], "the one that the machine completes"
    assert group.ignore_changes == ("initialLifecycleHooks",), "a group that was made without would be replaced"
    assert group.inputs["waitForCapacityTimeout"] == "0", "the machine may complete it after the group is made"


def test_an_edge_speaks_for_machines_of_its_own_group_and_of_no_other() -> None:
    made = make_edge()
    group = made.one(GROUP)
    (speaks,) = [each for each in made.statements("edge-launch") if each["Resource"] != "*"]
    assert speaks["Action"] == ["autoscaling:CompleteLifecycleAction", "autoscaling:SetInstanceHealth"]
    assert speaks["Resource"].endswith(":edge-group")
    assert "edge-launch" not in group.depends_on, "the policy names the group: waiting for each other, neither is made"


def test_an_app_server_is_told_what_its_boot_needs() -> None:
    assert make_app().machine("app") == {
        "tier": "app",
        "name": "app",
        "region": "us-east-1",
        "bucket": "bucket",
        "bundle": make_app().machine("app")["bundle"],
        "session_manager": None,
        "runtime": {"key": "runtime/node.tar.gz", "sha256": example_args.SHA},
        "release_parameter": "pointer",
        "launch_hook": None,
        "metrics": {"scraped": False},
        "logs": {"group": "app-logs"},
        "app": {
            "port": 3000,
            "liveness_path": "/healthz",
            "readiness_path": "/readyz",
            "environment": {"LOG_LEVEL": "info"},
            "secrets": {"STRIPE_KEY": "arn:aws:secretsmanager:us-east-1:123456789012:secret:shop/stripe-AbCdEf"},
        },
        "apm": None,
        "database": {
            "host": "db.example",
            "port": 5432,
            "name": "app",
            "secret": "arn:aws:secretsmanager:us-east-1:123456789012:secret:db",
            "master_secret": None,
            "replica_hosts": [],
            "reader_host": "",
            "pooler": "pgbouncer",
            "pool_size": 22,
        },
        "cache": {
            "host": "cache.example",
            "port": 6379,
            "secret": "arn:aws:secretsmanager:us-east-1:123456789012:secret:cache",
            "cluster": False,
        },
    }


def test_an_edge_machine_is_told_what_its_boot_needs() -> None:
    machine = make_edge().machine("edge")
    bundle = machine.pop("bundle")
    assert bundle["key"] == f"bundles/edge-{bundle['sha256']}.tar.gz"
    assert machine == {
        "tier": "edge",
        "name": "edge",
        "region": "us-east-1",
        "bucket": "bucket",
        "session_manager": None,
        "eip_allocation_id": "eipalloc-edge-address",
        "launch_hook": "launch",
        "metrics": {"scraped": False},
        "logs": {"group": "edge-logs", "access": "all"},
        "upstream": {
            "auto_scaling_group": "app-group",
            "port": 3000,
            "readiness_path": "/readyz",
            "lifecycle_hooks": ["launch", "terminate"],
            "tracks_requests": False,
        },
        "events_queue_url": None,
        "max_body_size": "1m",
        "certificate": None,
        "trusted_proxies": [],
    }


QUEUE_ARN = "arn:aws:sqs:us-east-1:123456789012:edge-events"
QUEUE_URL = "https://sqs.us-east-1.amazonaws.com/123456789012/edge-events"
EVENTS = {
    "aws:sqs/queue:Queue",
    "aws:sqs/queuePolicy:QueuePolicy",
    "aws:cloudwatch/eventRule:EventRule",
    "aws:cloudwatch/eventTarget:EventTarget",
}


def test_the_edge_is_told_of_its_targets_launches_and_ends_and_of_nobody_elses() -> None:
    made = make_edge(events=True)
    pattern = json.loads(made.one("aws:cloudwatch/eventRule:EventRule").inputs["eventPattern"])
    assert (pattern["source"], pattern["detail"]) == (["aws.autoscaling"], {"AutoScalingGroupName": ["app-group"]})
    assert {"EC2 Instance-launch Lifecycle Action", "EC2 Instance-terminate Lifecycle Action"} < {
        *pattern["detail-type"]
    }
    target = made.one("aws:cloudwatch/eventTarget:EventTarget").inputs
    assert (target["rule"], target["arn"]) == ("edge-events", QUEUE_ARN)
    assert made.machine("edge")["events_queue_url"] == QUEUE_URL
    assert made.one("aws:sqs/queuePolicy:QueuePolicy").inputs["queueUrl"] == QUEUE_URL, "the queue that lets it in"


def test_nobody_but_the_rule_may_send_to_the_edges_queue_and_it_may_only_read() -> None:
    made = make_edge(events=True)
    queue = made.one("aws:sqs/queue:Queue").inputs
    assert queue["sqsManagedSseEnabled"] is True
    (lets_in,) = json.loads(made.one("aws:sqs/queuePolicy:QueuePolicy").inputs["policy"])["Statement"]
    assert lets_in["Principal"] == {"Service": "events.amazonaws.com"}
    (source,) = lets_in["Condition"]["ArnEquals"].items()
    assert source == ("aws:SourceArn", "arn:aws:cloudwatch:us-east-1:123456789012:edge-events"), (
        "other rules are others'"
    )
    assert lets_in["Resource"] == QUEUE_ARN
    (reads,) = [each for each in made.statements("edge-boot") if "sqs" in str(each["Action"])]
    assert reads == {
        "Effect": "Allow",
        "Action": ["sqs:ReceiveMessage", "sqs:DeleteMessage"],
        "Resource": QUEUE_ARN,
    }


def test_without_events_nothing_is_made_for_them() -> None:
    assert not EVENTS & {kind for kind, _ in make_edge().resources}
    assert "sqs" not in json.dumps(make_edge().statements("edge-boot"))


def test_a_bundle_stays_in_the_bucket_when_the_program_goes_past_it(either: Recording) -> None:
    name = either.one(GROUP).parent
    assert either.one("aws:s3/bucketObjectv2:BucketObjectv2", f"{name}-bundle").retain_on_delete, (
        "machines of before the update, and a launch template that is rolled back, fetch it at boot"
    )


def test_the_bundle_that_machines_are_told_of_is_the_one_that_is_uploaded(either: Recording) -> None:
    name = either.one(GROUP).parent
    uploaded = either.one("aws:s3/bucketObjectv2:BucketObjectv2", f"{name}-bundle").inputs
    told = either.machine(name)["bundle"]
    assert uploaded["key"] == told["key"]
    assert Path(uploaded["source"].path).name == f"{name}-{told['sha256']}.tar.gz"


def test_an_app_needs_neither_database_nor_cache() -> None:
    args = example_args.app_servers()
    del args["database"], args["cache"], args["secrets"]
    made = record(lambda: AppServers("app", args))
    machine = made.machine("app")
    assert machine["database"] is None
    assert machine["cache"] is None
    assert not made.all(INGRESS)
    granted = [each["Action"] for each in made.statements("app-boot")]
    *granted, logs = granted
    assert logs == ["logs:CreateLogStream", "logs:PutLogEvents"]
    assert granted == ["s3:GetObject", "ssm:GetParameter", "s3:PutObject", "cloudwatch:PutMetricData"], (
        "no secret is readable that isn't named"
    )


def test_an_app_server_reads_the_named_secrets_and_no_other() -> None:
    made = make_app()
    (secrets,) = [each for each in made.statements("app-boot") if each["Action"] == "secretsmanager:GetSecretValue"]
    assert [arn.rpartition(":")[2] for arn in secrets["Resource"]] == ["shop/stripe-AbCdEf", "db", "cache"]


def test_the_edge_completes_its_targets_hooks_and_claims_its_own_address() -> None:
    statements = make_edge().statements("edge-boot")
    (hooks,) = [each for each in statements if "autoscaling:CompleteLifecycleAction" in each["Action"]]
    assert hooks["Resource"] == "arn:aws:autoscaling:us-east-1:123456789012:app-group"
    assert "autoscaling:SetInstanceHealth" in hooks["Action"], "of no group but its targets'"
    (reports,) = [each for each in statements if each["Action"] == "s3:PutObject"]
    assert reports["Resource"] == "arn:aws:s3:::bucket/reports/edge/*"
    (looks,) = [each for each in statements if each["Resource"] == "*" and "Condition" not in each]
    assert "autoscaling:DescribeLifecycleHooks" in looks["Action"], "the reconciler asks which hook to complete"
    (claim,) = [each for each in statements if each["Action"] == "ec2:AssociateAddress"]
    assert claim["Resource"] == [
        "arn:aws:ec2:us-east-1:123456789012:edge-address",
        "arn:aws:ec2:us-east-1:123456789012:instance/*",
        "arn:aws:ec2:us-east-1:123456789012:network-interface/*",
    ]


@pytest.mark.parametrize(
    ("image", "instance_type", "owners", "filters"),
    [
        ("debian-13", "t3.small", ["136693071363"], {"name": "debian-13-amd64-*", "architecture": "x86_64"}),
        ("debian-13", "t4g.small", ["136693071363"], {"name": "debian-13-arm64-*", "architecture": "arm64"}),
        ("shop-app-*", "t4g.small", ["self"], {"name": "shop-app-*", "architecture": "arm64"}),
        ("ami-0123456789abcdef0", "t3.small", None, {"image-id": "ami-0123456789abcdef0", "architecture": "x86_64"}),
    ],
)
def test_the_image_is_the_newest_that_fits(
    image: str, instance_type: str, owners: list[str] | None, filters: dict[str, str]
) -> None:
    for made in (
        make_app(image=image, instance_type=instance_type),
        make_edge(image=image, instance_type=instance_type),
    ):
        (asked,) = made.called(AMI)
        assert asked.get("owners") == owners
        assert {each["name"]: each["values"][0] for each in asked["filters"]} == filters
        assert asked["mostRecent"] is True


def test_a_secret_among_the_plain_variables_stops_the_deployment() -> None:
    def program() -> None:
        secret = pulumi.Output.secret("sk_live_1")
        AppServers("app", {**example_args.app_servers(), "environment": {"STRIPE": secret}})

    with pytest.raises(ValueError, match="user data of app would hold a secret value"):
        record(program)


def test_user_data_larger_than_ec2_takes_stops_the_deployment() -> None:
    with pytest.raises(ValueError, match="EC2 takes 16384"):
        make_app(environment={"BIG": "x" * 16384})


def test_the_same_arguments_give_the_same_user_data() -> None:
    assert make_app().one(TEMPLATE).inputs["userData"] == make_app().one(TEMPLATE).inputs["userData"]


def test_every_bad_argument_is_refused_at_once() -> None:
    with pytest.raises(pulumi.InputPropertiesError) as caught:
        make_app(instance_type="t3-small", min_size=5, max_size=2)
    assert caught.value.errors is not None
    assert {each["property_path"] for each in caught.value.errors} == {"instanceType", "minSize"}
