"""The whole stack on this machine, as its users and its neighbours meet it."""

import base64
import json
import shutil
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import requests

from lab.aws import Aws
from lab.bench import rotated, rotation
from lab.bench.load import Plan
from lab.config import read
from lab.machines.services import postgresql
from tests.lab.in_place import Releases
from tests.lab.stack import Stack, expressway
from tests.paths import ROOT

APPS = ROOT / "tests/fixtures/apps"

pytestmark = [pytest.mark.lab, pytest.mark.timeout(900)]


def eventually(check: Callable[[], bool], seconds: float = 180) -> bool:
    """Whether `check` becomes true, for as long as a busy host may need for it."""
    deadline = time.monotonic() + seconds
    while not (true := check()) and time.monotonic() < deadline:
        time.sleep(0.3)
    return true


def aws() -> Aws:
    lab = read()
    assert lab, "the lab has no configuration"
    return Aws(lab.endpoint, lab.region)


def redis_command(command: str) -> list[str]:
    """How to ask a node of the cache with all rights, from inside."""
    script = f'REDISCLI_AUTH="$(cat /etc/redis/lab-password)" redis-cli -s /run/redis/lab.sock --user lab {command}'
    return ["sh", "-c", script]


def test_every_tier_has_its_own_machine_that_booted_by_cloud_init(stack: Stack) -> None:
    for tier, count in {"edge": 1, "app": 2, "cache": 1, "database": 1}.items():
        machines = stack.machines(tier)
        assert len(machines) == count, f"{tier}: {machines}"
        for machine in machines:
            assert machine["state"] == "ready", f"cloud-init did not end well on {machine}"
            assert machine["boot_seconds"] > 0, f"no boot was measured on {machine}"


def test_all_workers_of_both_app_servers_answer(stack: Stack) -> None:
    # At once: one after the other, they would find the same few connections that Nginx keeps.
    with ThreadPoolExecutor(32) as pool:
        answers = list(pool.map(lambda _: stack.get("/"), range(400)))
    assert {answer.status_code for answer in answers} == {200}
    seen: set[tuple[str, object]] = {(answer.json()["instance"], answer.json()["worker"]) for answer in answers}
    instances = {instance for instance, _ in seen}
    assert instances == {machine["id"] for machine in stack.machines("app")}, f"answered: {seen}"
    cpus = int(stack.shell(next(iter(instances)), "nproc").stdout)
    assert len(seen) == 2 * cpus, f"{cpus} workers on each of two servers, and these answered: {seen}"


def test_an_item_written_through_one_server_is_read_through_the_other(stack: Stack) -> None:
    first, second = (f"http://{machine['address']}:3000" for machine in stack.machines("app"))
    written = stack.shell("edge", "curl", "-sSf", "--json", '{"name": "across"}', f"{first}/items")
    assert written.returncode == 0, written.stderr
    assert '"name":"across"' in written.stdout.replace(" ", ""), written.stdout
    identifier = written.stdout.split('"id":')[1].strip().split(",")[0].strip('"} ')
    read_back = stack.shell("edge", "curl", "-sSf", f"{second}/items/{identifier}")
    assert '"across"' in read_back.stdout, f"the other server does not have it: {read_back.stdout}{read_back.stderr}"


def test_the_cache_goes_miss_hit_and_miss_again_after_a_write(stack: Stack) -> None:
    identifier = stack.request("POST", "/items", json={"name": "cached"}).json()["id"]
    path = f"/items/{identifier}"
    caches = [stack.get(path).headers["X-Cache"] for _ in range(3)]
    assert caches == ["miss", "hit", "hit"], caches
    changed = stack.request("PUT", path, json={"name": "changed"})
    assert changed.status_code == 200, changed.text
    again = stack.get(path)
    assert (again.headers["X-Cache"], again.json()["name"]) == ("miss", "changed"), again.text
    assert stack.request("DELETE", path).status_code == 204
    assert stack.get(path).status_code == 404, "a deleted item is still served"


def test_stopping_redis_keeps_reads_and_writes_working(stack: Stack) -> None:
    identifier = stack.request("POST", "/items", json={"name": "without cache"}).json()["id"]
    assert stack.shell("cache", "systemctl", "stop", "redis-server").returncode == 0
    try:
        for _ in range(10):
            answer = stack.get(f"/items/{identifier}")
            assert answer.status_code == 200, answer.text
            assert answer.elapsed.total_seconds() < 2, "a read waits for the cache that is down"
        assert stack.request("POST", "/items", json={"name": "written meanwhile"}).status_code == 201
    finally:
        assert stack.shell("cache", "systemctl", "start", "redis-server").returncode == 0

    def hit() -> bool:
        return stack.get(f"/items/{identifier}").headers["X-Cache"] == "hit"

    assert eventually(hit), "the app does not use the cache again once it is back"


REACHABLE = [
    ("edge", "app", 3000),
    ("app", "cache", 6379),
    ("app", "database", 5432),
]
UNREACHABLE = [
    ("edge", "database", 5432),
    ("edge", "cache", 6379),
    ("edge", "app", 22),
    ("edge", "app", 9464),
    ("app", "edge", 443),
    ("app", "edge", 8081),
    ("app", "app", 3000),
    ("cache", "database", 5432),
    ("cache", "app", 3000),
    ("database", "cache", 6379),
    ("database", "app", 3000),
]


def peers(stack: Stack, source: str, target: str) -> tuple[str, str]:
    """A machine of `source`, and the address of a machine of `target` that is another one."""
    return stack.machines(source)[0]["id"], stack.machines(target)[-1]["address"]


@pytest.mark.parametrize(("source", "target", "port"), REACHABLE)
def test_what_the_security_groups_allow_is_reachable(stack: Stack, source: str, target: str, port: int) -> None:
    machine, address = peers(stack, source, target)
    assert eventually(lambda: stack.reaches(machine, address, port)), f"{source} does not reach {target} on {port}"


@pytest.mark.parametrize(("source", "target", "port"), UNREACHABLE)
def test_what_no_rule_allows_is_not_reachable(stack: Stack, source: str, target: str, port: int) -> None:
    machine, address = peers(stack, source, target)
    assert not stack.reaches(machine, address, port), f"{source} reaches {target} on {port}"


