"""`wharf admin`: what needs AWS credentials instead of a token, because there is no token yet."""

from __future__ import annotations

import json
import os
from typing import Annotated, Any

import typer

from cli import terminal
from cli.failures import Failure
from cli.terminal import Json

app = typer.Typer(no_args_is_help=True, add_completion=False, help="Set up a deployment. Needs AWS credentials.")

FUNCTION, ENDPOINT = "BootstrapFunction", "EndpointURL"
"""The outputs of the CloudFormation stack that name the function and the address of the API."""


@app.callback()
def group() -> None:
    """Set up a deployment. Needs AWS credentials."""


@app.command()
def bootstrap(
    org: Annotated[str, typer.Option(help="Name of the organisation.")],
    email: Annotated[str, typer.Option(help="E-mail address of its first administrator.")],
    name: Annotated[str, typer.Option(help="Name of its first administrator.")],
    function: Annotated[str | None, typer.Option(help="Name of the deployed bootstrap function.")] = None,
    stack: Annotated[str, typer.Option(help="CloudFormation stack to find the function in.")] = "wharf",
    region: Annotated[str | None, typer.Option(help="AWS region of the stack, else the credentials' own.")] = None,
    as_json: Json = False,
) -> None:
    """Create an organisation, its administrator and an API token. The token is shown once, now.

    AWS_ENDPOINT_URL leads to another AWS-compatible endpoint, such as the local one.
    """
    made = make(org=org, email=email, name=name, function=function, stack=stack, region=region)
    if as_json:
        return terminal.print_json(made)
    terminal.note(f"Organisation {made['org']} with administrator {made['user']}.")
    if made["endpoint"] and not os.environ.get("AWS_ENDPOINT_URL"):
        terminal.note(f"Save access to it with `wharf --endpoint {made['endpoint']} login`.")
    terminal.note("Keep the token, it is not shown again:")
    return terminal.out().print(made["token"], soft_wrap=True)


def make(
    *,
    org: str,
    email: str,
    name: str,
    function: str | None = None,
    stack: str = "wharf",
    region: str | None = None,
    session: Any = None,
) -> dict[str, str]:
    """Invoke the bootstrap function: {"org", "user", "token", "endpoint"}. Raises Failure when AWS or it says no.

    endpoint: the API's address as the stack knows it, empty when the function was named instead.
    session: whatever has `client(service)`, by default boto3 with the environment's credentials.
    """
    import boto3
    from botocore.exceptions import BotoCoreError, ClientError

    try:
        source = session or boto3.session.Session(region_name=region)
        outputs = {FUNCTION: function} if function else _outputs(source, stack)
        answer = source.client("lambda").invoke(
            FunctionName=outputs[FUNCTION], Payload=json.dumps({"org": org, "email": email, "name": name}).encode()
        )
        body = json.loads(answer["Payload"].read())
    except (BotoCoreError, ClientError, ValueError) as error:
        raise Failure(f"AWS refused: {terminal.one_line(error, 200)}", hint=_hint()) from None
    if answer.get("FunctionError") or "token" not in body:
        said = body.get("errorMessage") or "it answered without a token"
        raise Failure(f"The bootstrap function failed: {terminal.one_line(said, 300)}")
    made = {word: str(body[word]) for word in ("org", "user", "token")}
    return made | {"endpoint": outputs.get(ENDPOINT, "").rstrip("/")}


def _outputs(source: Any, stack: str) -> dict[str, str]:
    """The stack's outputs, the function's name among them."""
    for found in source.client("cloudformation").describe_stacks(StackName=stack)["Stacks"]:
        outputs = {output["OutputKey"]: str(output["OutputValue"]) for output in found.get("Outputs", [])}
        if FUNCTION in outputs:
            return outputs
    raise Failure(f"The stack {stack!r} has no output {FUNCTION}.", hint="Give --function.")


def _hint() -> str:
    endpoint = os.environ.get("AWS_ENDPOINT_URL")
    where = f"AWS_ENDPOINT_URL is {endpoint}." if endpoint else "AWS_ENDPOINT_URL is not set, so this is real AWS."
    return f"{where} Give --stack, --region or --function when they are others."
