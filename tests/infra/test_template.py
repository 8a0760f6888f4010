"""The packaged template: what cfn-lint misses (dangling references, cycles), and what every Lambda may do."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from infra import package
from infra.local import deploy
from infra.local.processes import CannotStart

Template = dict[str, Any]

ALLOWED_ACTIONS = {
    "dynamodb:BatchGetItem",
    "dynamodb:ConditionCheckItem",
    "dynamodb:DeleteItem",
    "dynamodb:GetItem",
    "dynamodb:PartiQLInsert",
    "dynamodb:PartiQLUpdate",
    "dynamodb:PutItem",
    "dynamodb:Query",
    "dynamodb:UpdateItem",
    "kms:Decrypt",
    "kms:Encrypt",
    "kms:GenerateDataKey",
    "logs:CreateLogStream",
    "logs:PutLogEvents",
    "s3:GetObject",
    "s3:PutObject",
    "s3:PutObjectTagging",
    "states:DescribeExecution",
    "states:StartExecution",
}

CFN_LINT = "import sys; from cfnlint import runner; sys.exit(runner.main())"

MAY_WRITE_RECORDS = {"ApiHandlerRole", "LoadRole"}
MAY_ENCRYPT = {"ApiHandlerRole"}
MAY_DECRYPT_SECRETS = {"ApiHandlerRole", "PlanRole", "ExtractRole"}


def references(value: Any) -> Iterator[str]:
    """Every logical id, parameter or pseudo parameter a value names."""
    if isinstance(value, list):
        for inner in value:
            yield from references(inner)
    if not isinstance(value, dict):
        return
    for key, inner in value.items():
        if key == "Ref":
            yield inner
        elif key == "Fn::GetAtt":
            yield inner.split(".")[0] if isinstance(inner, str) else inner[0]
        elif key == "Fn::Sub":
            text, given = (inner, {}) if isinstance(inner, str) else inner
            names = {name.split(".")[0] for name in re.findall(r"\$\{([^!}]+)\}", text)}
            yield from names - given.keys()
            yield from references(given)
        else:
            yield from references(inner)


def dependencies(template: Template) -> dict[str, set[str]]:
    """Resource to the resources it waits for; functions wait for what Globals name."""
    resources = template["Resources"]
    everywhere = set(references(template.get("Globals", {})))
    found = {}
    for name, resource in resources.items():
        wanted = set(references(resource)) | set(_as_list(resource.get("DependsOn", [])))
        if resource["Type"] == "AWS::Serverless::Function":
            wanted |= everywhere
        found[name] = wanted & resources.keys()
    return found


def statements(template: Template) -> Iterator[tuple[str, dict[str, Any]]]:
    """(role, statement) of every policy of a Lambda's role."""
    roles = {
        resource["Properties"]["Role"]["Fn::GetAtt"][0]
        for resource in template["Resources"].values()
        if resource["Type"] == "AWS::Serverless::Function"
    }
    for role in sorted(roles):
        for policy in template["Resources"][role]["Properties"]["Policies"]:
            for statement in policy["PolicyDocument"]["Statement"]:
                yield role, statement


def _as_list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def test_nothing_refers_to_what_is_not_there(template: Template) -> None:
    known = template["Resources"].keys() | template["Parameters"].keys()
    named = set(references(template["Resources"])) | set(references(template["Outputs"]))
    named |= set(references(template["Globals"]))
    assert {name for name in named - known if not name.startswith("AWS::")} == set()


def test_nothing_waits_for_itself(template: Template) -> None:
    open_ends = dependencies(template)
    while free := [name for name, wanted in open_ends.items() if not wanted & open_ends.keys()]:
        for name in free:
            del open_ends[name]
    assert sorted(open_ends) == []


def test_the_finders_see_a_dangling_reference_and_a_cycle() -> None:
    resource = {"Type": "X", "Properties": {"A": {"Fn::Sub": "${Gone.Arn} ${!kept}"}, "B": [{"Ref": "B"}]}}
    assert set(references(resource)) == {"Gone", "B"}
    assert dependencies({"Resources": {"A": {**resource, "DependsOn": "B"}, "B": resource}})["A"] == {"B"}


def test_cfn_lint_finds_nothing(packaged: Path) -> None:
    command = [sys.executable, "-c", CFN_LINT, "--template", str(packaged / "sam.json")]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.stdout + done.stderr == ""
    assert done.returncode == 0


def test_the_state_machine_gets_a_lambda_for_every_name(template: Template) -> None:
    properties = template["Resources"]["ImportMachine"]["Properties"]
    named = set(re.findall(r"\$\{(\w+)\}", properties["DefinitionString"]))
    given = properties["DefinitionSubstitutions"]
    assert named == given.keys()
    for name in named - {"Concurrency"}:
        target = given[name]["Fn::GetAtt"][0]
        assert f"{target}Function" == name
        assert template["Resources"][target]["Type"] == "AWS::Serverless::Function"


def test_the_definition_is_json_once_the_names_are_filled_in(template: Template) -> None:
    text = template["Resources"]["ImportMachine"]["Properties"]["DefinitionString"]
    filled = json.loads(re.sub(r"\$\{\w+\}", "7", text))
    assert filled["States"]["Read"]["MaxConcurrency"] == 7


def test_every_handler_exists_in_the_zip(template: Template, packaged: Path) -> None:
    with zipfile.ZipFile(packaged / "deployment.zip") as archive:
        source = archive.read("app.py").decode()
        assert "chalicelib/steps/load.py" in archive.namelist()
    for resource in template["Resources"].values():
        if resource["Type"] == "AWS::Serverless::Function":
            module, name = resource["Properties"]["Handler"].split(".")
            assert module == "app"
            assert f"\ndef {name}(" in source or f"\n{name} = " in source