def test_the_outside_reaches_port_80_of_the_edge_and_nothing_else(stack: Stack) -> None:
    import socket

    def reaches(address: str, port: int) -> bool:
        try:
            socket.create_connection((address, port), 1).close()
        except ConnectionRefusedError:
            return True  # the packet got there
        except OSError:
            return False
        return True

    public = stack.url.removeprefix("http://")
    assert eventually(lambda: reaches(public, 80)), "port 80 of the edge is closed"
    for port in (22, 443, 3000, 8081):
        assert not reaches(public, port), f"port {port} of the edge is open to the outside"
    for tier, ports in {"edge": (22, 8081), "app": (22, 3000), "cache": (6379,), "database": (5432,)}.items():
        for port in ports:
            address = stack.machines(tier)[0]["address"]
            assert not reaches(address, port), f"{tier} {address}:{port} is open to the outside"


def test_a_rule_taken_away_closes_the_way_and_given_back_opens_it(stack: Stack) -> None:
    ec2 = aws()("ec2")
    machine, address = peers(stack, "app", "database")
    rules = [
        rule
        for rule in ec2.describe_security_group_rules()["SecurityGroupRules"]
        if not rule["IsEgress"] and rule.get("FromPort") == 5432
    ]
    assert len(rules) == 1, f"one rule opens the database: {rules}"
    rule = rules[0]
    ec2.revoke_security_group_ingress(GroupId=rule["GroupId"], SecurityGroupRuleIds=[rule["SecurityGroupRuleId"]])
    try:
        closed = eventually(lambda: not stack.reaches(machine, address, 5432))
    finally:
        ec2.authorize_security_group_ingress(
            GroupId=rule["GroupId"],
            IpPermissions=[
                {
                    "IpProtocol": rule["IpProtocol"],
                    "FromPort": rule["FromPort"],
                    "ToPort": rule["ToPort"],
                    "UserIdGroupPairs": [{"GroupId": rule["ReferencedGroupInfo"]["GroupId"]}],
                }
            ],
        )
    assert closed, "the database is still reachable without its rule"
    assert eventually(lambda: stack.reaches(machine, address, 5432)), "the rule is back and the way is not"


def test_the_database_takes_no_connection_without_tls(stack: Stack) -> None:
    address = stack.machines("database")[0]["address"]
    # A startup message without an SSLRequest before it: the server answers with an error, not with authentication.
    script = (
        "import socket,struct\n"
        "p=b'user\\0expressway\\0database\\0app\\0\\0'\n"
        f"s=socket.create_connection(({address!r},5432),3)\n"
        "s.sendall(struct.pack('!II',len(p)+8,196608)+p)\n"
        "print(s.recv(400))\n"
    )
    answer = stack.shell(stack.machines("app")[0]["id"], "python3", "-c", script).stdout
    assert "no encryption" in answer, f"the database talks without TLS: {answer}"


def test_the_cache_takes_no_plain_connection(stack: Stack) -> None:
    machine, address = peers(stack, "app", "cache")
    plain = f"exec 3<>/dev/tcp/{address}/6379; printf 'PING\\r\\n' >&3; timeout 2 head -c 7 <&3"
    assert "PONG" not in stack.shell(machine, "bash", "-c", plain).stdout


def test_metadata_is_given_to_sessions_with_a_token_only(stack: Stack) -> None:
    code = stack.shell(
        "edge", "curl", "-s", "-o", "/dev/null", "-w", "%{http_code}", "http://169.254.169.254/latest/meta-data/"
    )
    assert code.stdout == "401", f"IMDSv1 answers {code.stdout}"


def test_the_metadata_service_tells_where_in_which_network_a_machine_is(stack: Stack) -> None:
    machine = stack.machines("app")[0]
    instance = next(
        instance
        for reservation in aws().pages("ec2", "describe_instances", "Reservations", InstanceIds=[machine["id"]])
        for instance in reservation["Instances"]
    )
    (vpc,) = aws()("ec2").describe_vpcs(VpcIds=[instance["VpcId"]])["Vpcs"]
    (subnet,) = aws()("ec2").describe_subnets(SubnetIds=[instance["SubnetId"]])["Subnets"]
    mac = 'network/interfaces/macs/$(curl -sH "$t" $m/mac)'
    paths = (
        f"{mac}/vpc-ipv4-cidr-blocks",
        f"{mac}/subnet-ipv4-cidr-block",
        "placement/availability-zone-id",
        "local-hostname",
    )
    asked = "\n".join(f'curl -sH "$t" "$m/{path}"; echo' for path in paths)
    put = "curl -sX PUT -H 'X-aws-ec2-metadata-token-ttl-seconds: 60' http://169.254.169.254/latest/api/token"
    script = f't="X-aws-ec2-metadata-token: $({put})"\nm=http://169.254.169.254/latest/meta-data\n{asked}'
    told = stack.shell(machine["id"], "bash", "-c", script).stdout.split()
    name = f"ip-{machine['address'].replace('.', '-')}.ec2.internal"
    assert told == [vpc["CidrBlock"], subnet["CidrBlock"], subnet["AvailabilityZoneId"], name]


def test_no_secret_is_in_user_data_arguments_logs_or_files_of_the_app_servers(stack: Stack) -> None:
    secrets_manager = aws()("secretsmanager")
    secrets: list[str] = []
    for secret in secrets_manager.list_secrets()["SecretList"]:
        value = secrets_manager.get_secret_value(SecretId=secret["ARN"])["SecretString"]
        secrets.append(value.split('"password": "')[1].split('"')[0] if value.startswith("{") else value)
    assert len(secrets) == 4, "the database's two passwords, the cache's token and the app's own"
    files = "/proc/[0-9]*/cmdline /var/log/*.log /etc/expressway/* /var/lib/cloud/instance/user-data.txt"
    places = f"journalctl --no-pager; cat {files}"
    for machine in (*stack.machines("app"), *stack.machines("edge")):
        text = stack.shell(machine["id"], "bash", "-c", f"({places}) 2>/dev/null | tr '\\0' ' '").stdout
        assert "expressway" in text, "the places that were searched are empty"
        for secret in secrets:
            assert secret not in text, f"a secret is in the clear on {machine['id']}"


