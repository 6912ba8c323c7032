"""The provider's resource types by themselves: what they take, and what they call things. No API."""

import inspect
import json
import string
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lab.provider import registry
from lab.provider.errors import InputError, UnknownTypeError
from lab.provider.resource import Resource, random_suffix
from lab.provider.values import has_secret, plain, secret, translate
from tests.paths import ROOT

VPC = registry.resource("aws:ec2/vpc:Vpc")
BUCKET = registry.resource("aws:s3/bucket:Bucket")
CACHE = registry.resource("aws:elasticache/replicationGroup:ReplicationGroup")


def _sdk_class(resource: Resource) -> Any:
    import pulumi_aws

    module, name = resource.pulumi_type.removeprefix("aws:").split("/")[0], resource.pulumi_type.split(":")[-1]
    return getattr(getattr(pulumi_aws, module), name)


def _properties(cls: Any) -> set[str]:
    """The wire names of a resource's outputs, which are all its properties."""
    return {
        member.fget._pulumi_name
        for _, member in inspect.getmembers(cls)
        if hasattr(getattr(member, "fget", None), "_pulumi_name")
    }


@pytest.mark.parametrize("resource", registry.resources().values(), ids=lambda each: each.pulumi_type)
def test_a_type_takes_only_inputs_that_the_sdk_has(resource: Resource) -> None:
    known = _properties(_sdk_class(resource))
    assert known, "the SDK's class has properties"
    assert set(resource.inputs) <= known, f"the SDK knows no {set(resource.inputs) - known}"
    assert set(resource.secret_outputs) <= known


@pytest.mark.parametrize("resource", registry.resources().values(), ids=lambda each: each.pulumi_type)
def test_what_aws_fills_in_is_what_its_provider_says(resource: Resource) -> None:
    """By the schema of hashicorp/aws 5.100.0: inputs that are optional and computed, in Pulumi's words.

    The schema tells it of attributes only. Of blocks it is what a plan of that provider does when one is taken away.
    """
    schema = json.loads((ROOT / "tests/fixtures/provider/optional_and_computed.json").read_text())
    expected = set(schema.get(resource.pulumi_type, ())) & set(resource.optional)
    assert set(resource.computed) == expected
    assert not set(resource.computed) & set(resource.defaults), "absent, it means one thing"
    assert set(resource.defaults) <= set(resource.inputs)


def test_an_unknown_type_or_function_is_an_error_that_names_it() -> None:
    with pytest.raises(UnknownTypeError, match="aws:kinesis/stream:Stream"):
        registry.resource("aws:kinesis/stream:Stream")
    with pytest.raises(UnknownTypeError, match="aws:ec2/getNothing:getNothing"):
        registry.invoke("aws:ec2/getNothing:getNothing")


def test_an_unknown_input_is_an_error_with_the_nearest_known_one() -> None:
    with pytest.raises(InputError, match=r"cidrblock \(nearest: cidrBlock\)"):
        VPC.check("main", {"cidrblock": "10.0.0.0/16"}, {}, "0000000")


def test_a_missing_input_is_an_error() -> None:
    with pytest.raises(InputError, match="missing cidrBlock"):
        VPC.check("main", {}, {}, "0000000")


def test_an_unknown_nested_input_is_an_error_with_its_path() -> None:
    spec = {"ebs": ("Ebs", {"volumeSize": "VolumeSize"})}
    with pytest.raises(InputError, match=r"devices\[1\]\.ebs\.size"):
        translate([{"ebs": {"volumeSize": 8}}, {"ebs": {"size": 8}}], spec, "devices")


def test_default_tags_reach_a_resource_and_its_own_tags_win() -> None:
    given = {"cidrBlock": "10.0.0.0/16", "tags": {"tier": "app", "Name": "mine"}}
    checked = VPC.check("main", given, {"project": "expressway", "tier": "default"}, "0000000")
    assert checked["tagsAll"] == {"project": "expressway", "tier": "app", "Name": "mine"}
    assert checked["tags"] == given["tags"], "what was given stays as it was"


def test_a_name_is_made_from_the_logical_one_unless_it_is_given() -> None:
    assert BUCKET.check("Artifacts", {}, {}, "0a1b2c3")["bucket"] == "artifacts-0a1b2c3", "buckets are lower case"
    assert BUCKET.check("Artifacts", {"bucket": "mine"}, {}, "0a1b2c3")["bucket"] == "mine"
    suffix = random_suffix()
    assert len(suffix) == 7, suffix
    assert set(suffix) <= set(string.hexdigits.lower()), suffix
    assert random_suffix() != suffix, "two resources of one name are told apart"


def test_a_name_that_aws_would_refuse_for_its_length_is_an_error() -> None:
    longest = "c" * 32
    assert CACHE.check(longest, {"description": "d"}, {}, "0a1b2c3")["replicationGroupId"] == f"{longest}-0a1b2c3"
    with pytest.raises(InputError, match="33 characters, and may have 32"):
        CACHE.check(longest + "c", {"description": "d"}, {}, "0a1b2c3")


def test_secrets_and_whole_numbers_become_plain_at_any_depth() -> None:
    wire = {"rules": [{"port": 443.0, "share": 0.5}], "token": secret({"inner": secret("x")})}
    assert has_secret(wire)
    assert not has_secret({"rules": wire["rules"]})
    assert plain(wire) == {"rules": [{"port": 443, "share": 0.5}], "token": {"inner": "x"}}


json_values = st.recursive(
    st.none() | st.booleans() | st.text() | st.integers(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
)


@given(json_values)
def test_marking_as_a_secret_and_taking_the_mark_off_changes_nothing(value: Any) -> None:
    assert plain(secret(value)) == value
    assert has_secret([{"deep": secret(value)}])
