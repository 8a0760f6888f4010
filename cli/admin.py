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

OUTPUT = "BootstrapFunction"
"""The output of the CloudFormation stack that names the function."""


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
    as_json: Json = False,
) -> None:
    """Create an organisation, its administrator and an API token. The token is shown once, now.

    AWS_ENDPOINT_URL leads to another AWS-compatible endpoint, such as the local one.
    """
    made = make(org=org, email=email, name=name, function=function, stack=stack)
    if as_json:
        return terminal.print_json(made)
    terminal.note(
        f"Organisation {made['org']} with administrator {made['user']}. Keep the token, it is not shown again:"
    )
    return terminal.out().print(made["token"], soft_wrap=True)


def make(
    *,
    org: str,
    email: str,
    name: str,
    function: str | None = None,
    stack: str = "wharf",
    session: Any = None,
) -> dict[str, str]:
    """Invoke the bootstrap function: {"org", "user", "token"}. Raises Failure when AWS or the function says no.

    session: whatever has `client(service)`, by default boto3 with the environment's credentials.
    """
    import boto3
    from botocore.exceptions import BotoCoreError, ClientError

    source = session or boto3.session.Session()
    try:
        wanted = function or _function_of(source, stack)
        answer = source.client("lambda").invoke(
            FunctionName=wanted, Payload=json.dumps({"org": org, "email": email, "name": name}).encode()
        )
        body = json.loads(answer["Payload"].read())
    except (BotoCoreError, ClientError, ValueError) as error:
        raise Failure(f"AWS refused: {terminal.one_line(error, 200)}", hint=_hint()) from None
    if answer.get("FunctionError") or "token" not in body:
        said = body.get("errorMessage") or "it answered without a token"
        raise Failure(f"The bootstrap function failed: {terminal.one_line(said, 300)}")
    return {word: str(body[word]) for word in ("org", "user", "token")}


def _function_of(source: Any, stack: str) -> str:
    for found in source.client("cloudformation").describe_stacks(StackName=stack)["Stacks"]:
        for output in found.get("Outputs", []):
            if output["OutputKey"] == OUTPUT:
                return str(output["OutputValue"])
    raise Failure(f"The stack {stack!r} has no output {OUTPUT}.", hint="Give --function.")


def _hint() -> str:
    endpoint = os.environ.get("AWS_ENDPOINT_URL")
    where = f"AWS_ENDPOINT_URL is {endpoint}." if endpoint else "AWS_ENDPOINT_URL is not set, so this is real AWS."
    return f"{where} Give --function or --stack when the name is another."
