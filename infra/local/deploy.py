"""From the source tree to a running stack: `chalice package`, then CloudFormation, in the embedded cloud.

`package` makes the template that is deployed anywhere; `deploy` puts it into one embedded cloud and sets what
ministack drops. Nothing happens when the same sources were deployed there before.
"""

from __future__ import annotations

import hashlib
import json
import shutil
import subprocess
import sys
import time
from importlib.metadata import version
from pathlib import Path
from typing import Any

from infra.local.cloud import Cloud
from infra.local.processes import CannotStart, scrubbed

ROOT = Path(__file__).resolve().parents[2]
STACK_NAME = "wharf-local"
ARTIFACTS = "wharf-local-artifacts"
CONCURRENCY = 2
"""Chunks at a time. More gains nothing on two cores and costs 0.3 GB each (measured: 4 and 8 are no faster)."""

CHALICE = "from chalice.cli import main; main()"
"""Chalice on this interpreter; it has no `-m` and its script may belong to another environment."""

NOT_IN_MINISTACK = {
    # "Unsupported resource type"; the stage serves the API without it.
    "AWS::ApiGatewayV2::Deployment",
}

Template = dict[str, Any]


def package(build: Path, *, stage: str = "local", root: Path = ROOT) -> Path:
    """Make template and zip in `build` and return the folder that holds sam.json and deployment.zip.

    The project Chalice sees is a folder of links beside an empty requirements.txt: the embedded cloud's workers run
    on this environment's packages, and installing them into the zip would take a minute.
    """
    project, out = build / "project", build / "out"
    shutil.rmtree(build, ignore_errors=True)
    (project / ".chalice").mkdir(parents=True)
    for name in ("app.py", "chalicelib"):
        (project / name).symlink_to(root / name)
    for file in (root / ".chalice").glob("*.json"):
        shutil.copy(file, project / ".chalice")
    (project / "requirements.txt").touch()
    resources = build / "resources.json"
    resources.write_text(json.dumps(merged_resources(root / "infra")))
    command = [sys.executable, "-c", CHALICE, "--project-dir", str(project), "package", "--stage", stage]
    done = subprocess.run(
        [*command, "--merge-template", str(resources), str(out)],
        capture_output=True,
        text=True,
        check=False,
        cwd=project,
        env=scrubbed(AWS_DEFAULT_REGION="us-east-1", PYTHONDONTWRITEBYTECODE="1"),
    )
    if done.returncode:
        raise CannotStart(f"chalice package failed:\n{done.stdout}{done.stderr}")
    return out


def merged_resources(infra: Path) -> Template:
    """`resources.yaml` with the state machines' definitions in place of their paths.

    MaxConcurrency is a number in the language but a string in the .json file, where "${Concurrency}" has to stand in
    quotes for the file to be JSON; they go here.
    """
    import yaml

    template: Template = yaml.safe_load((infra / "resources.yaml").read_text())
    for resource in template["Resources"].values():
        if resource.get("Type") == "AWS::StepFunctions::StateMachine":
            properties = resource["Properties"]
            definition = json.loads((infra / properties["DefinitionString"]).read_text())
            text = json.dumps(definition, separators=(",", ":"))
            properties["DefinitionString"] = text.replace('"${Concurrency}"', "${Concurrency}")
    return template


def deploy(cloud: Cloud, state: Path, *, root: Path = ROOT) -> dict[str, str]:
    """Bring the stack up to date with the sources and return its outputs. Raises CannotStart with what failed."""
    record = state / "deployed.json"
    wanted = fingerprint(root)
    deployed = json.loads(record.read_text()) if record.exists() else {}
    outputs = stack_outputs(cloud)
    if outputs and deployed.get("sources") == wanted:
        return outputs
    out = package(state / "build", root=root)
    template = for_ministack(json.loads((out / "sam.json").read_text()))
    outputs = apply(cloud, upload(cloud, template, out), update=outputs is not None)
    set_what_was_dropped(cloud, template, outputs)
    record.write_text(json.dumps({"sources": wanted}))
    return outputs


def fingerprint(root: Path) -> str:
    """One hash over everything the deployed stack is made of."""
    digest = hashlib.sha256(f"{sys.version} {version('chalice')} {version('ministack')}".encode())
    files = [root / "app.py", Path(__file__)]
    for folder, pattern in (
        ("chalicelib", "*.py"),
        (".chalice", "*.json"),
        ("infra", "*.yaml"),
        ("infra", "*.asl.json"),
    ):
        files += sorted((root / folder).rglob(pattern))
    for file in files:
        digest.update(f"{file}\0".encode() + file.read_bytes() + b"\0")
    return digest.hexdigest()


def for_ministack(template: Template) -> Template:
    """Without what ministack cannot take; see NOT_IN_MINISTACK for the reason of each."""
    resources = template["Resources"]
    dropped = {name for name, resource in resources.items() if resource.get("Type") in NOT_IN_MINISTACK}
    for name in dropped:
        del resources[name]
    for resource in resources.values():
        properties = resource.get("Properties", {})
        if properties.get("DeploymentId", {}).get("Ref") in dropped:
            del properties["DeploymentId"]
    return template


