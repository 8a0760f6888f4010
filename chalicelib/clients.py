"""AWS clients, made on first use and kept for the life of the process.

`import boto3` costs more than everything else at start-up, so it happens inside. `AWS_ENDPOINT_URL` (read by
botocore itself) points all of them at the embedded cloud. Retries are botocore's standard mode: throttling and
5xx are tried again with backoff before a step ever sees them.
"""

from __future__ import annotations

from functools import cache
from typing import Any

from pydantic_core import from_json, to_json

from chalicelib import telemetry


@cache
def client(service: str) -> Any:
    """The low-level client of one AWS service ("dynamodb", "s3", "stepfunctions", "kms", "lambda")."""
    import boto3
    from botocore.config import Config

    config = Config(
        retries={"mode": "standard", "total_max_attempts": 6},
        connect_timeout=5,
        read_timeout=30,
        max_pool_connections=20,
        parameter_validation=False,  # the service validates too; here it was half of a write's CPU
        user_agent="wharf",  # botocore's own is put together anew for every call
        s3={"addressing_style": "path"},
    )
    made = boto3.client(service, config=config)
    made.meta.events.register("response-received", telemetry.note_throttling)
    if service == "dynamodb":
        _pass_as_json(made)
    return made


def _pass_as_json(dynamodb: Any) -> None:
    """Spare DynamoDB's requests and answers botocore's walk over every attribute: half of the CPU of a write or a read.

    Both are JSON in the very shape boto3 takes and gives, but for bytes, which no item of ours holds. So the
    parameters step aside before botocore looks at them and come back as the body, and what a good answer holds goes
    past its parser, all on botocore's own events; signing, retries and errors stay botocore's.
    """

    def step_aside(params: dict[str, Any], context: dict[str, Any], **_: Any) -> dict[str, Any]:
        context["given"] = params
        return {"RequestItems": {}} if "RequestItems" in params else {}  # finding the endpoint asks for its keys

    def come_back(params: dict[str, Any], context: dict[str, Any], **_: Any) -> None:
        params["body"] = to_json(context.pop("given"))

    def read(response_dict: dict[str, Any], customized_response_dict: dict[str, Any], **_: Any) -> None:
        if response_dict["status_code"] == 200:
            try:
                answer = from_json(response_dict["body"])
            except ValueError:
                return  # botocore knows what to say of it
            customized_response_dict |= answer
            response_dict["body"] = b"{}"

    events = dynamodb.meta.events
    events.register("provide-client-params.dynamodb", step_aside)
    events.register_first("before-call.dynamodb", come_back)
    events.register("before-parse.dynamodb", read)
