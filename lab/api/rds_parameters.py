"""Parameter groups of databases: what a change of one reaches at once, and what waits for a reboot.

A dynamic parameter is told to running servers as soon as it is changed with `immediate`. A static one, or one changed
with `pending-reboot`, is what the server has from its next start on, and so is all of a group that an instance changed
to. Until then its status is `pending-reboot`; while a server is being told, `applying`.

Sources: https://docs.aws.amazon.com/AmazonRDS/latest/UserGuide/USER_WorkingWithParamGroups.html,
https://docs.aws.amazon.com/AmazonRDS/latest/APIReference/API_ModifyDBParameterGroup.html,
API_ResetDBParameterGroup.html, API_DescribeDBParameters.html, API_DBParameterGroupStatus.html
"""

from collections.abc import Mapping
from typing import Any

from moto.core.responses import ActionResult
from moto.rds import models, responses
from moto.rds.exceptions import DBParameterGroupNotFoundError, InvalidParameterCombination, InvalidParameterValue

from lab.api import postgresql_parameters as known
from lab.api import rds_window
from lab.api.catalogue import memory, vcpus
from lab.api.elasticache_parameters import version_of
from lab.api.patching import add, around, instead

USER, ENGINE, SYSTEM = "user", "engine-default", "system"
"""The source of a parameter's value: the user, PostgreSQL, or RDS."""
POSTGRES = "postgres"
PAGE = 100
"""How many parameters are described at once."""
IMMEDIATE, LATER = "immediate", "pending-reboot"


def install() -> None:
    """Change moto's RDS. Once a process, before the first request."""
    around(models.RDSBackend, "modify_db_parameter_group", _modify)
    around(responses.RDSResponse, "describe_db_parameters", _describe)
    add(responses.RDSResponse, "reset_db_parameter_group", _reset)
    instead(models.DBInstance, "db_parameter_group_status_list", property(_statuses))


def begin(database: Any) -> None:
    """Its machine starts with what the group has now."""
    take_all(database)
    database.settings_known = version_of(settings(database))


def take_all(database: Any) -> None:
    """Its server starts anew, and reads all that the group has."""
    database.parameters_due = _given(_group(database))


def settings(database: Any) -> dict[str, str]:
    """What its server is to have now that isn't PostgreSQL's own default, as values of PostgreSQL's."""
    variables = {
        "AllocatedStorage": float(database.allocated_storage or 0) * 2**30,
        "DBInstanceClassMemory": _for_postgresql(memory(database.db_instance_class)),
        "DBInstanceVCPU": vcpus(database.db_instance_class),
        "EndPointPort": int(database.port or 5432),
    }
    return known.settings(database.parameters_due, variables)


def finish(identifier: str, version: str) -> bool:
    """Its servers have the settings of `version`. Whether those are still the ones that are wanted."""
    found = rds_window.find(identifier)
    if found is None or version_of(settings(found[1])) != version:
        return False
    found[1].settings_known = version
    return True


def status(database: Any) -> str:
    """ParameterApplyStatus."""
    if database.settings_known != version_of(settings(database)):
        return "applying"
    return LATER if database.parameters_due != _given(_group(database)) else "in-sync"


