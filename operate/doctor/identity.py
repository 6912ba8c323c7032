"""Whose credentials these are, and whether the region takes them."""

from dataclasses import dataclass
from typing import Any

from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    EndpointConnectionError,
    NoCredentialsError,
    PartialCredentialsError,
)

from .account import Account, NotPermittedError, code
from .finding import Finding, failed, ok, unchecked

CREDENTIALS, REGION = "credentials", "region"

EXPIRED = frozenset({"ExpiredToken", "ExpiredTokenException", "RequestExpired"})
UNKNOWN = frozenset(
    {
        "AuthFailure",
        "InvalidClientTokenId",
        "UnrecognizedClientException",
        "SignatureDoesNotMatch",
        "InvalidAccessKeyId",
    }
)
"""What AWS answers to a key that it does not know; and, in a region that is switched off, to any key."""

LOG_IN = "Run `aws sso login` or `aws configure`, or set AWS_PROFILE."


@dataclass(frozen=True)
class Caller:
    """Who asks."""

    account: str
    arn: str

    @property
    def role(self) -> str | None:
        """The role's name, when it is an assumed role."""
        kind, _, rest = self.arn.split(":", 5)[5].partition("/")
        return rest.partition("/")[0] if kind == "assumed-role" else None

    @property
    def is_root(self) -> bool:
        """Whether it is the account's owner, whom no policy restricts."""
        return self.arn.endswith(":root")


def identify(account: Account) -> tuple[Caller | None, list[Finding]]:
    """The caller, if anybody knows it; and what is wrong, when nothing else can be asked."""
    try:
        return _caller(account.ask("sts", "GetCallerIdentity"), account), []
    except (ClientError, EndpointConnectionError) as error:
        if isinstance(error, ClientError) and code(error) not in UNKNOWN:
            return None, [judge_credentials(error)]
        here = error
    except BotoCoreError as error:
        return None, [judge_credentials(error)]
    # A region that is off, or that does not exist, knows no key: ask where every key is known.
    try:
        caller = _caller(account.ask("sts", "GetCallerIdentity", region=account.home), account)
    except (ClientError, BotoCoreError) as error:
        return None, [judge_credentials(error if isinstance(here, ClientError) else here)]
    return caller, [check_identity(caller), _region_off(account)]


def check_identity(caller: Caller) -> Finding:
    """Who it is."""
    return ok(CREDENTIALS, f"account {caller.account}, {caller.arn}")


def check_region(account: Account) -> list[Finding]:
    """Whether the account has the region on. Its credentials are known there already."""
    regions = account.every("ec2", "DescribeRegions", "Regions", AllRegions=True)
    return [judge_region(account.region, regions)]


def judge_region(region: str, regions: list[dict[str, Any]]) -> Finding:
    """What `regions`, as EC2 lists them, say of `region`."""
    found = next((each for each in regions if each["RegionName"] == region), None)
    if found is None:
        rule = "it must be one of AWS's regions"
        near = ", ".join(sorted(each["RegionName"] for each in regions if each["RegionName"][:2] == region[:2]))
        return failed(REGION, f"there is no region {region}", "aws:region", rule, f"Choose another, such as {near}.")
    if found.get("OptInStatus") == "not-opted-in":
        return _off(region)
    return ok(REGION, f"{region} is on")


def judge_credentials(error: Exception) -> Finding:
    """What keeps AWS from knowing who asks."""
    rule = "AWS must know who asks"
    if isinstance(error, NoCredentialsError):
        return failed(CREDENTIALS, "there are no credentials", "", rule, LOG_IN)
    if isinstance(error, PartialCredentialsError):
        return failed(CREDENTIALS, f"the credentials are incomplete: {error}", "", rule, LOG_IN)
    if isinstance(error, EndpointConnectionError):
        mend = "Check the network, a proxy, and aws:region."
        return failed(CREDENTIALS, f"AWS is out of reach: {error}", "", "AWS must answer", mend)
    if not isinstance(error, ClientError):
        return failed(CREDENTIALS, f"the credentials can't be read: {error}", "", rule, LOG_IN)
    if code(error) in EXPIRED:
        mend = "Run `aws sso login` again, or fetch new ones where these came from."
        return failed(CREDENTIALS, "the credentials have expired", "", "they must be valid now", mend)
    if code(error) == "RequestTimeTooSkewed":
        mend = "Set this machine's clock; AWS allows five minutes."
        return failed(CREDENTIALS, "this machine's clock is wrong", "", "requests are signed with the time", mend)
    if code(error) in UNKNOWN:
        return failed(CREDENTIALS, f"AWS does not know these credentials ({code(error)})", "", rule, LOG_IN)
    return failed(CREDENTIALS, f"AWS refused to say who asks: {error}", "", rule, LOG_IN)


def principal(account: Account, caller: Caller) -> str:
    """The ARN that IAM knows the caller by: an assumed role's has the session in it, and leaves out the role's path."""
    if caller.role is None:
        return caller.arn
    return str(account.ask("iam", "GetRole", RoleName=caller.role)["Role"]["Arn"])


def _caller(answer: dict[str, Any], account: Account) -> Caller:
    return Caller(str(answer["Account"]), str(answer["Arn"]))


def _off(region: str) -> Finding:
    mend = f"Switch it on (aws account enable-region --region-name {region}; it takes minutes), or choose another."
    return failed(REGION, f"{region} is switched off in this account", "aws:region", "the region must be on", mend)


def _region_off(account: Account) -> Finding:
    """The account's credentials are good elsewhere, and not here."""
    try:
        regions = account.ask("ec2", "DescribeRegions", region=account.home, AllRegions=True)["Regions"]
    except NotPermittedError as error:
        return unchecked(REGION, f"{account.region} does not know these credentials", "aws:region", f"Why {error}.")
    found = judge_region(account.region, regions)
    return found if found.mend else _off(account.region)
