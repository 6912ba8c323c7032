"""Every resource type through the provider protocol, as the engine calls it, on the lab's API."""

from typing import Any

import pytest

from lab.provider import registry
from lab.provider.values import UNKNOWN, plain
from tests.plan.provider_cases import Case, Together, all_cases, value
from tests.plan.provider_client import Made, ProviderCallError, ProviderClient
from tests.plan.provider_world import World

OWN_TAGS = {"tier": "contract", "project": "own"}
CASES = {case.type: case for case in all_cases()}


def make(provider: ProviderClient, case: Case, world: World) -> Made:
    """A new resource of the case's type."""
    made = Made(provider, case.type, case.make(world), world.unique("it"))
    assert made.id, "a created resource has an id"
    return made


def test_every_resource_type_has_a_case() -> None:
    assert set(CASES) == set(registry.resources())


def changes() -> list[Any]:
    """One parameter per input of each type, tags among them."""
    listed: list[Any] = []
    for case in CASES.values():
        kind = registry.resource(case.type)
        for key in kind.inputs:
            listed.append(pytest.param(case, key, id=f"{case.type.split(':')[-1]}-{key}"))
    return listed


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_a_resource_is_made_read_imported_and_taken_away(case: Case, provider: ProviderClient, world: World) -> None:
    made = make(provider, case, world)
    assert not made.diff(made.changed({})).changed, "the same inputs are no change"

    identifier, state, inputs = made.read()
    assert identifier == made.id
    assert inputs == made.inputs, "a refresh finds what was made"
    assert set(made.state) - set(state) <= set(case.untold), "and every output"

    if case.importable:
        imported, _, found = provider.read(case.type, case.import_id(made.id, made.inputs))
        assert imported == made.id
        told = {key: value for key, value in made.inputs.items() if key not in (*case.untold, "__defaults")}
        assert {key: found.get(key) for key in told} == told, "an import finds all that was given"

    made.delete()
    if case.leaves_nothing:
        assert made.read()[0] == "", "what is deleted is gone"
    made.delete()  # twice: gone already is as good


@pytest.mark.parametrize(("case", "key"), changes())
def test_each_input_is_changed_in_place_or_says_that_it_replaces(
    case: Case, key: str, provider: ProviderClient, world: World
) -> None:
    kind = registry.resource(case.type)
    made = make(provider, case, world)
    try:
        other = OWN_TAGS if key == "tags" and key not in case.changes else case.changes[key]
        other = value(other, world)
        if not isinstance(other, Together):
            other = Together({key: other}, frozenset({key} & kind.replaces_on.keys()))
        new = made.changed(other.values)
        if key in case.refused:
            with pytest.raises(ProviderCallError):
                made.diff(new)
            return
        found = made.diff(new)
        assert found.changed, "another value is a difference"
        assert found.replaces == other.replaces, "only what AWS can't change replaces"
        assert all(path.startswith((*other.values, "tagsAll")) for path in found.paths), found.paths
        if found.replaces:
            return
        preview = made.preview(new)
        made.become(new)
        told = {name: value for name, value in preview.items() if value != UNKNOWN}
        assert told == {name: made.state.get(name) for name in told}, "what a preview told came true"
        identifier, _, inputs = made.read()
        assert identifier == made.id
        assert plain(inputs) == plain(new), "a refresh finds the change"
        if key not in case.untold and case.importable:
            imported = provider.read(case.type, case.import_id(made.id, made.inputs))[2]
            assert plain(imported.get(key)) == plain(new.get(key)), "the API has the change, not only the state"
    finally:
        if made.inputs.get("deletionProtection"):
            made.update(deletionProtection=False)
        made.delete()


def _types(table: str) -> list[Any]:
    """One parameter per type that has something in `table`."""
    cases = (case for case in CASES.values() if getattr(registry.resource(case.type), table))
    return [pytest.param(case, id=case.type.split(":")[-1]) for case in cases]


@pytest.mark.parametrize("case", _types("computed"))
def test_what_aws_fills_in_stays_as_it_is_when_a_program_leaves_it_out(
    case: Case, provider: ProviderClient, world: World
) -> None:
    given: dict[str, Any] = case.make(world)
    others = {key: value(case.changes[key], world) for key in registry.resource(case.type).computed if key not in given}
    given |= {key: other for key, other in others.items() if not isinstance(other, Together)}
    made = Made(provider, case.type, given, world.unique("it"))
    try:
        computed = {key: made.inputs[key] for key in registry.resource(case.type).computed if key in made.inputs}
        without = made.changed(dict.fromkeys(computed))
        assert not set(computed) & set(without)
        assert not made.diff(without).changed, "it means: as it is"
        made.become(without)
        assert {key: plain(made.state[key]) for key in computed} == plain(computed), "the state keeps it"
        assert {key: plain(made.read()[1][key]) for key in computed} == plain(computed), "after a refresh too"
        _, _, found = provider.read(case.type, case.import_id(made.id, made.inputs))
        told = {key: found.get(key) for key in computed if key not in case.untold}
        assert plain(told) == {key: plain(computed[key]) for key in told}, "and so does AWS"
        assert not made.diff(made.changed(computed)).changed, "to say what is the case is no change"
    finally:
        made.delete()


@pytest.mark.parametrize("case", _types("defaults"))
def test_an_input_that_is_its_default_is_the_same_as_none(case: Case, provider: ProviderClient, world: World) -> None:
    defaults = registry.resource(case.type).defaults
    given = {key: given for key, given in case.make(world).items() if key not in defaults}
    made = Made(provider, case.type, given, world.unique("it"))
    try:
        assert not made.diff(made.changed(defaults)).changed
    finally:
        made.delete()
