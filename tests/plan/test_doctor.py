"""The doctor against the lab's API: a sound account, and each fault planted in it."""

import json
import re
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from operate import deployer, doctor
from operate.doctor import Cache, Database, Finding, Report, Status
from operate.doctor.account import Account
from operate.doctor.needs import ACTIONS
from operate.doctor.roles import ROLES
from tests.plan.doctor_account import BUCKET, REGION, USER, WHERE, Site, command, settings_folder
from tests.plan.lab_api_server import ApiServer
from tests.unit.doctor_examples import tier

SCALING_ROLE = "arn:aws:iam::123456789012:role/aws-service-role/autoscaling.amazonaws.com/AWSServiceRoleForAutoScaling"


@pytest.fixture(scope="module")
def prepared(api: ApiServer) -> Site:
    return Site(api)


@pytest.fixture
def site(prepared: Site, monkeypatch: pytest.MonkeyPatch) -> Iterator[Site]:
    """The account, as the user's own programs see it: nothing but the environment leads there."""
    for name in ("AWS_PROFILE", "AWS_SESSION_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    for name, value in prepared.environment.items():
        monkeypatch.setenv(name, value)
    yield prepared
    prepared.plant()


def faults(report: Report) -> list[Finding]:
    """What is not well."""
    return [each for each in report.findings if each.status != Status.OK]


def only_fault(report: Report) -> Finding:
    """The one thing that is not well."""
    [finding] = faults(report)
    assert finding.mend, "each fault has a mend"
    return finding


def test_in_a_sound_account_nothing_is_amiss(site: Site) -> None:
    report = site.look()
    assert faults(report) == []
    assert report.sound
    checks = {each.check for each in report.findings}
    assert checks == {
        "credentials", "region", "machines", "images", "quotas", "database", "cache", "secrets", "disks", "state",
        "service roles", "permissions",
    }  # fmt: skip
    assert report.caller is not None
    assert report.caller.arn.endswith(f":user/{USER}")


def test_the_doctor_asks_what_its_policy_allows_and_nothing_else(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: set[str] = set()
    names = {"service-quotas": "servicequotas"}

    def note(original: Callable[..., Any]) -> Callable[..., Any]:
        def call(account: Account, service: str, operation: str, /, *rest: Any, **arguments: Any) -> Any:
            asked.add(f"{names.get(service, service)}:{arguments.get('permission') or operation}")
            return original(account, service, operation, *rest, **arguments)

        return call

    monkeypatch.setattr(Account, "ask", note(Account.ask))
    monkeypatch.setattr(Account, "every", note(Account.every))
    key = site.client("kms").create_key()["KeyMetadata"]["KeyId"]
    site.client("ec2").modify_ebs_default_kms_key_id(KmsKeyId=key)
    try:
        site.look(database=replace(site.wanted.database, proxied=True))
    finally:
        site.client("ec2").modify_ebs_default_kms_key_id(KmsKeyId="alias/aws/ebs")
    assert asked - {"sts:GetCallerIdentity"} == set(ACTIONS), "what everybody may ask is in no policy"


def test_without_credentials_nothing_else_is_asked(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    report = doctor.examine(site.wanted)
    assert report.findings == (only_fault(report),)
    assert report.findings[0].what == "there are no credentials"
    assert "aws sso login" in report.findings[0].mend
    assert report.cost.month > 100, "what it would cost, nobody has to be asked"


def test_a_profile_that_does_not_exist_is_named(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_PROFILE", "wrok")
    assert "wrok" in only_fault(doctor.examine(site.wanted)).what


def test_expired_credentials_are_told_from_unknown_ones(site: Site) -> None:
    site.plant(expired_keys=[site.key["AccessKeyId"]])
    report = site.look()
    assert report.findings == (only_fault(report),)
    assert report.findings[0].what == "the credentials have expired"


def test_a_region_that_is_off_is_told_from_wrong_credentials(site: Site) -> None:
    site.plant(disabled_regions=[REGION])
    report = site.look()
    assert report.caller is not None, "elsewhere AWS knows who asks"
    assert only_fault(report).what == f"{REGION} is switched off in this account"
    assert f"enable-region --region-name {REGION}" in only_fault(report).mend


def test_a_quota_of_nothing_allows_no_machine(site: Site) -> None:
    site.plant(quotas={"L-1216C47A": 0})
    finding = only_fault(site.look())
    assert (finding.status, finding.what) == (Status.FAILED, "vCPUs of t3.small: 0 of 0 free, 6 needed")
    assert "--quota-code L-1216C47A --desired-value 20" in finding.mend


def test_a_new_account_is_too_small(site: Site) -> None:
    site.plant(quotas={})
    assert only_fault(site.look()).what == "vCPUs of t3.small: 5 of 5 free, 6 needed"


def test_addresses_of_others_count_and_the_stacks_own_do_not(site: Site) -> None:
    ec2 = site.client("ec2")
    given = [ec2.allocate_address(Domain="vpc")["AllocationId"] for _ in range(5)]
    try:
        finding = only_fault(site.look())
        assert finding.what == "Elastic IPs: 0 of 5 free, 2 needed"
        tags = [{"Key": "Name", "Value": "dev-edge"}, *({"Key": k, "Value": v} for k, v in site.wanted.tags.items())]
        ec2.create_tags(Resources=given[:2], Tags=tags)
        assert faults(site.look()) == [], "the stack has its addresses already"
    finally:
        for each in given:
            ec2.release_address(AllocationId=each)


def test_networks_of_others_count(site: Site) -> None:
    ec2 = site.client("ec2")
    made = [ec2.create_vpc(CidrBlock=f"10.{number}.0.0/16")["Vpc"]["VpcId"] for number in range(4)]
    try:
        assert only_fault(site.look()).what == "VPCs: 0 of 5 free, 1 needed", "with the default one"
    finally:
        for each in made:
            ec2.delete_vpc(VpcId=each)


def test_nat_gateways_are_counted_by_zone(site: Site) -> None:
    site.plant(quotas={"L-1216C47A": 64, "L-FE5A380F": 0})
    finding = only_fault(site.look())
    assert finding.what == f"NAT gateways in {REGION}a: 0 of 0 free, 1 needed"
    assert faults(site.look(nat=False)) == [], "who needs none is not asked"


def test_a_type_that_the_region_lacks_is_found(site: Site) -> None:
    site.plant(withheld={"t3.small": []})
    assert [each.what for each in faults(site.look())] == [f"{REGION} has no t3.small"] * 2, "for each tier"


def test_a_type_that_some_zones_lack_moves_the_stack_to_the_others(site: Site) -> None:
    site.plant(withheld={"t3.small": [f"{REGION}a"]})
    [zones] = [each.what for each in site.look().findings if each.check == "machines"]
    assert zones == f"t3.small in {REGION}b, {REGION}c"
    named = site.look(named_zones=(f"{REGION}a", f"{REGION}b"))
    assert f"t3.small is not offered in {REGION}a" in [each.what for each in faults(named)]


def test_an_image_must_be_there_for_the_processor(site: Site) -> None:
    missing = site.look(edge=tier("edge", 1, 1, image="my-*", image_owners=("self",), image_filter=("name", "my-*")))
    assert only_fault(missing).what == "there is no image my-*"
    arm = tier("app", 2, 4, instance_type="t4g.small", architecture="arm64")
    assert only_fault(site.look(app=arm)).check == "images", "Debian's name for the other processor finds nothing"


def test_a_database_version_or_class_that_is_not_there_is_found(site: Site) -> None:
    missing = only_fault(
        site.look(database=Database("17.99", "db.t4g.micro", 20, multi_az=False, connections="8 of 78"))
    )
    assert missing.what == "RDS has no PostgreSQL 17.99"
    site.plant(withheld={"db.t4g.micro": []})
    assert only_fault(site.look()).what.startswith("RDS has no db.t4g.micro")
    site.plant(withheld={"db.t4g.micro": [f"{REGION}b", f"{REGION}c"]})
    assert faults(site.look()) == [], "one of its zones is enough"
    standby = site.look(database=Database("17", "db.t4g.micro", 20, multi_az=True, connections="8 of 78"))
    assert only_fault(standby).what == f"db.t4g.micro is offered in {REGION}a", "a standby needs a second"


def test_a_cache_version_or_node_type_that_is_not_there_is_found(site: Site) -> None:
    assert only_fault(site.look(cache=Cache("5.0", "cache.t4g.micro", 1))).what == "ElastiCache has no Redis 5.0"
    site.plant(withheld={"cache.t4g.micro": []})
    finding = only_fault(site.look())
    assert (finding.status, finding.where) == (Status.WARNING, "expressway:cache.nodeType")


def test_a_secret_that_is_missing_empty_or_going_is_found(site: Site) -> None:
    secrets = site.client("secretsmanager")
    missing = only_fault(site.look(secrets={WHERE: "shop/none"}))
    assert (missing.what, missing.where) == ("there is no secret shop/none", WHERE)
    secrets.create_secret(Name="shop/empty")
    assert only_fault(site.look(secrets={WHERE: "shop/empty"})).what == "shop/empty has no current value"
    secrets.create_secret(Name="shop/binary", SecretBinary=b"1")
    assert only_fault(site.look(secrets={WHERE: "shop/binary"})).what == "shop/binary holds no text"
    secrets.create_secret(Name="shop/going", SecretString="1")
    secrets.delete_secret(SecretId="shop/going")
    assert only_fault(site.look(secrets={WHERE: "shop/going"})).what == "shop/going is scheduled for deletion"


def test_a_secret_under_a_key_of_ones_own_needs_a_permission(site: Site) -> None:
    kms, key = site.client("kms"), site.client("kms").create_key()["KeyMetadata"]["KeyId"]
    site.client("secretsmanager").create_secret(Name="shop/own", SecretString="1", KmsKeyId=key)
    finding = only_fault(site.look(secrets={WHERE: "shop/own"}))
    assert finding.status == Status.WARNING
    assert "kms:Decrypt" in finding.mend
    kms.disable_key(KeyId=key)
    finding = only_fault(site.look(secrets={WHERE: "shop/own"}))
    assert (finding.status, finding.what) == (Status.FAILED, "the key of shop/own is Disabled")


def test_the_value_of_a_secret_is_shown_nowhere(site: Site) -> None:
    assert "sk_1" not in repr(site.look())


def test_a_default_disk_key_of_ones_own_needs_a_grant(site: Site) -> None:
    kms, ec2 = site.client("kms"), site.client("ec2")
    key = kms.create_key()["KeyMetadata"]["KeyId"]
    ec2.modify_ebs_default_kms_key_id(KmsKeyId=key)
    try:
        finding = only_fault(site.look())
        assert (finding.check, finding.status) == ("disks", Status.FAILED)
        assert f"create-grant --key-id {key} --grantee-principal {SCALING_ROLE}" in finding.mend
        operations = finding.mend.partition("--operations ")[2].rstrip(".").split()
        kms.create_grant(KeyId=key, GranteePrincipal=SCALING_ROLE, Operations=operations)
        assert faults(site.look()) == [], "the mend mends it"
    finally:
        ec2.modify_ebs_default_kms_key_id(KmsKeyId="alias/aws/ebs")


def test_the_states_bucket_must_be_there_and_versioned(site: Site) -> None:
    missing = only_fault(site.look(backend="s3://none-such"))
    assert missing.what == "there is no bucket none-such"
    s3 = site.client("s3")
    s3.put_bucket_versioning(Bucket=BUCKET, VersioningConfiguration={"Status": "Suspended"})
    try:
        assert only_fault(site.look()).what == f"{BUCKET} is not versioned"
    finally:
        s3.put_bucket_versioning(Bucket=BUCKET, VersioningConfiguration={"Status": "Enabled"})


def test_a_lock_that_an_update_left_is_found(site: Site) -> None:
    s3, folder = site.client("s3"), ".pulumi/locks/organization/expressway"
    s3.put_object(Bucket=BUCKET, Key=f"{folder}/staging/1.json", Body=b"{}")
    assert faults(site.look()) == [], "another stack's"
    s3.put_object(Bucket=BUCKET, Key=f"{folder}/dev/1.json", Body=b"{}")
    try:
        finding = only_fault(site.look())
        assert finding.status == Status.WARNING
        assert "pulumi cancel -s dev" in finding.mend
    finally:
        s3.delete_object(Bucket=BUCKET, Key=f"{folder}/dev/1.json")


def test_where_the_state_is_may_be_unknown(site: Site) -> None:
    finding = only_fault(site.look(backend=None))
    assert (finding.check, finding.status) == ("state", Status.UNCHECKED)


def test_a_caller_without_the_deployers_policy_may_not_deploy(site: Site) -> None:
    with site.without("deployer-policy-named"):
        finding = only_fault(site.look())
    assert (finding.check, finding.status) == ("permissions", Status.FAILED)
    assert "iam:CreateRole" in finding.what
    assert "ec2:CreateVpc" not in finding.what


def test_each_permission_is_asked_for_with_its_resource_and_condition(site: Site) -> None:
    iam, narrow = site.api.client("iam"), deployer.documents()["deployer-policy-named"]
    for statement in narrow["Statement"]:
        if "iam:PassRole" in statement["Action"]:
            statement["Condition"]["StringEquals"]["iam:PassedToService"] = ["lambda.amazonaws.com"]
        if "ssm:PutParameter" in statement["Action"]:
            statement["Resource"] = ["arn:aws:ssm:*:*:parameter/another-*"]
    site.attach("narrow", narrow)
    try:
        with site.without("deployer-policy-named"):
            finding = only_fault(site.look())
    finally:
        iam.detach_user_policy(UserName=USER, PolicyArn="arn:aws:iam::123456789012:policy/narrow")
    assert "iam:PassRole" in finding.what
    assert "ssm:PutParameter" in finding.what
    assert "iam:CreateRole" not in finding.what


def test_a_service_role_is_there_or_can_be_made(site: Site) -> None:
    iam, name = site.api.client("iam"), "AWSServiceRoleForRDS"
    iam.delete_service_linked_role(RoleName=name)
    try:
        report = site.look()
        assert faults(report) == []
        assert f"{name} will be made by the first deploy" in [each.what for each in report.findings]
        with site.without("deployer-policy-named"):
            checks = [each.check for each in faults(site.look())]
        assert checks == ["service roles", "permissions"]
    finally:
        iam.create_service_linked_role(AWSServiceName=ROLES[name])


def test_a_shard_too_many_for_the_account_is_told_and_ones_own_are_not_counted_twice(site: Site) -> None:
    rds, database = site.client("rds"), replace(site.wanted.database, shards=2)
    for name in ("another", f"{site.wanted.stack}-database-instance-0a1b2c3"):
        rds.create_db_instance(DBInstanceIdentifier=name, DBInstanceClass="db.t4g.micro", Engine="postgres")
    site.plant(quotas={"L-1216C47A": 64, "L-7B6409FD": 2})
    try:
        finding = only_fault(site.look(database=database))
        assert (finding.what, finding.where) == ("RDS instances: 1 of 2 free, 2 needed", "expressway:database.shards")
        assert "--service-code rds --quota-code L-7B6409FD --desired-value 3" in finding.mend
        assert faults(site.look()) == []
    finally:
        site.plant()
        for name in ("another", f"{site.wanted.stack}-database-instance-0a1b2c3"):
            rds.delete_db_instance(DBInstanceIdentifier=name, SkipFinalSnapshot=True)


def test_a_proxy_too_many_for_the_account_is_told_and_ones_own_are_not_counted_twice(site: Site) -> None:
    rds, database = site.client("rds"), replace(site.wanted.database, shards=2, proxied=True)
    subnets = [each["SubnetId"] for each in site.client("ec2").describe_subnets()["Subnets"]][:2]
    names = ("another", f"{site.wanted.stack}-database-proxy-0a1b2c3")
    for name in names:
        auth = [{"AuthScheme": "SECRETS", "SecretArn": "arn:aws:secretsmanager:us-east-1:1:secret:db"}]
        role = "arn:aws:iam::123456789012:role/proxy"
        rds.create_db_proxy(DBProxyName=name, EngineFamily="POSTGRESQL", Auth=auth, RoleArn=role, VpcSubnetIds=subnets)
    site.plant(quotas={"L-1216C47A": 64, "L-D94C7EA3": 2})
    try:
        finding = only_fault(site.look(database=database))
        assert (finding.what, finding.where) == ("RDS proxies: 1 of 2 free, 2 needed", "expressway:database.shards")
        assert "--service-code rds --quota-code L-D94C7EA3 --desired-value 3" in finding.mend
        assert faults(site.look(database=replace(database, proxied=False))) == [], "nobody asks without one"
    finally:
        site.plant()
        for name in names:
            rds.delete_db_proxy(DBProxyName=name)


@pytest.mark.parametrize(
    "action",
    [
        "servicequotas:GetServiceQuota",
        "iam:SimulatePrincipalPolicy",
        "ec2:DescribeInstances",
        "ec2:GetEbsDefaultKmsKeyId",
    ],
)
def test_what_the_caller_may_not_ask_is_not_taken_for_well(site: Site, action: str) -> None:
    with site.denying(action):
        report = site.look()
    assert faults(report)
    for finding in faults(report):
        assert finding.status == Status.UNCHECKED
        assert f"needs {action}" in finding.what
    assert report.sound, "and not for a failure either"


def test_five_faults_at_once_are_all_found(site: Site) -> None:
    with site.five_faults():
        report = site.look()
    assert [each.check for each in report.of(Status.FAILED)] == [
        "quotas",
        "database",
        "secrets",
        "state",
        "permissions",
    ]
    assert len(faults(report)) == 5


@pytest.mark.parametrize("columns", [80, 120])
def test_people_get_a_table_that_fits_their_terminal(site: Site, tmp_path: Path, columns: int) -> None:
    with site.five_faults():
        done = command(site, settings_folder(tmp_path / "stack"), COLUMNS=str(columns))
    assert done.returncode == 1, done.stderr
    head, _, tail = done.stdout.partition("Not counted")
    assert max(len(line.rstrip()) for line in head.splitlines()) <= columns
    assert head.count("Mend: ") == 5
    said = re.sub(r"\s+", " ", head)
    assert "vCPUs of t3.small: 0 of 4 free" not in said
    assert "vCPUs of t3.small: 4 of 4 free, 6 needed expressway:app.instanceType" in said
    assert "all of it 136.35 - 175.67" in said
    assert "5 to mend, 0 to know, 0 that could not be checked." in tail
    logs = "Logs, of these: 0.50 USD a GB that is told, about 0.30 for a million requests; 0.03 a GB and month."
    assert logs in re.sub(r"\s+", " ", tail)


def test_programs_get_json_and_the_exit_status_says_whether_all_is_well(site: Site, tmp_path: Path) -> None:
    folder = settings_folder(tmp_path / "stack")
    well = command(site, folder, "--json")
    assert (well.returncode, well.stderr) == (0, "")
    told = json.loads(well.stdout)
    assert told["sound"] is True
    assert {each["status"] for each in told["findings"]} == {"ok"}
    assert any("4 servers while rolling x (6 in its pool" in each["what"] for each in told["findings"])
    assert told["cost"]["month"] == pytest.approx(136.35)
    assert told["cost"]["logs"] == {"told": 0.5, "kept": 0.03, "million": pytest.approx(0.3)}
    with site.five_faults():
        ill = command(site, folder, "--json", "--stack", "dev")
    assert ill.returncode == 1
    assert json.loads(ill.stdout)["sound"] is False


def test_one_line_says_why_nothing_can_be_looked_at(site: Site, tmp_path: Path) -> None:
    folder = settings_folder(tmp_path / "stack")
    keyless = command(site, folder, AWS_ACCESS_KEY_ID="", AWS_SECRET_ACCESS_KEY="")
    assert keyless.returncode == 1
    assert keyless.stderr.startswith("error: there are no credentials. Run `aws sso login`")
    assert keyless.stderr.count("\n") == 1
    assert "all of it" in keyless.stdout, "what it would cost, nobody has to be asked"
    missing = command(site, folder, "--stack", "nosuch")
    assert (missing.returncode, missing.stdout) == (2, "")
    assert "there is no Pulumi.nosuch.yaml here" in re.sub(r"[\s│]+", " ", missing.stderr)
    (folder / "Pulumi.dev.yaml").write_text("config: {aws:region: us-east-1, expressway:app: {minSize: 9}}\n")
    wrong = command(site, folder)
    assert wrong.returncode == 1
    assert "expressway:app.minSize = 9" in wrong.stderr


def test_an_unknown_fact_of_an_account_is_refused(site: Site) -> None:
    with pytest.raises(Exception, match="400"):
        site.plant(quota={"L-1216C47A": 0})