def test_lambdas_have_room_and_the_api_answers_before_the_gateway_gives_up(template: Template) -> None:
    functions = {
        name: resource["Properties"]
        for name, resource in template["Resources"].items()
        if resource["Type"] == "AWS::Serverless::Function"
    }
    assert functions["APIHandler"]["Timeout"] <= 29
    assert {functions[name]["Timeout"] for name in ("Plan", "Match", "Finish")} == {900}
    assert {functions[name]["Timeout"] for name in ("Extract", "Transform", "Decide", "Load")} == {300}
    assert all(properties["MemorySize"] >= 512 for properties in functions.values())


def test_no_lambda_may_more_than_its_step_needs(template: Template) -> None:
    for role, statement in statements(template):
        actions = set(_as_list(statement["Action"]))
        assert statement["Effect"] == "Allow"
        assert actions <= ALLOWED_ACTIONS, role
        assert "*" not in _as_list(statement["Resource"]), role
        if statement["Sid"] == "Records":
            writes = {action for action in actions if not action.endswith(("Query", "GetItem"))}
            assert bool(writes) == (role in MAY_WRITE_RECORDS), role


def test_secrets_open_only_to_those_who_connect_and_only_under_a_tenants_context(template: Template) -> None:
    direct = [
        (role, statement)
        for role, statement in statements(template)
        if any(action.startswith("kms:") for action in _as_list(statement["Action"]))
        and "kms:ViaService" not in str(statement.get("Condition"))
    ]
    assert {role for role, _ in direct} == MAY_DECRYPT_SECRETS
    assert {role for role, statement in direct if "kms:Encrypt" in statement["Action"]} == MAY_ENCRYPT
    for _, statement in direct:
        assert statement["Condition"] == {
            "Null": {"kms:EncryptionContext:org": "false", "kms:EncryptionContext:owner": "false"}
        }


def test_each_lambda_has_a_role_of_its_own(template: Template) -> None:
    roles = [
        resource["Properties"]["Role"]["Fn::GetAtt"][0]
        for resource in template["Resources"].values()
        if resource["Type"] == "AWS::Serverless::Function"
    ]
    assert len(set(roles)) == len(roles) == 10


@pytest.mark.parametrize("name", ["StateTable", "RecordsTable"])
def test_tables_are_on_demand_encrypted_recoverable_and_outlive_the_stack(template: Template, name: str) -> None:
    table = template["Resources"][name]
    assert table["DeletionPolicy"] == table["UpdateReplacePolicy"] == "Retain"
    assert table["Properties"]["BillingMode"] == "PAY_PER_REQUEST"
    assert table["Properties"]["PointInTimeRecoverySpecification"] == {"PointInTimeRecoveryEnabled": True}
    assert table["Properties"]["SSESpecification"]["KMSMasterKeyId"] == {"Ref": "DataKey"}


def test_the_bucket_is_closed_to_the_public_and_to_plain_http(template: Template) -> None:
    bucket = template["Resources"]["Bucket"]["Properties"]
    assert set(bucket["PublicAccessBlockConfiguration"].values()) == {True}
    statement = template["Resources"]["BucketPolicy"]["Properties"]["PolicyDocument"]["Statement"][0]
    assert (statement["Effect"], statement["Action"], statement["Principal"]) == ("Deny", "s3:*", "*")
    assert statement["Condition"] == {"Bool": {"aws:SecureTransport": "false"}}
    expiring = [rule for rule in bucket["LifecycleConfiguration"]["Rules"] if "ExpirationInDays" in rule]
    assert [(rule["TagFilters"], rule["ExpirationInDays"]) for rule in expiring] == [
        ([{"Key": "keep", "Value": "90-days"}], 90)
    ]


def test_loopback_sources_are_for_the_local_stage_alone(template: Template) -> None:
    config = json.loads((deploy.ROOT / ".chalice" / "config.json").read_text())
    local, prod = (config["stages"][stage]["environment_variables"] for stage in ("local", "prod"))
    assert local == {"WHARF_ALLOW_LOOPBACK": "true", "WHARF_COOKIE_SECURE": "false", "WHARF_RATE_FACTOR": "100"}
    assert prod == {"WHARF_ALLOW_LOOPBACK": "false", "WHARF_RATE_FACTOR": "1"}
    assert '"WHARF_ALLOW_LOOPBACK": "true"' not in json.dumps(template)


def test_only_what_ministack_cannot_take_is_left_out(template: Template) -> None:
    copy = json.loads(json.dumps(template))
    copy["Resources"]["Push"] = {"Type": "AWS::ApiGatewayV2::Deployment"}
    copy["Resources"]["Stage"] = {
        "Type": "AWS::ApiGatewayV2::Stage",
        "Properties": {"DeploymentId": {"Ref": "Push"}, "StageName": "live"},
    }
    left = deploy.for_ministack(copy)["Resources"]
    assert left.pop("Stage")["Properties"] == {"StageName": "live"}
    assert left == template["Resources"]


def test_an_application_that_cannot_be_imported_is_no_package(tmp_path: Path) -> None:
    root = tmp_path / "root"
    for name in ("infra", ".chalice", "chalicelib"):
        (root / name).parent.mkdir(exist_ok=True)
        (root / name).symlink_to(package.ROOT / name)
    (root / "app.py").write_text("import nothing_of_this_name\n")
    with pytest.raises(CannotStart, match="No module named 'nothing_of_this_name'"):
        package.chalice(tmp_path / "build", stage="prod", root=root)
