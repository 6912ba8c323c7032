"""SQS: queues, and who may use them."""

from typing_extensions import override

from lab.aws import Aws
from lab.provider import tags
from lab.provider.resource import Autoname, Created, Found, Properties, Resource
from lab.provider.values import as_known, unless_default

QUEUE = "terraform-provider-aws internal/service/sqs/queue.go, ForceNew"
POLICY = "terraform-provider-aws internal/service/sqs/queue_policy.go, ForceNew"

ATTRIBUTES = {
    "messageRetentionSeconds": ("MessageRetentionPeriod", 345_600),
    "visibilityTimeoutSeconds": ("VisibilityTimeout", 30),
    "receiveWaitTimeSeconds": ("ReceiveMessageWaitTimeSeconds", 0),
    "maxMessageSize": ("MaximumMessageSize", 262_144),
}
"""Inputs that are numbers: SQS's names, and its defaults."""
ENCRYPTED = "SqsManagedSseEnabled"


class Queue(Resource):
    """A standard queue, under AWS's own URL."""

    pulumi_type = "aws:sqs/queue:Queue"
    optional = (*ATTRIBUTES, "sqsManagedSseEnabled")
    autoname = Autoname(longest=80)
    tagged = True
    replaces_on = {"name": QUEUE}
    computed = ("sqsManagedSseEnabled",)
    defaults = {name: default for name, (_, default) in ATTRIBUTES.items()}

    @override
    def create(self, aws: Aws, inputs: Properties) -> Created:
        aws("sqs").create_queue(QueueName=inputs["name"], Attributes=_attributes(inputs), tags=inputs["tagsAll"])
        return Created(_url(aws, inputs["name"]), _outputs(aws, inputs["name"]))

    @override
    def read(self, aws: Aws, identifier: str, state: Properties) -> Found | None:
        """The queue; an import names it by its URL."""
        name = identifier.rpartition("/")[2]
        url = aws("sqs").get_queue_url(QueueName=name)["QueueUrl"]
        found = aws("sqs").get_queue_attributes(QueueUrl=url, AttributeNames=["All"])["Attributes"]
        inputs = {
            "name": name,
            **{
                key: unless_default(int(found.get(attribute, default)), default, state.get(key))
                for key, (attribute, default) in ATTRIBUTES.items()
            },
            "sqsManagedSseEnabled": found.get(ENCRYPTED, "true") == "true",
            "tags": aws("sqs").list_queue_tags(QueueUrl=url).get("Tags", {}),
        }
        return Found(_url(aws, name), inputs, _outputs(aws, name))

    @override
    def update(self, aws: Aws, identifier: str, old: Properties, new: Properties) -> Properties:
        """Attributes and tags; what was taken away is its default again."""
        defaults = {name: str(default) for name, default in ATTRIBUTES.values()}
        aws("sqs").set_queue_attributes(QueueUrl=identifier, Attributes=defaults | _attributes(new))
        tags.set_queue(aws, identifier, old["tagsAll"], new["tagsAll"])
        return {}

    @override
    def delete(self, aws: Aws, identifier: str, state: Properties) -> None:
        aws("sqs").delete_queue(QueueUrl=identifier)


class QueuePolicy(Resource):
    """Who may use a queue, beside its own account's roles."""

    pulumi_type = "aws:sqs/queuePolicy:QueuePolicy"
    required = ("queueUrl", "policy")
    replaces_on = {"queueUrl": POLICY}

    @override
    def create(self, aws: Aws, inputs: Properties) -> Created:
        _set_policy(aws, inputs["queueUrl"], inputs["policy"])
        return Created(inputs["queueUrl"], {})

    @override
    def read(self, aws: Aws, identifier: str, state: Properties) -> Found | None:
        """The policy; an import names it by its queue's URL."""
        found = aws("sqs").get_queue_attributes(QueueUrl=identifier, AttributeNames=["Policy"]).get("Attributes", {})
        if not (policy := found.get("Policy")):
            return None
        return Found(identifier, {"queueUrl": identifier, "policy": as_known(policy, state.get("policy"))}, {})

    @override
    def update(self, aws: Aws, identifier: str, old: Properties, new: Properties) -> Properties:
        """Set it again."""
        _set_policy(aws, identifier, new["policy"])
        return {}

    @override
    def delete(self, aws: Aws, identifier: str, state: Properties) -> None:
        _set_policy(aws, identifier, "")


def _attributes(inputs: Properties) -> dict[str, str]:
    given = {name: str(inputs[key]) for key, (name, _) in ATTRIBUTES.items() if key in inputs}
    encrypted = inputs.get("sqsManagedSseEnabled")
    return given | ({} if encrypted is None else {ENCRYPTED: str(encrypted).lower()})


def _url(aws: Aws, name: str) -> str:
    """Where AWS has the queue; the API tells the address by which it was called itself."""
    return f"https://sqs.{aws.region}.amazonaws.com/{aws.account()}/{name}"


def _outputs(aws: Aws, name: str) -> Properties:
    return {"arn": f"arn:aws:sqs:{aws.region}:{aws.account()}:{name}", "url": _url(aws, name)}


def _set_policy(aws: Aws, url: str, policy: str) -> None:
    aws("sqs").set_queue_attributes(QueueUrl=url, Attributes={"Policy": policy})


RESOURCES: tuple[type[Resource], ...] = (Queue, QueuePolicy)
