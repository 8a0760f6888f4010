"""From the source tree to a running stack: the packaged template, then CloudFormation, in the embedded cloud.

`deploy` takes the very template that goes to AWS (`infra/package.py`), puts it into one embedded cloud and sets what
ministack drops. Nothing happens when the same sources were deployed there before.
"""

from __future__ import annotations

import hashlib
import json
import sys
import time
from importlib.metadata import version
from pathlib import Path
from typing import Any

from infra import package
from infra.local.cloud import Cloud
from infra.local.processes import CannotStart

ROOT = package.ROOT
STACK_NAME = "wharf-local"
ARTIFACTS = "wharf-local-artifacts"
CONCURRENCY = 2
"""Chunks at a time. More gains nothing on two cores and costs 0.3 GB each (measured: 4 and 8 are no faster)."""

NOT_IN_MINISTACK = {
    # "Unsupported resource type"; the stage serves the API without it.
    "AWS::ApiGatewayV2::Deployment",
}

Template = dict[str, Any]


def deploy(cloud: Cloud, state: Path, *, root: Path = ROOT) -> dict[str, str]:
    """Bring the stack up to date with the sources and return its outputs. Raises CannotStart with what failed."""
    record = state / "deployed.json"
    wanted = fingerprint(root)
    deployed = json.loads(record.read_text()) if record.exists() else {}
    outputs = stack_outputs(cloud)
    if outputs and deployed.get("sources") == wanted:
        return outputs
    out = package.chalice(state / "build", stage="local", root=root)
    template = for_ministack(json.loads((out / "sam.json").read_text()))
    outputs = apply(cloud, upload(cloud, template, out), update=outputs is not None)
    set_what_was_dropped(cloud, template, outputs)
    record.write_text(json.dumps({"sources": wanted}))
    return outputs


def fingerprint(root: Path) -> str:
    """One hash over everything the deployed stack is made of."""
    digest = hashlib.sha256(f"{sys.version} {version('chalice')} {version('ministack')}".encode())
    files = [root / "app.py", Path(__file__), Path(package.__file__)]
    for folder, pattern in (
        ("chalicelib", "*.py"),
        (".chalice", "*.json"),
        ("infra", "*.yaml"),
        ("infra", "*.json"),
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
