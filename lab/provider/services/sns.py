"""SNS: topics, and who is told of what is published to them."""

from typing_extensions import override

from lab.aws import Aws
from lab.provider import tags
from lab.provider.resource import Autoname, Created, Found, Properties, Resource
from lab.provider.values import aws_tags

TOPIC = "terraform-provider-aws internal/service/sns/topic.go, ForceNew"
SUBSCRIPTION = "terraform-provider-aws internal/service/sns/topic_subscription.go, ForceNew"

ATTRIBUTES = {"displayName": "DisplayName", "kmsMasterKeyId": "KmsMasterKeyId"}
RAW = "RawMessageDelivery"


class Topic(Resource):
    """A standard topic."""

    pulumi_type = "aws:sns/topic:Topic"
    optional = tuple(ATTRIBUTES)
    autoname = Autoname(longest=256)
    tagged = True
    replaces_on = {"name": TOPIC}

    @override
    def create(self, aws: Aws, inputs: Properties) -> Created:
        attributes = {name: inputs[key] for key, name in ATTRIBUTES.items() if key in inputs}
        made = aws("sns").create_topic(Name=inputs["name"], Attributes=attributes, Tags=aws_tags(inputs["tagsAll"]))
        return Created(made["TopicArn"], {"arn": made["TopicArn"]})

    @override
    def read(self, aws: Aws, identifier: str, state: Properties) -> Found | None:
        """The topic; an import names it by its ARN."""
        found = aws("sns").get_topic_attributes(TopicArn=identifier)["Attributes"]
        inputs = {
            "name": identifier.rpartition(":")[2],
            **{key: found.get(name) or None for key, name in ATTRIBUTES.items()},
            "tags": tags.as_map(aws("sns").list_tags_for_resource(ResourceArn=identifier)["Tags"]),
        }
        return Found(identifier, inputs, {"arn": identifier})

    @override
    def update(self, aws: Aws, identifier: str, old: Properties, new: Properties) -> Properties:
        """Attributes and tags; what was taken away is empty."""
        for key, name in ATTRIBUTES.items():
            if old.get(key) != new.get(key):
                aws("sns").set_topic_attributes(
                    TopicArn=identifier, AttributeName=name, AttributeValue=new.get(key, "")
                )
        tags.set_topic(aws, identifier, old["tagsAll"], new["tagsAll"])
        return {}

    @override
    def delete(self, aws: Aws, identifier: str, state: Properties) -> None:
        aws("sns").delete_topic(TopicArn=identifier)


class TopicSubscription(Resource):
    """Who is told. Somebody who is told by e-mail has to confirm it first, on AWS."""

    pulumi_type = "aws:sns/topicSubscription:TopicSubscription"
    required = ("topic", "protocol", "endpoint")
    optional = ("rawMessageDelivery",)
    replaces_on = dict.fromkeys(("topic", "protocol", "endpoint"), SUBSCRIPTION)
    defaults = {"rawMessageDelivery": False}

    @override
    def create(self, aws: Aws, inputs: Properties) -> Created:
        arn = aws("sns").subscribe(
            TopicArn=inputs["topic"],
            Protocol=inputs["protocol"],
            Endpoint=inputs["endpoint"],
            ReturnSubscriptionArn=True,
        )["SubscriptionArn"]
        if inputs.get("rawMessageDelivery"):
            _set_raw(aws, arn, wanted=True)
        return Created(arn, {"arn": arn})

    @override
    def read(self, aws: Aws, identifier: str, state: Properties) -> Found | None:
        """The subscription; an import names it by its ARN."""
        found = aws("sns").get_subscription_attributes(SubscriptionArn=identifier)["Attributes"]
        inputs = {
            "topic": found["TopicArn"],
            "protocol": found["Protocol"],
            "endpoint": found["Endpoint"],
            "rawMessageDelivery": found.get(RAW, "false") == "true",
        }
        return Found(identifier, inputs, {"arn": identifier})

    @override
    def update(self, aws: Aws, identifier: str, old: Properties, new: Properties) -> Properties:
        """How it is told."""
        _set_raw(aws, identifier, wanted=bool(new.get("rawMessageDelivery")))
        return {}

    @override
    def delete(self, aws: Aws, identifier: str, state: Properties) -> None:
        aws("sns").unsubscribe(SubscriptionArn=identifier)


def _set_raw(aws: Aws, arn: str, *, wanted: bool) -> None:
    aws("sns").set_subscription_attributes(
        SubscriptionArn=arn, AttributeName=RAW, AttributeValue="true" if wanted else "false"
    )


RESOURCES: tuple[type[Resource], ...] = (Topic, TopicSubscription)