def _for_postgresql(of_class: int) -> int:
    """DBInstanceClassMemory: RDS's own programs and the system have their part first; AWS doesn't say how much."""
    return of_class - max(3 * 2**30 // 10, of_class // 10)


def _group(database: Any) -> Any:
    return database.db_parameter_groups()[0]


def _given(group: Any) -> dict[str, str]:
    return {name: each["ParameterValue"] for name, each in group.parameters.items() if "ParameterValue" in each}


def _statuses(database: Any) -> list[dict[str, str]]:
    return [{"DBParameterGroupName": _group(database).name, "ParameterApplyStatus": status(database)}]


def _members(backend: Any, group: Any) -> list[Any]:
    return [each for each in backend.databases.values() if each.engine == POSTGRES and _group(each) is group]


def _modify(original: Any, backend: Any, name: str, parameters: list[dict[str, Any]]) -> Any:
    parameters = list(parameters)
    group = _changeable(backend, name)
    if group.family.startswith(POSTGRES):
        for each in parameters:
            _check(each["ParameterName"], each.get("ParameterValue"), each.get("ApplyMethod"), group.family)
    original(backend, name, parameters)
    now = {each["ParameterName"]: each.get("ParameterValue") for each in parameters if _counts(each)}
    _tell(backend, group, now)
    return group


def _reset(response: Any) -> Any:
    """The family's own values again: of those that are named, or of all, each as soon as it can."""
    group = _changeable(response.backend, response.params["DBParameterGroupName"])
    asked = [parameter.original_dict() for parameter in response.params.get("Parameters", [])]
    if response.params.get("ResetAllParameters"):
        asked = [{"ParameterName": name} | _soonest(name, group.family) for name in group.parameters]
    for each in asked:
        _check(each["ParameterName"], None, each.get("ApplyMethod"), group.family)
    for each in asked:
        group.parameters.pop(each["ParameterName"], None)
    _tell(response.backend, group, {each["ParameterName"]: None for each in asked if _counts(each)})
    return ActionResult({"DBParameterGroupName": group.name})


def _changeable(backend: Any, name: str) -> Any:
    if name.startswith("default."):
        raise InvalidParameterValue("Cannot modify a default parameter group.")
    if name not in backend.db_parameter_groups:
        raise DBParameterGroupNotFoundError(name)
    return backend.db_parameter_groups[name]


def _check(name: str, value: str | None, method: str | None, family: str) -> None:
    try:
        known.check(name, value, method, family)
    except known.StaticError as error:
        raise InvalidParameterCombination(str(error)) from None
    except known.ParameterError as error:
        raise InvalidParameterValue(str(error)) from None


def _counts(asked: Mapping[str, Any]) -> bool:
    """Whether a change reaches servers that run."""
    return asked.get("ApplyMethod", IMMEDIATE) == IMMEDIATE


def _soonest(name: str, family: str) -> dict[str, str]:
    found = known.find(name, family)
    return {"ApplyMethod": LATER if found and found.static else IMMEDIATE}


def _tell(backend: Any, group: Any, changed: Mapping[str, str | None]) -> None:
    """Members have this from now on; None: as the family has it."""
    for database in _members(backend, group):
        due = {**database.parameters_due, **changed}
        database.parameters_due = {name: value for name, value in due.items() if value is not None}


def _describe(original: Any, response: Any) -> Any:
    """moto has the parameters that a user set alone."""
    given = {each["ParameterName"]: each for each in original(response).result["Parameters"]}
    name, source = response.params["DBParameterGroupName"], response.params.get("Source")
    family = response.backend.db_parameter_groups[name].family
    catalogue = known.catalogue() if family.startswith(POSTGRES) else {}
    told = [_described(name, catalogue.get(name), given.get(name)) for name in sorted({*catalogue, *given})]
    return _page(response.params, [each for each in told if source in (None, each["Source"])])


def _page(asked: Mapping[str, Any], told: list[Any]) -> ActionResult:
    begin = int(asked.get("Marker") or 0)
    end = begin + int(asked.get("MaxRecords") or PAGE)
    more = {"Marker": str(end)} if end < len(told) else {}
    return ActionResult({"Parameters": told[begin:end], **more})


def _described(name: str, parameter: known.Parameter | None, given: Mapping[str, Any] | None) -> dict[str, Any]:
    told: dict[str, Any] = {"ParameterName": name, "ApplyMethod": LATER, "IsModifiable": True}
    if parameter:
        told |= {
            "ApplyType": "static" if parameter.static else "dynamic",
            "DataType": parameter.data_type,
            "IsModifiable": parameter.modifiable,
            **({"AllowedValues": parameter.allowed} if parameter.allowed else {}),
        }
    if given is not None:
        return told | dict(given) | {"Source": USER}
    if name in known.DEFAULTS:
        return told | {"ParameterValue": known.DEFAULTS[name], "Source": SYSTEM}
    return told | {"Source": ENGINE}
