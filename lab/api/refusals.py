"""How AWS turns a caller away before it looks at the call: each protocol has its own words for the same refusal."""

import re

from lab.api.account import facts

_CREDENTIAL = re.compile(r"Credential=(?P<key>[^/]+)/\d+/(?P<region>[^/]+)/(?P<service>[^/]+)/aws4_request")

JSON = frozenset({"kms", "secretsmanager", "servicequotas", "ssm"})
"""Services whose answers are JSON."""

EXPIRED = {
    "ec2": ("RequestExpired", 400),
    "json": ("ExpiredTokenException", 400),
    "s3": ("ExpiredToken", 400),
    "query": ("ExpiredToken", 403),
}
UNKNOWN = {
    "ec2": ("AuthFailure", 401),
    "json": ("UnrecognizedClientException", 400),
    "s3": ("InvalidAccessKeyId", 403),
    "query": ("InvalidClientTokenId", 403),
}
DENIED = {
    "ec2": ("UnauthorizedOperation", 403),
    "json": ("AccessDeniedException", 400),
    "s3": ("AccessDenied", 403),
    "query": ("AccessDenied", 403),
}
"""Code and status by protocol.
https://docs.aws.amazon.com/AWSEC2/latest/APIReference/errors-overview.html
https://docs.aws.amazon.com/IAM/latest/APIReference/CommonErrors.html
https://docs.aws.amazon.com/AmazonS3/latest/API/ErrorResponses.html"""


def refuse(authorization: str, action: str) -> tuple[str, str, int] | None:
    """Code, message and status of the refusal that is planted for this caller, region or action; None if none is."""
    match = _CREDENTIAL.search(authorization)
    if match is None:
        return None
    service, protocol = match["service"], _protocol(match["service"])
    if match["key"] in facts.expired_keys:
        return _answer(EXPIRED[protocol], "The security token included in the request is expired")
    if match["region"] in facts.disabled_regions:
        return _answer(UNKNOWN[protocol], "The security token included in the request is invalid.")
    if f"{service}:{action}" in facts.denied:
        return _answer(DENIED[protocol], f"User is not authorized to perform: {service}:{action}")
    return None


def _protocol(service: str) -> str:
    return service if service in ("ec2", "s3") else "json" if service in JSON else "query"


def _answer(kind: tuple[str, int], message: str) -> tuple[str, str, int]:
    code, status = kind
    return code, message, status