def asked_of_the_database(stack: Stack, query: str) -> list[str]:
    done = stack.shell(
        stack.machines("database")[0]["id"], *postgresql.questions(5432), "--dbname=app", f"--command={query}"
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.split()


def test_the_app_is_a_role_of_its_own_which_has_its_tables_and_no_more(stack: Stack) -> None:
    may = "select rolsuper, rolcreatedb, rolcreaterole, rolreplication from pg_roles where rolname = 'app'"
    assert asked_of_the_database(stack, may) == ["f|f|f|f"]
    owner = "select distinct tableowner from pg_tables where schemaname = 'public'"
    assert asked_of_the_database(stack, owner) == ["app"]
    others = (
        "select count(*) from pg_stat_activity where usename = 'expressway' and application_name <> 'expressway-role'"
    )
    assert asked_of_the_database(stack, others) == ["0"], "somebody is there as the master user"
    assert "//app:" in stack.shell(stack.machines("app")[0]["id"], "cat", "/run/expressway/environment.json").stdout


def test_an_app_servers_workers_share_a_pool_whose_connections_were_counted(stack: Stack) -> None:
    """Without TLS to their own machine, and with it from there to the database."""
    query = (
        "select host(client_addr), count(*), bool_and(ssl) from pg_stat_activity join pg_stat_ssl using (pid) "
        "where usename = 'app' and application_name <> 'expressway-metrics' group by 1"
    )
    plain = (
        "import json, psycopg2\n"
        "url = json.load(open('/run/expressway/environment.json'))['DATABASE_URL']\n"
        "assert '@127.0.0.1:6432/' in url\n"
        "connection = psycopg2.connect(url.partition('?')[0], sslmode='disable')\n"
        "cursor = connection.cursor()\n"
        "cursor.execute('select count(*) from items')\n"
        "print(cursor.fetchone()[0] >= 0)\n"
    )
    for machine in stack.machines("app"):
        assert stack.shell(machine["id"], "python3", "-c", plain).stdout.strip() == "True", "a client without TLS"
    with ThreadPoolExecutor(64) as pool:
        answers = list(pool.map(lambda number: stack.get(f"/items/{number}").status_code, range(400)))
    assert max(answers) < 500, "a burst of more requests than connections"
    told = json.loads(stack.shell(stack.machines("app")[0]["id"], "cat", "/etc/expressway/machine.json").stdout)
    rows = [line.split("|") for line in asked_of_the_database(stack, query)]
    assert len(rows) == len(stack.machines("app")), rows
    assert all(2 <= int(count) <= told["database"]["pool_size"] and ssl == "t" for _, count, ssl in rows), rows


def test_requests_wait_while_the_database_is_away(stack: Stack) -> None:
    """As while it restarts. They are a client's that knows nothing of it, on each app server."""
    client = (
        "import json, psycopg2, time\n"
        "url, began = json.load(open('/run/expressway/environment.json'))['DATABASE_URL'], time.monotonic()\n"
        "cursor = psycopg2.connect(url).cursor()\n"
        "cursor.execute('select 1')\n"
        "print(began, time.monotonic())\n"
    )
    servers, database = [each["id"] for each in stack.machines("app")], stack.machines("database")[0]["id"]
    with ThreadPoolExecutor() as threads:
        assert stack.shell(database, "systemctl", "stop", "postgresql@17-main").returncode == 0
        try:
            time.sleep(1)
            asked = [threads.submit(stack.shell, each, "python3", "-c", client) for each in servers for _ in range(3)]
            time.sleep(5)
            assert not any(each.done() for each in asked), [each.result() for each in asked if each.done()]
        finally:
            # The machines have this host's clock.
            back = time.monotonic()
            assert stack.shell(database, "systemctl", "start", "postgresql@17-main").returncode == 0
    for each in asked:
        answer = each.result()
        assert answer.returncode == 0, answer.stderr
        began, ended = map(float, answer.stdout.split())
        assert began < back < ended < began + 15, "it waited for the database, and no longer"
    for each in servers:
        said = stack.shell(each, "journalctl", "--unit=expressway-hold", "--no-pager").stdout
        assert "for which requests waited" in said, said


def test_a_password_a_token_and_a_secret_that_change_under_load_fail_no_request(stack: Stack) -> None:
    """All in one load, which takes a minute; `make bench-rotation` has each by itself."""
    password, token, own = rotated.password(aws()), rotated.CacheToken(aws()), rotated.OwnSecret(aws())
    before = workers(stack)
    result = rotation.measure(stack.url, Plan(rate=100), [password, token, own])
    assert len(result.outcome.samples) > 1000, "there was a load"
    assert not result.outcome.failures(), dict(result.outcome.failures())
    assert result.lost == 0, "an acknowledged write is not in the database"
    assert set(result.noticed) == {machine["id"] for machine in stack.machines("app")}, "every worker has them"
    assert max(result.noticed.values()) < 90, f"not within a minute and a reload: {result.noticed}"
    for machine in stack.machines("app"):
        said = stack.shell(machine["id"], "journalctl", "--unit=expressway-secrets", "--no-pager").stdout
        # Its password alone is PgBouncer's to have; what workers are reloaded for here are the other two.
        for variable in ("DATABASE_DIRECT_URL", "REDIS_URL", own.variable):
            assert any("new for the app:" in line and variable in line for line in said.splitlines()), said

    after = workers(stack)
    assert len(after) == len(before) >= 4
    assert not before.keys() & after.keys(), "a worker was not reloaded"
    assert all(own.value in started_with for started_with in after.values()), "a worker has another value"
    # The old token is good for nothing any more: whoever still has it reads from the database from now on.
    stack.shell(stack.machines("cache")[0]["id"], *redis_command("CLIENT KILL TYPE normal SKIPME yes"))
    item = stack.request("POST", "/items", json={"name": "read by all"}).json()["id"]

    def read_from() -> set[str]:
        # At once, so that every worker is asked.
        with ThreadPoolExecutor(32) as pool:
            return set(pool.map(lambda _: stack.get(f"/items/{item}").headers["X-Cache"], range(100)))

    assert eventually(lambda: read_from() == {"hit"}, 30), f"a worker can't use the cache: {read_from()}"


def workers(stack: Stack) -> dict[str, str]:
    """What each of the app's workers was started with, by machine and process."""
    found: dict[str, str] = {}
    for machine in stack.machines("app"):
        script = (
            'for each in $(pgrep -f "^node .*/server.js"); do echo "$each $(base64 -w 0 < /proc/$each/environ)"; done'
        )
        for line in stack.shell(machine["id"], "bash", "-c", script).stdout.splitlines():
            process, _, started_with = line.partition(" ")
            found[f"{machine['id']} {process}"] = base64.b64decode(started_with).decode(errors="replace")
    return found


def watching(stack: Stack, machine: str) -> list[int]:
    """Bytes that each process of the collector's has resident: more than it costs, as they share libraries."""
    script = "main=$(systemctl show --property=MainPID --value expressway-metrics); ps -o rss= -p $main --ppid $main"
    return [1024 * int(each) for each in stack.shell(machine, "bash", "-c", script).stdout.split()]


def test_machines_measure_themselves_tell_cloudwatch_and_harm_no_request_when_that_breaks(stack: Stack) -> None:
    item = stack.request("POST", "/items", json={"name": "measured"}).json()["id"]

    def scraped(machine: str) -> dict[str, float]:
        text = stack.shell(machine, "curl", "-s", "--max-time", "5", "http://127.0.0.1:9464/metrics").stdout
        lines = [line.rpartition(" ") for line in text.splitlines() if not line.startswith("#")]
        return {series: float(value) for series, _, value in lines}

    def count(machine: str, series: str) -> int:
        return sum(name.startswith(series) for name in scraped(machine))

    def requests_of_workers(machine: str) -> float:
        return min(value for name, value in scraped(machine).items() if "worker_requests_total" in name)

    apps = [machine["id"] for machine in stack.machines("app")]
    cpus = int(stack.shell(apps[0], "nproc").stdout)
    for app in apps:
        workers = f"{app}: a worker does not tell how it is"
        assert eventually(lambda app=app: count(app, "expressway_worker_up_seconds") == cpus, 60), workers
        assert eventually(lambda app=app: requests_of_workers(app) > 0, 60), "probes"
    items = 'expressway_edge_responses_total{class="2xx",route="/items"}'
    assert eventually(lambda: scraped("edge").get(items, 0) >= 1, 60), scraped("edge")
    for machine in (*apps, "edge"):
        memory = watching(stack, machine)
        assert len(memory) == 2, "the collector, and journalctl"
        assert sum(memory) < 60e6, memory

    cloudwatch, asg = aws()("cloudwatch"), aws()("autoscaling")
    groups = {
        tag["Value"]: group["AutoScalingGroupName"]
        for group in asg.describe_auto_scaling_groups()["AutoScalingGroups"]
        for tag in group["Tags"]
        if tag["Key"] == "expressway:tier"
    }

    def told(tier: str) -> set[str]:
        found = cloudwatch.list_metrics(Namespace="Expressway")["Metrics"]
        by = [{"Name": "AutoScalingGroupName", "Value": groups[tier]}]
        return {each["MetricName"] for each in found if each["Dimensions"] == by}

    both = {"CPU", "CPUSteal", "Memory", "Disk", "Network"}
    wanted = {
        "app": both | {"Workers", "WorkerCPU", "WorkerMemory", "WorkerRestarts", "EventLoopLag", "EventLoopLagMax"}
        | {"GarbageCollection", "HeapUsed", "RequestsInFlight", "DatabaseRoundTrip", "DatabaseConnectionsUsed"}
        | {"DatabaseSessions", "DatabaseBusy", "DatabaseWaiting", "CacheRoundTrip", "CacheHitRate", "CacheEvictions"}
        | {"CacheCommands", "DatabasePoolClients", "DatabasePoolWaiting", "KitHitRate", "KitStaleRate", "KitBypassRate"}
        | {"KitBreakersOpen", "KitRetries"},
        "edge": both | {"Requests", "Responses4xx", "Responses5xx", "ResponseTime", "ServerTime", "Retries", "Servers"}
        | {"Connections", "ConnectionsUsed", "ConnectionsDropped", "EdgeErrors", "ListAge", "ErrorShare"}
        | {"UnhealthyServers"},
    }  # fmt: skip

    def all_told() -> bool:
        stack.get(f"/items/{item}")  # from the cache
        # Not told without a limit, which only some nodes have.
        return told("edge") == wanted["edge"] and told("app") - {"CacheMemory"} == wanted["app"]

    assert eventually(all_told, 60), f"{told('edge') ^ wanted['edge']} {told('app') ^ wanted['app']}"

    for machine in (*apps, "edge"):
        stack.shell(machine, "systemctl", "kill", "--signal=STOP", "expressway-metrics")
    statuses = [stack.get("/").status_code for _ in range(100)]
    for machine in (*apps, "edge"):
        stack.shell(machine, "systemctl", "kill", "--signal=KILL", "expressway-metrics")
    statuses += [stack.get("/").status_code for _ in range(100)]
    assert set(statuses) == {200}, "a collector that hangs, or is gone, is in the way of requests"
    for app in apps:
        back = f"{app}: the collector is not back"
        assert eventually(lambda app=app: count(app, "expressway_worker_up_seconds") == cpus, 60), back


def test_what_databases_and_caches_do_is_measured_and_found_under_awss_names(stack: Stack) -> None:
    [database] = aws()("rds").describe_db_instances()["DBInstances"]
    [cache] = aws()("elasticache").describe_replication_groups()["ReplicationGroups"]

    def newest(namespace: str, dimension: str, named: str) -> dict[str, float]:
        """Each metric's largest value in the last minute."""
        cloudwatch, now = aws()("cloudwatch"), datetime.now(UTC)
        by = [{"Name": dimension, "Value": named}]
        names = {each["MetricName"] for each in cloudwatch.list_metrics(Namespace=namespace, Dimensions=by)["Metrics"]}
        found = {
            name: cloudwatch.get_metric_statistics(
                Namespace=namespace, MetricName=name, Dimensions=by, Period=60, Statistics=["Maximum"],
                StartTime=now - timedelta(seconds=60), EndTime=now,
            )["Datapoints"]
            for name in names
        }  # fmt: skip
        return {name: max(each["Maximum"] for each in points) for name, points in found.items() if points}

    def of_database() -> dict[str, float]:
        return newest("AWS/RDS", "DBInstanceIdentifier", database["DBInstanceIdentifier"])

    def of_node() -> dict[str, float]:
        stack.get("/items")
        return newest("AWS/ElastiCache", "CacheClusterId", cache["MemberClusters"][0])

    told = {"CPUUtilization", "DatabaseConnections", "FreeStorageSpace", "FreeableMemory", "CPUCreditBalance"}
    assert eventually(lambda: of_database().keys() == told, 60), of_database()
    assert of_database()["DatabaseConnections"] >= 1, "the app's"
    assert 15 * 2**30 < of_database()["FreeStorageSpace"] < 20 * 2**30
    assert eventually(lambda: of_node().get("CacheHits", 0) >= 1, 60), of_node()
    node = of_node()
    assert {"CPUUtilization", "EngineCPUUtilization", "Evictions", "CacheMisses", "CPUCreditBalance"} <= node.keys()
    assert node["CurrConnections"] >= 1
    assert 0 < node["DatabaseMemoryUsagePercentage"] < 50


def test_a_request_is_found_in_the_logs_of_all_tiers_by_one_command(stack: Stack) -> None:
    answer = stack.request("POST", "/items", json={"name": "logged"})
    request = answer.headers["X-Request-ID"]

    def tiers() -> set[str]:
        done = expressway("logs", "--request", request, "--json")
        return {json.loads(line)["tier"] for line in done.stdout.splitlines()}

    assert eventually(lambda: tiers() == {"edge", "app", "database"}, 60), tiers()


def test_a_worker_that_serves_is_profiled_by_one_command_and_serves_on(stack: Stack, tmp_path: Path) -> None:
    machine = stack.machines("app")[0]["id"]
    page = tmp_path / "profile.html"

    def processes() -> list[str]:
        return stack.shell(machine, "ps", "-u", "expressway-app", "-o", "pid=").stdout.split()

    before, done = processes(), threading.Event()

    def ask() -> None:
        while not done.is_set():
            stack.request("GET", "/items")

    client = threading.Thread(target=ask)
    client.start()
    try:
        run = expressway("profile", "--machine", machine, "--seconds", "4", "--out", str(page), "--json")
    finally:
        done.set()
        client.join()
    assert run.returncode == 0, run.stderr
    told = json.loads(run.stdout)
    assert told["machine"] == machine
    own = {each["where"].split(":")[0] for each in told["functions"] if each["origin"] == "app"}
    assert {"src/routes.js", "kit/cache.js"} <= own, "the app's own, by its own folder"
    assert any(each["where"].startswith("node_modules/express/") for each in told["functions"])
    assert json.loads(page.with_suffix(".cpuprofile").read_text())["nodes"]
    assert len(before) >= 3, "PM2 and its workers"
    assert processes() == before, "nothing was started anew"
    refused = expressway("profile", "--machine", "i-0123456789abcdef0")
    assert refused.returncode == 2
    assert "there is no app server i-0123456789abcdef0" in refused.stderr


def test_the_app_follows_a_cache_that_fails_over(stack: Stack) -> None:
    elasticache = aws()("elasticache")
    name = elasticache.describe_replication_groups()["ReplicationGroups"][0]["ReplicationGroupId"]

    def group() -> Any:
        return elasticache.describe_replication_groups(ReplicationGroupId=name)["ReplicationGroups"][0]

    elasticache.increase_replica_count(ReplicationGroupId=name, NewReplicaCount=1, ApplyImmediately=True)
    elasticache.modify_replication_group(ReplicationGroupId=name, AutomaticFailoverEnabled=True, ApplyImmediately=True)

    def two_nodes() -> bool:
        stack.refresh()
        return [machine["state"] for machine in stack.machines("cache")] == ["ready", "ready"]

    assert eventually(two_nodes, 60), stack.status["machines"]
    items = [stack.request("POST", "/items", json={"name": f"item {number}"}).json()["id"] for number in range(20)]
    assert eventually(lambda: stack.get(f"/items/{items[0]}").headers["X-Cache"] == "hit"), "the cache is in use"

    elasticache.test_failover(ReplicationGroupId=name, NodeGroupId="0001")
    seen: list[tuple[int, str]] = []
    for number in range(8):
        for item in items:
            changed = stack.request("PUT", f"/items/{item}", json={"name": f"round {number}"})
            read = stack.get(f"/items/{item}")
            seen += [(changed.status_code, f"round {number}"), (read.status_code, read.json().get("name", ""))]
            assert seen[-1] == seen[-2] == (200, f"round {number}"), "an error, or a value that was overwritten"

    assert eventually(lambda: group()["Status"] == "available"), "the failover did not end"
    assert [member["CurrentRole"] for member in group()["NodeGroups"][0]["NodeGroupMembers"]] == ["replica", "primary"]
    assert eventually(lambda: stack.get(f"/items/{items[0]}").headers["X-Cache"] == "hit"), "the cache is left alone"
    old, new = (machine["id"] for machine in stack.machines("cache"))
    roles = {
        node: stack.shell(node, *redis_command("INFO replication")).stdout.split("role:")[1].split()[0]
        for node in (old, new)
    }
    assert roles == {old: "slave", new: "master"}, "a real demotion"


def test_a_machine_that_reboots_is_the_same_one_and_takes_up_its_work_by_itself(stack: Stack) -> None:
    edge, app = stack.machines("edge")[0], stack.machines("app")[0]
    before = {machine["id"]: machine["address"] for machine in stack.status["machines"]}
    booted = {}
    for machine in (edge, app):
        assert stack.shell(machine["id"], "sh", "-c", "echo kept > /root/kept").returncode == 0
        booted[machine["id"]] = boot_id(stack, machine["id"])
        assert booted[machine["id"]], "no boot has an id"
    stack.shell(app["id"], "systemctl", "reboot")
    aws()("ec2").reboot_instances(InstanceIds=[edge["id"]])

    def rebooted(machine: str) -> bool:
        return boot_id(stack, machine) not in ("", booted[machine])

    for machine in booted:
        assert eventually(lambda machine=machine: rebooted(machine)), f"{machine} does not come back"
    both = {machine["id"] for machine in stack.machines("app")}
    assert eventually(lambda: answering(stack) == both), "not every app server gets traffic through the edge again"
    stack.await_machines(len(before))
    assert {machine["id"]: machine["address"] for machine in stack.status["machines"]} == before, "others, or elsewhere"
    for machine, units in ((edge, ("nginx", "expressway-reconciler")), (app, ("expressway-app",))):
        assert stack.shell(machine["id"], "cat", "/root/kept").stdout == "kept\n", "its disk is another"
        active = stack.shell(machine["id"], "systemctl", "is-active", *units)
        assert active.returncode == 0, f"{machine['tier']}: {active.stdout}"
        installed = ("grep", "--count", "expressway: the edge is at\\|expressway: the app is ready")
        log = "/var/log/cloud-init-output.log"
        assert stack.shell(machine["id"], *installed, log).stdout == "1\n", "user data ran again"
    public = stack.url.removeprefix("http://")
    (address,) = aws()("ec2").describe_addresses(PublicIps=[public])["Addresses"]
    assert address["InstanceId"] == edge["id"], "the address has moved"


def boot_id(stack: Stack, machine: str) -> str:
    """Another at each boot; empty while the machine is down."""
    return stack.shell(machine, "cat", "/proc/sys/kernel/random/boot_id").stdout


def answering(stack: Stack) -> set[str]:
    """The app servers that answer through the edge."""
    try:
        return {stack.get("/").json().get("instance") for _ in range(20)}
    except (requests.RequestException, ValueError):
        return set()


def test_a_release_is_put_on_machines_that_are_up_with_its_command_and_processes_and_back(
    stack: Stack, tmp_path: Path
) -> None:
    releases = Releases(aws())
    machines = [machine["id"] for machine in stack.machines("app")]
    before = releases.pointer
    folder = shutil.copytree(APPS / "processes", tmp_path / "app")
    after = releases.upload(folder)
    bad = releases.upload(APPS / "exits")

    def journal(machine: str, name: str) -> list[str]:
        return stack.shell(
            machine, "journalctl", f"--identifier={name}", "--no-pager", "--output=cat"
        ).stdout.splitlines()

    try:
        for report in releases.put(after, *machines):
            assert (report["state"], report["release"]) == ("ready", after["release_id"]), report
        answers = [stack.get("/").json() for _ in range(20)]
        assert {answer["release"] for answer in answers} == {after["release_id"]}
        assert eventually(lambda: answering(stack) == set(machines), 30), "one that was out is not taken back"
        begins = f"of release {after['release_id']} begins"
        for machine in machines:
            assert eventually(lambda machine=machine: f"worker {begins}" in journal(machine, "worker"), 20)
        assert eventually(lambda: any(f"clock {begins}" in journal(machine, "clock") for machine in machines), 20)
        holders = [machine for machine in machines if f"clock {begins}" in journal(machine, "clock")]
        assert len(holders) == 1, "the fleet has one"
        migrated = [
            line
            for machine in machines
            for line in stack.shell(machine, "journalctl", "--unit=expressway-deploys", "--output=cat").stdout.split(
                "\n"
            )
            if line.startswith("migrated")
        ]
        assert migrated == [f"migrated for release {after['release_id']} on {machines[0]}"], "once for the deploy"

        (report,) = releases.put(bad, machines[0])
        assert (report["state"], report["release"]) == ("failed", after["release_id"]), "what ran before runs again"
        assert "no such config" in report["log"], report
        assert eventually(lambda: {stack.get("/").json()["release"] for _ in range(8)} == {after["release_id"]}, 20)
    finally:
        reports = releases.put(before, *machines)
    assert [(report["state"], report["release"]) for report in reports] == [("ready", before["release_id"])] * 2
    assert "worker drains" in journal(machines[0], "worker"), "a process has its time to end"
    assert stack.get("/items").status_code == 200


def test_an_app_server_that_dies_is_replaced_and_the_edge_goes_on(stack: Stack) -> None:
    before = {machine["id"] for machine in stack.machines("app")}
    victim, told = sorted(before)[0], reconciler(stack)["events_received"]
    stack.shell(victim, "bash", "-c", "systemctl poweroff --force --force")

    assert eventually(lambda: replaced(stack, victim), 90), (
        f"no new app server took the place of {victim}: {stack.status['machines']}"
    )
    survivor_and_new = {machine["id"] for machine in stack.machines("app")}
    assert eventually(lambda: answering(stack) == survivor_and_new), "the new app server gets no traffic"
    assert reconciler(stack)["events_received"] >= told + 2, "EventBridge said nothing of a launch and an end"
    assert reconciler(stack)["error"] is None


def reconciler(stack: Stack) -> dict[str, Any]:
    """How things are, as the edge tells them."""
    return json.loads(stack.shell("edge", "cat", "/run/expressway/reconciler.json").stdout)


def test_a_machine_that_the_api_terminates_shuts_down_in_order(stack: Stack) -> None:
    stack.refresh()
    victim = sorted(machine["id"] for machine in stack.machines("app"))[0]
    slow = stack.shell(victim, "systemd-run", "--unit=slow", "-p", "ExecStop=sleep 4", "sleep", "infinity")
    assert slow.returncode == 0, slow.stderr
    ec2 = aws()("ec2")

    def state() -> str:
        found = ec2.describe_instances(InstanceIds=[victim])["Reservations"]
        return found[0]["Instances"][0]["State"]["Name"]

    began = time.monotonic()
    ec2.terminate_instances(InstanceIds=[victim])
    assert state() == "shutting-down"
    assert eventually(lambda: state() == "terminated", 60)
    assert time.monotonic() - began >= 4, "its units were not waited for"
    assert eventually(lambda: replaced(stack, victim), 90), "no other came"


def told_by(edge: str, stack: Stack) -> dict[str, str]:
    """Each app server's state, as this edge reports it in the bucket."""
    s3 = aws()("s3")
    for bucket in s3.list_buckets()["Buckets"]:
        found = s3.list_objects_v2(Bucket=bucket["Name"], Prefix=f"reports/edge/{edge}.json").get("Contents", [])
        for each in found:
            body = s3.get_object(Bucket=bucket["Name"], Key=each["Key"])["Body"].read()
            return {member["id"]: member["state"] for member in json.loads(body)["members"]}
    return {}


def test_an_app_server_with_the_tag_is_drained_and_comes_back_without_it(stack: Stack) -> None:
    edge, (drained, other) = stack.machines("edge")[0]["id"], [each["id"] for each in stack.machines("app")]
    ec2, tag = aws()("ec2"), {"Key": "expressway:drain", "Value": "test"}
    ec2.create_tags(Resources=[drained], Tags=[tag])
    try:
        assert eventually(lambda: told_by(edge, stack) == {drained: "out", other: "serving"}), told_by(edge, stack)
        assert answering(stack) == {other}
    finally:
        ec2.delete_tags(Resources=[drained], Tags=[{"Key": tag["Key"]}])
    assert eventually(lambda: answering(stack) == {drained, other}), "it does not come back"


def test_an_app_server_that_hangs_gets_no_requests_and_is_replaced(stack: Stack) -> None:
    """EC2's own checks see nothing of it: its kernel is well."""
    victim, other = (each["id"] for each in stack.machines("app"))
    edge = stack.machines("edge")[0]["id"]
    hung = stack.shell(victim, "sh", "-c", "systemctl kill --signal=STOP expressway-app.service")
    assert hung.returncode == 0, hung.stderr
    began = time.monotonic()
    assert eventually(lambda: told_by(edge, stack).get(victim) != "serving"), "it still gets requests"
    assert time.monotonic() - began < 12, "5 s, the report and what a busy host adds"
    assert answering(stack) == {other}
    assert eventually(lambda: replaced(stack, victim), 150), f"{victim} was not replaced: {stack.status['machines']}"
    said = stack.shell(edge, "journalctl", "--unit=expressway-reconciler", "--no-pager").stdout
    assert f"{victim}: reported as unhealthy, to be replaced: timed out" in said, said


def test_a_permission_taken_out_of_the_program_makes_the_boot_fail_as_on_aws(stack: Stack) -> None:
    iam, autoscaling = aws()("iam"), aws()("autoscaling")
    role, policy, document = policy_that_allows("ssm:GetParameter")
    without = [each for each in document["Statement"] if each["Action"] != "ssm:GetParameter"]
    before = {machine["id"] for machine in stack.machines("app")}
    iam.put_role_policy(RoleName=role, PolicyName=policy, PolicyDocument=json.dumps(document | {"Statement": without}))
    try:
        autoscaling.terminate_instance_in_auto_scaling_group(
            InstanceId=sorted(before)[0], ShouldDecrementDesiredCapacity=False
        )

        def failed() -> list[str]:
            stack.refresh()
            return [each["id"] for each in stack.machines("app") if each["state"] == "failed"]

        assert eventually(lambda: bool(failed())), f"it boots without the permission: {stack.status['machines']}"
        (instance,) = failed()
        log = expressway("lab", "logs", instance).stdout
    finally:
        iam.put_role_policy(RoleName=role, PolicyName=policy, PolicyDocument=json.dumps(document))
    assert "AccessDeniedException" in log, log[-3000:]
    session = f"arn:aws:sts::123456789012:assumed-role/{role}/{instance}"
    assert f"User: {session} is not authorized to perform: ssm:GetParameter on resource: arn:aws:ssm:" in log, log
    assert stack.get("/").status_code == 200, "the other app server goes on"
    (member,) = autoscaling.describe_auto_scaling_instances(InstanceIds=[instance])["AutoScalingInstances"]
    # What AWS does when the hook's ten minutes are over.
    autoscaling.complete_lifecycle_action(
        AutoScalingGroupName=member["AutoScalingGroupName"],
        LifecycleHookName="launch",
        InstanceId=instance,
        LifecycleActionResult="ABANDON",
    )
    assert eventually(lambda: replaced(stack, sorted(before)[0], instance)), "with the permission back, it boots"


def policy_that_allows(action: str) -> tuple[str, str, dict[str, Any]]:
    """The role and the policy, by name and document, in which a statement allows `action`."""
    iam = aws()("iam")
    for role in aws().pages("iam", "list_roles", "Roles"):
        for policy in iam.list_role_policies(RoleName=role["RoleName"])["PolicyNames"]:
            document = iam.get_role_policy(RoleName=role["RoleName"], PolicyName=policy)["PolicyDocument"]
            if any(action in each["Action"] for each in document["Statement"]):
                return role["RoleName"], policy, document
    raise AssertionError(f"no role may do {action}")


def replaced(stack: Stack, *gone: str) -> bool:
    """Whether there are two app servers, both ready, and those that are to be `gone` are."""
    stack.refresh()
    now = {machine["id"]: machine["state"] for machine in stack.machines("app")}
    return sorted(now.values()) == ["ready", "ready"] and not now.keys() & set(gone)


def test_an_address_that_is_taken_from_the_edge_is_back_within_seconds(stack: Stack) -> None:
    ec2 = aws()("ec2")
    edge = edge_in_service()
    address = public_address(stack)
    assert address["InstanceId"] == edge
    ec2.disassociate_address(AssociationId=address["AssociationId"])
    assert eventually(lambda: serves_at_its_address(stack, edge), 60), "nobody has the address"
    assert "the address is with nobody: taking it" in journal(stack, edge)


def test_an_edge_whose_nginx_is_gone_for_good_has_itself_replaced_at_the_same_address(stack: Stack) -> None:
    old = edge_in_service()
    assert stack.shell(old, "systemctl", "mask", "--runtime", "--now", "nginx.service").returncode == 0
    # A watch judges nobody in its first two minutes, and then waits for systemd to mend it.
    assert eventually(lambda: "reported as unhealthy, to be replaced" in journal(stack, old)), journal(stack, old)
    began = time.monotonic()
    assert eventually(lambda: edge_in_service() not in ("", old)), "it is not replaced"
    new = edge_in_service()
    assert eventually(lambda: serves_at_its_address(stack, new)), "the new one does not serve at the same address"
    print(f"edge without Nginx: another one serves {time.monotonic() - began:.1f} s after its report")


def test_an_edge_whose_boot_fails_is_given_up_and_the_one_in_service_goes_on(stack: Stack) -> None:
    ec2, autoscaling = aws()("ec2"), aws()("autoscaling")
    old = edge_in_service()
    (name,) = groups_of("edge")
    (group,) = autoscaling.describe_auto_scaling_groups(AutoScalingGroupNames=[name])["AutoScalingGroups"]
    sound = {key: group["LaunchTemplate"][key] for key in ("LaunchTemplateId", "Version")}
    broken = broken_version(ec2, sound["LaunchTemplateId"], sound["Version"])
    try:
        autoscaling.update_auto_scaling_group(
            AutoScalingGroupName=name, LaunchTemplate=sound | {"Version": broken}, DesiredCapacity=2
        )
        assert eventually(lambda: bool(given_up(name))), "a machine that can't serve is kept"
        assert stack.get("/").status_code == 200
        assert public_address(stack)["InstanceId"] == old, "it took the address, and does not serve"
        log = expressway("lab", "logs", given_up(name)[0]).stdout
        assert '"client_max_body_size" directive invalid value' in log, (
            f"the reason is not in what it said: {log[-2000:]}"
        )
        assert "lifecycle hook launch completed with ABANDON" in log, log[-2000:]
    finally:
        autoscaling.update_auto_scaling_group(AutoScalingGroupName=name, LaunchTemplate=sound)
    assert eventually(lambda: len(edges_in_service()) == 2), "with the mend, the second one serves"
    (new,) = edges_in_service() - {old}
    assert serves_at_its_address(stack, new), "the newest has the address, from before it was in service"
    autoscaling.set_desired_capacity(AutoScalingGroupName=name, DesiredCapacity=1)
    assert eventually(lambda: len(edges_in_service()) == 1)
    (left,) = edges_in_service()
    assert eventually(lambda: serves_at_its_address(stack, left), 60), (
        "the last to claim it went first, and nobody has it"
    )


def test_an_edge_that_is_powered_off_is_replaced_at_the_same_address(stack: Stack) -> None:
    edge = edge_in_service()
    stack.shell(edge, "bash", "-c", "systemctl poweroff --force --force")
    began = time.monotonic()
    assert eventually(lambda: edge_in_service() not in ("", edge) and answers(stack)), "the edge does not come back"
    gap = time.monotonic() - began
    print(f"edge powered off: no answer for {gap:.1f} s")
    assert gap < 30, "bound by the boot of a baked image"


def groups_of(tier: str) -> list[str]:
    """The Auto Scaling groups of a tier, by name."""
    return [
        group["AutoScalingGroupName"]
        for group in aws().pages("autoscaling", "describe_auto_scaling_groups", "AutoScalingGroups")
        if {"Key": "expressway:tier", "Value": tier} in [{k: tag[k] for k in ("Key", "Value")} for tag in group["Tags"]]
    ]


def edges_in_service() -> set[str]:
    return {
        member["InstanceId"]
        for group in aws()("autoscaling").describe_auto_scaling_groups(AutoScalingGroupNames=groups_of("edge"))[
            "AutoScalingGroups"
        ]
        for member in group["Instances"]
        if (member["LifecycleState"], member["HealthStatus"]) == ("InService", "Healthy")
    }


def edge_in_service() -> str:
    """The one edge that its group counts on; nothing while there is none."""
    return next(iter(edges_in_service()), "")


def public_address(stack: Stack) -> dict[str, Any]:
    (address,) = aws()("ec2").describe_addresses(PublicIps=[stack.url.removeprefix("http://")])["Addresses"]
    return address


def serves_at_its_address(stack: Stack, edge: str) -> bool:
    return public_address(stack).get("InstanceId") == edge and answers(stack)


def answers(stack: Stack) -> bool:
    try:
        return stack.get("/").status_code == 200
    except requests.RequestException:
        return False


def journal(stack: Stack, edge: str) -> str:
    return stack.shell(edge, "journalctl", "--no-pager", "--unit=expressway-health").stdout


def broken_version(ec2: Any, template: str, version: str) -> str:
    """Another version of a launch template, whose machines are told what Nginx refuses."""
    (found,) = ec2.describe_launch_template_versions(LaunchTemplateId=template, Versions=[version])[
        "LaunchTemplateVersions"
    ]
    user_data = base64.b64decode(found["LaunchTemplateData"]["UserData"]).decode()
    assert '"max_body_size": "1m"' in user_data
    broken = base64.b64encode(user_data.replace('"max_body_size": "1m"', '"max_body_size": "1x"').encode()).decode()
    made = ec2.create_launch_template_version(
        LaunchTemplateId=template, LaunchTemplateData=found["LaunchTemplateData"] | {"UserData": broken}
    )
    return str(made["LaunchTemplateVersion"]["VersionNumber"])


def given_up(group: str) -> list[str]:
    """The machines whose launch was abandoned, the newest first."""
    activities = aws()("autoscaling").describe_scaling_activities(AutoScalingGroupName=group)["Activities"]
    return [
        each["Description"].rpartition(" ")[2]
        for each in activities
        if each["Description"].startswith("Launching") and each["StatusCode"] in ("Cancelled", "Failed")
    ]


def test_no_permission_of_the_machines_is_left_that_nothing_uses(stack: Stack) -> None:
    # A baked machine has its Node runtime; one from Debian's own image fetches it, as this one does now.
    again = 'rm -r "$(readlink -f /opt/expressway/runtime/current)" && /opt/expressway/bundle/install'
    done = stack.shell(stack.machines("app")[0]["id"], "bash", "-c", again)
    assert done.returncode == 0, done.stderr
    # What the edge does when another edge is there, and when requests take long.
    rarely = (
        "from reconciler import bucket, groups, model; from expressway_machine import aws, config; "
        "machine = config.load(); get = aws.Clients(machine['region']).get; "
        "bucket.Reports(get('s3'), machine['bucket']).read('i-another'); "
        "group = machine['upstream']['auto_scaling_group']; "
        "member = model.Member('i-1', 'Terminating:Wait', None, 1, group=group); "
        "groups.Groups(get('autoscaling'), None, (), 'i-1').beat(member, model.Hook('terminate', 1.0))"
    )
    did = stack.shell("edge", "env", "PYTHONPATH=/opt/expressway/bundle", "python3", "-c", rarely)
    assert did.returncode == 0, did.stderr
    lab = read()
    assert lab, "the lab has no configuration"
    permissions = requests.get(f"{lab.endpoint}/lab/v1/permissions", timeout=10).json()
    assert permissions, "the machines have no permissions at all"
    unused = [
        f"{each['role']}: {name}"
        for each in permissions
        for uses in (each["actions"], each["resources"])
        for name, count in uses.items()
        if count == 0
    ]
    assert unused == [], "take these out of the program, or test what needs them"


def test_lab_shell_hands_on_the_exit_status(stack: Stack) -> None:
    assert stack.shell("edge", "bash", "-c", "exit 7").returncode == 7


def test_a_second_lab_up_is_refused_and_the_first_goes_on(stack: Stack) -> None:
    second = expressway("lab", "up")
    assert second.returncode == 1, second.stdout
    assert "already" in second.stderr, second.stderr
    assert stack.get("/").status_code == 200
