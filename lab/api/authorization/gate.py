"""The gate before moto: lets a request through, or answers it with AWS's refusal."""

import io
import logging
from dataclasses import dataclass
from typing import Any

from moto.core.models import DEFAULT_ACCOUNT_ID
from moto.core.request import Request
from moto.utilities.utils import get_partition
from werkzeug.wrappers import Response

from lab.api.account import facts
from lab.api.authorization import calls, principals, refusals
from lab.api.authorization.calls import Call, Signer
from lab.api.authorization.ledger import Ledger
from lab.api.authorization.policy import decide
from lab.api.authorization.principals import Principal
from lab.api.authorization.resources import Place, resources

log = logging.getLogger(__name__)

ALWAYS = ("sts:GetCallerIdentity",)
"""What everybody may do, even where a policy denies it."""

READS_AN_OBJECT = ("s3:GetObject", "s3:GetObjectVersion")


@dataclass(frozen=True)
class Verdict:
    """On a request: its `refusal`, None where it may go on; and what is said in place of "not found", if anything."""

    refusal: Response | None = None
    instead_of_missing: Response | None = None


class Gate:
    """Checks each request of a role's session or of a user, and keeps account of the permissions that were used."""

    def __init__(self) -> None:
        self._ledger = Ledger()

    def check(self, environ: dict[str, Any], *, machines_side: bool) -> Verdict:
        """The verdict. A key that is nobody's is refused to machines; on this host's side it is the account's root."""
        body = environ["wsgi.input"].read()
        environ["wsgi.input"] = io.BytesIO(body)
        try:
            return self._check(Request(dict(environ)), machines_side)
        finally:
            environ["wsgi.input"] = io.BytesIO(body)

    def permissions(self) -> list[dict[str, Any]]:
        """Every role's permissions, and how often each was used."""
        return self._ledger.report(principals.roles("aws", DEFAULT_ACCOUNT_ID))

    def _check(self, request: Request, machines_side: bool) -> Verdict:
        signed_by = calls.signer(request)
        if signed_by is None:
            return Verdict(_unsigned(request)) if machines_side else Verdict()
        spoken = calls.protocol(signed_by.service, request)
        if planted := _planted(signed_by, spoken):
            return Verdict(planted)
        place = get_partition(signed_by.region), signed_by.region, DEFAULT_ACCOUNT_ID
        principal = principals.find(signed_by.access_key, signed_by.token, place[0], place[2])
        if principal is None:
            unknown = refusals.answer(spoken, *refusals.words(spoken).unknown)
            return Verdict(unknown) if machines_side else Verdict()
        if principal.expired:
            return Verdict(refusals.answer(spoken, *refusals.words(spoken).expired))
        call = calls.read(signed_by, request)
        return Verdict() if call.action in ALWAYS else self._judge(principal, call, place)

    def _judge(self, principal: Principal, call: Call, place: Place) -> Verdict:
        context = _context(principal, place) | _asked(call)
        decision = decide(principal.statements, call.action, resources(call, place), context)
        if not decision.allowed:
            log.warning("%s may not %s on %s", principal.arn, call.action, decision.refused or "anything")
            return Verdict(
                refusals.not_authorized(
                    call.protocol, principal.arn, call.action, decision.refused, denied=decision.denied
                )
            )
        self._ledger.record(principal.owner, decision.uses)
        return Verdict(instead_of_missing=_hides_missing(principal, call, place, context))


def _planted(signed_by: Signer, spoken: str) -> Response | None:
    """What the account's facts say of the key and the region: a region that is off knows no key."""
    words = refusals.words(spoken)
    if signed_by.access_key in facts.expired_keys:
        return refusals.answer(spoken, *words.expired)
    if signed_by.region in facts.disabled_regions:
        return refusals.answer(spoken, *words.unknown)
    return None


def _unsigned(request: Request) -> Response:
    host = request.host.split(".")
    spoken = refusals.S3 if "s3" in host else calls.protocol(host[0], request)
    return refusals.answer(spoken, *refusals.words(spoken).unsigned)


def _hides_missing(principal: Principal, call: Call, place: Place, context: dict[str, str]) -> Response | None:
    """S3 says that an object is missing to those alone who may list the bucket.

    Source: https://docs.aws.amazon.com/AmazonS3/latest/API/API_GetObject.html
    """
    if call.action not in READS_AN_OBJECT:
        return None
    bucket = f"arn:{place[0]}:s3:::{call.parameters['Bucket']}"
    decision = decide(principal.statements, "s3:ListBucket", [bucket], context)
    if decision.allowed:
        return None
    return refusals.not_authorized(call.protocol, principal.arn, "s3:ListBucket", bucket, denied=decision.denied)


def _asked(call: Call) -> dict[str, str]:
    """What conditions may ask about a call of one service."""
    if call.action == "cloudwatch:PutMetricData":
        return {"cloudwatch:namespace": str(call.parameters["Namespace"])}
    return {}


def _context(principal: Principal, place: Place) -> dict[str, str]:
    """What conditions may ask about."""
    return {
        "aws:PrincipalAccount": place[2],
        "aws:PrincipalArn": principal.arn,
        "aws:RequestedRegion": place[1],
        # The plain side is this host's own loopback, that no packet leaves.
        "aws:SecureTransport": "true",
    }
