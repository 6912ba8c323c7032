"""What a request to the API asks for, and with whose key: read with moto's own routers and parsers."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from botocore.exceptions import UnknownServiceError
from moto.core.parse import PROTOCOL_PARSERS
from moto.core.request import Request, determine_request_protocol
from moto.core.routing import get_service_router
from moto.core.utils import get_service_model
from werkzeug.exceptions import NotFound

PREFIXES: Final = {"monitoring": "cloudwatch"}
"""IAM's names of services, where they are not what requests are signed for."""

MODELS: Final = {"monitoring": "cloudwatch", "servicequotas": "service-quotas"}
"""The SDK's names of services, where they are not what requests are signed for."""

S3_ACTIONS: Final = {
    "CompleteMultipartUpload": "PutObject",
    "CopyObject": "PutObject",
    "CreateMultipartUpload": "PutObject",
    "DeleteBucketCors": "PutBucketCORS",
    "DeleteBucketEncryption": "PutEncryptionConfiguration",
    "DeleteBucketLifecycle": "PutLifecycleConfiguration",
    "DeleteBucketTagging": "PutBucketTagging",
    "DeleteObjects": "DeleteObject",
    "DeletePublicAccessBlock": "PutBucketPublicAccessBlock",
    "GetBucketAccelerateConfiguration": "GetAccelerateConfiguration",
    "GetBucketCors": "GetBucketCORS",
    "GetBucketEncryption": "GetEncryptionConfiguration",
    "GetBucketLifecycleConfiguration": "GetLifecycleConfiguration",
    "GetBucketReplication": "GetReplicationConfiguration",
    "GetObjectLockConfiguration": "GetBucketObjectLockConfiguration",
    "GetPublicAccessBlock": "GetBucketPublicAccessBlock",
    "HeadBucket": "ListBucket",
    "HeadObject": "GetObject",
    "ListBuckets": "ListAllMyBuckets",
    "ListMultipartUploads": "ListBucketMultipartUploads",
    "ListObjectVersions": "ListBucketVersions",
    "ListObjects": "ListBucket",
    "ListObjectsV2": "ListBucket",
    "ListParts": "ListMultipartUploadParts",
    "PutBucketAccelerateConfiguration": "PutAccelerateConfiguration",
    "PutBucketCors": "PutBucketCORS",
    "PutBucketEncryption": "PutEncryptionConfiguration",
    "PutBucketLifecycleConfiguration": "PutLifecycleConfiguration",
    "PutBucketReplication": "PutReplicationConfiguration",
    "PutObjectLockConfiguration": "PutBucketObjectLockConfiguration",
    "PutPublicAccessBlock": "PutBucketPublicAccessBlock",
    "UploadPart": "PutObject",
}
"""Operations of S3 whose permission has another name.

Source: https://docs.aws.amazon.com/AmazonS3/latest/userguide/using-with-s3-policy-actions.html
"""

S3_VERSIONED: Final = {"GetObject", "DeleteObject", "GetObjectTagging"}

_SCOPE: Final = re.compile(r"Credential=([^/,]+)/\d{8}/([^/,]+)/([^/,]+)/aws4_request")


@dataclass(frozen=True)
class Signer:
    """Whose key a request was signed with, and where and for which service."""

    access_key: str
    token: str | None
    region: str
    service: str


@dataclass(frozen=True)
class Call:
    """An operation of a service, and what it is asked to do. `action` is IAM's name, as `s3:GetObject`."""

    signer: Signer
    protocol: str
    action: str
    parameters: Mapping[str, Any] = field(hash=False)


def signer(request: Request) -> Signer | None:
    """Who signed, in a header or in a presigned URL; None for a request that nobody did."""
    header = _SCOPE.search(request.headers.get("Authorization", ""))
    if header:
        return Signer(header[1], request.headers.get("X-Amz-Security-Token"), header[2], header[3])
    presigned = _SCOPE.search(f"Credential={request.args.get('X-Amz-Credential', '')}")
    if presigned:
        return Signer(presigned[1], request.args.get("X-Amz-Security-Token"), presigned[2], presigned[3])
    return None


def protocol(service: str, request: Request) -> str:
    """How the service answers: `ec2`, `query`, `json`, `rest-xml`, `rest-json`."""
    try:
        return determine_request_protocol(get_service_model(MODELS.get(service, service)), request.content_type)
    except Exception:  # the SDK knows no service that requests are signed for by this name
        return "json" if "json" in (request.content_type or "") else "query"


def read(signed_by: Signer, request: Request) -> Call:
    """The call. Raises NotImplementedError for one that the API has no operation for."""
    service = signed_by.service
    spoken = protocol(service, request)
    prefix = PREFIXES.get(service, service)
    try:
        operation, uri = get_service_router(MODELS.get(service, service)).match(request)
    except UnknownServiceError:
        return Call(signed_by, spoken, f"{prefix}:{_named(request)}", {})
    except NotFound:
        raise NotImplementedError(f"a call of {service}: {request.method} {request.path}") from None
    parser = PROTOCOL_PARSERS[spoken](operation)
    parameters: Mapping[str, Any] = parser.parse(
        {
            "method": request.method,
            "values": request.values,
            "headers": request.headers,
            "body": request.data,
            "url_path": request.path,
            "url_params": uri,
        }
    )
    return Call(signed_by, spoken, f"{prefix}:{_permission(service, str(operation.name), parameters)}", parameters)


def _permission(service: str, operation: str, parameters: Mapping[str, Any]) -> str:
    if service == "sqs":
        return operation.removesuffix("Batch")
    if service != "s3":
        return operation
    name = S3_ACTIONS.get(operation, operation)
    return f"{name}Version" if name in S3_VERSIONED and parameters.get("VersionId") else name


def _named(request: Request) -> str:
    target = request.headers.get("X-Amz-Target")
    return target.rpartition(".")[2] if target else str(request.values.get("Action", ""))
