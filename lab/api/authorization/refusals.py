"""Refusals in AWS's words, each in the shape that the caller's SDK reads.

Sources: https://docs.aws.amazon.com/IAM/latest/UserGuide/troubleshoot_access-denied.html,
https://docs.aws.amazon.com/AWSEC2/latest/APIReference/errors-overview.html,
https://docs.aws.amazon.com/AmazonS3/latest/API/ErrorResponses.html
"""

import json
from dataclasses import dataclass
from typing import Final
from xml.sax.saxutils import escape

from werkzeug.wrappers import Response

S3: Final = "rest-xml"

_INVALID: Final = "The security token included in the request is invalid."


@dataclass(frozen=True)
class Words:
    """What a family of services says: code, HTTP status and, where it is always the same, the message."""

    denied: tuple[str, int]
    unknown: tuple[str, int, str]
    unsigned: tuple[str, int, str]
    expired: tuple[str, int, str]


_MISSING: Final = "Request is missing Authentication Token"
_EXPIRED: Final = "The security token included in the request is expired"

WORDS: Final = {
    "ec2": Words(
        denied=("UnauthorizedOperation", 403),
        unknown=("AuthFailure", 401, "AWS was not able to validate the provided access credentials"),
        unsigned=("MissingAuthenticationToken", 403, _MISSING),
        expired=("RequestExpired", 400, "Request has expired."),
    ),
    S3: Words(
        denied=("AccessDenied", 403),
        unknown=("InvalidAccessKeyId", 403, "The AWS Access Key Id you provided does not exist in our records."),
        unsigned=("AccessDenied", 403, "Access Denied"),
        expired=("ExpiredToken", 400, "The provided token has expired."),
    ),
    "query": Words(
        denied=("AccessDenied", 403),
        unknown=("InvalidClientTokenId", 403, _INVALID),
        unsigned=("MissingAuthenticationToken", 403, _MISSING),
        expired=("ExpiredToken", 403, _EXPIRED),
    ),
    "json": Words(
        denied=("AccessDeniedException", 400),
        unknown=("UnrecognizedClientException", 400, _INVALID),
        unsigned=("MissingAuthenticationTokenException", 400, _MISSING),
        expired=("ExpiredTokenException", 400, _EXPIRED),
    ),
}


def words(protocol: str) -> Words:
    """Those of the services that speak `protocol`."""
    return WORDS.get(protocol, WORDS["json"])


def not_authorized(protocol: str, principal: str, action: str, resource: str | None, *, denied: bool) -> Response:
    """`principal` may not do `action` on `resource` (None where AWS can't restrict it, or nobody knows which)."""
    target = ""
    if resource not in (None, "*"):
        target = f' on resource: "{resource}"' if protocol == S3 else f" on resource: {resource}"
    reason = (
        "with an explicit deny in an identity-based policy"
        if denied
        else f"because no identity-based policy allows the {action} action"
    )
    message = f"User: {principal} is not authorized to perform: {action}{target} {reason}"
    if protocol == "ec2":
        message = f"You are not authorized to perform this operation. {message}"
    code, status = words(protocol).denied
    return answer(protocol, code, status, message)


def answer(protocol: str, code: str, status: int, message: str) -> Response:
    """An error as the caller's SDK reads it."""
    inner = f"<Code>{code}</Code><Message>{escape(message)}</Message>"
    match protocol:
        case "ec2":
            body = f"<Response><Errors><Error>{inner}</Error></Errors><RequestID>lab</RequestID></Response>"
        case "query":
            error = f"<Error><Type>Sender</Type>{inner}</Error>"
            body = f"<ErrorResponse>{error}<RequestId>lab</RequestId></ErrorResponse>"
        case "rest-xml":
            body = f"<Error>{inner}<RequestId>lab</RequestId></Error>"
        case _:
            body = json.dumps({"__type": code, "message": message})
            headers = {"x-amzn-errortype": code}
            return Response(body, status=status, headers=headers, content_type="application/x-amz-json-1.1")
    return Response(body, status=status, content_type="text/xml")