def upload(cloud: Cloud, template: Template, out: Path) -> str:
    """Put the zip into S3, point every function at it, put the template beside it and return the template's URL.

    That is what `aws cloudformation package` and `deploy` do; a template above 51,200 bytes cannot be sent inline.
    """
    s3 = cloud.client("s3")
    s3.create_bucket(Bucket=ARTIFACTS)
    body = (out / "deployment.zip").read_bytes()
    key = f"{hashlib.sha256(body).hexdigest()}.zip"
    s3.put_object(Bucket=ARTIFACTS, Key=key, Body=body)
    for resource in template["Resources"].values():
        if resource["Type"] == "AWS::Serverless::Function":
            resource["Properties"]["CodeUri"] = {"Bucket": ARTIFACTS, "Key": key}
    s3.put_object(Bucket=ARTIFACTS, Key="template.json", Body=json.dumps(template).encode())
    return f"{cloud.endpoint}/{ARTIFACTS}/template.json"


def apply(cloud: Cloud, template_url: str, *, update: bool) -> dict[str, str]:
    """Create or update the stack and wait for it."""
    cloudformation = cloud.client("cloudformation")
    request = {
        "StackName": STACK_NAME,
        "TemplateURL": template_url,
        "Parameters": [{"ParameterKey": "Concurrency", "ParameterValue": str(CONCURRENCY)}],
        "Capabilities": ["CAPABILITY_IAM", "CAPABILITY_AUTO_EXPAND"],
    }
    try:
        (cloudformation.update_stack if update else cloudformation.create_stack)(**request)
    except cloudformation.exceptions.ClientError as error:
        if "No updates are to be performed" not in str(error):
            raise CannotStart(f"the embedded cloud refused the stack: {str(error)[:500]}") from error
    deadline = time.monotonic() + 120
    while True:
        stack = cloudformation.describe_stacks(StackName=STACK_NAME)["Stacks"][0]
        status = stack["StackStatus"]
        if status in ("CREATE_COMPLETE", "UPDATE_COMPLETE"):
            return {output["OutputKey"]: output["OutputValue"] for output in stack.get("Outputs", [])}
        if "ROLLBACK" in status or "FAILED" in status or time.monotonic() > deadline:
            raise CannotStart(f"the stack is {status}:\n" + failures(cloudformation))
        time.sleep(0.1)


def failures(cloudformation: Any) -> str:
    """What CloudFormation says went wrong, first things first."""
    events = cloudformation.describe_stack_events(StackName=STACK_NAME)["StackEvents"]
    failed = [event for event in reversed(events) if "FAILED" in event["ResourceStatus"]]
    return "\n".join(f"{event['LogicalResourceId']}: {event.get('ResourceStatusReason')}" for event in failed)


def stack_outputs(cloud: Cloud) -> dict[str, str] | None:
    """The outputs of the stack that stands there, None when there is none that works."""
    cloudformation = cloud.client("cloudformation")
    try:
        stack = cloudformation.describe_stacks(StackName=STACK_NAME)["Stacks"][0]
    except cloudformation.exceptions.ClientError:
        return None
    if stack["StackStatus"] not in ("CREATE_COMPLETE", "UPDATE_COMPLETE"):
        cloudformation.delete_stack(StackName=STACK_NAME)
        return None
    return {output["OutputKey"]: output["OutputValue"] for output in stack.get("Outputs", [])}


def set_what_was_dropped(cloud: Cloud, template: Template, outputs: dict[str, str]) -> None:
    """Ministack ignores the table's TTL and the bucket's lifecycle in a template: set them by API, and look."""
    dynamodb, s3 = cloud.client("dynamodb"), cloud.client("s3")
    for name, resource in template["Resources"].items():
        properties = resource.get("Properties", {})
        if resource["Type"] == "AWS::DynamoDB::Table" and "TimeToLiveSpecification" in properties:
            table = outputs[name]
            if (
                dynamodb.describe_time_to_live(TableName=table)["TimeToLiveDescription"]["TimeToLiveStatus"]
                != "ENABLED"
            ):
                dynamodb.update_time_to_live(
                    TableName=table, TimeToLiveSpecification=properties["TimeToLiveSpecification"]
                )
            status = dynamodb.describe_time_to_live(TableName=table)["TimeToLiveDescription"]["TimeToLiveStatus"]
            if status not in ("ENABLED", "ENABLING"):
                raise CannotStart(f"the table {table} has no time to live")
        if resource["Type"] == "AWS::S3::Bucket" and "LifecycleConfiguration" in properties:
            bucket = outputs[name]
            rules = [lifecycle_rule(rule) for rule in properties["LifecycleConfiguration"]["Rules"]]
            s3.put_bucket_lifecycle_configuration(Bucket=bucket, LifecycleConfiguration={"Rules": rules})
            if len(s3.get_bucket_lifecycle_configuration(Bucket=bucket)["Rules"]) != len(rules):
                raise CannotStart(f"the bucket {bucket} has no lifecycle")


def lifecycle_rule(rule: dict[str, Any]) -> dict[str, Any]:
    """CloudFormation's spelling of a rule in the API's."""
    tags = rule.get("TagFilters", [])
    answer: dict[str, Any] = {"ID": rule["Id"], "Status": rule["Status"]}
    answer["Filter"] = {"Tag": tags[0]} if tags else {"Prefix": rule.get("Prefix", "")}
    if "ExpirationInDays" in rule:
        answer["Expiration"] = {"Days": rule["ExpirationInDays"]}
    if "AbortIncompleteMultipartUpload" in rule:
        answer["AbortIncompleteMultipartUpload"] = rule["AbortIncompleteMultipartUpload"]
    return answer
