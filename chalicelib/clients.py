"""AWS clients, made on first use and kept for the life of the process.

`import boto3` costs more than everything else at start-up, so it happens inside. `AWS_ENDPOINT_URL` (read by
botocore itself) points all of them at the embedded cloud. Retries are botocore's standard mode: throttling and
5xx are tried again with backoff before a step ever sees them.
"""

from __future__ import annotations

from functools import cache
from typing import Any


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
        s3={"addressing_style": "path"},
    )
    return boto3.client(service, config=config)
