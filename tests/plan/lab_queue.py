"""An SQS queue of the lab's API, which other services send to."""

import json

from tests.plan.lab_api_server import ApiServer


class Queue:
    """A queue that lets nobody in yet."""

    def __init__(self, api: ApiServer, name: str) -> None:
        self.sqs = api.client("sqs")
        self.url = self.sqs.create_queue(QueueName=name)["QueueUrl"]
        found = self.sqs.get_queue_attributes(QueueUrl=self.url, AttributeNames=["QueueArn"])
        self.arn = found["Attributes"]["QueueArn"]

    def let_in(self, service: str, source: str) -> None:
        """Let a service, such as `sns.amazonaws.com`, send for the rule or topic `source` (an ARN)."""
        statement = {
            "Effect": "Allow",
            "Principal": {"Service": service},
            "Action": "sqs:SendMessage",
            "Resource": self.arn,
            "Condition": {"ArnEquals": {"aws:SourceArn": source}},
        }
        policy = json.dumps({"Version": "2012-10-17", "Statement": [statement]})
        self.sqs.set_queue_attributes(QueueUrl=self.url, Attributes={"Policy": policy})
