"""The clients of one Region, made when first needed: the ec2 client alone costs 144 ms of a cold start."""

from __future__ import annotations

from threading import Lock
from typing import TYPE_CHECKING, Any, Literal

import boto3
from botocore.config import Config

from .client import CLIENT_CONFIG

if TYPE_CHECKING:
    from mypy_boto3_autoscaling import AutoScalingClient
    from mypy_boto3_ec2 import EC2Client
    from mypy_boto3_elbv2 import ElasticLoadBalancingv2Client

ONE_TRY = Config(retries={"total_max_attempts": 1}, connect_timeout=2, read_timeout=3)  # where we repeat by ourselves


class RegionalClients:
    """What all parts of a fleet share."""

    def __init__(self, region: str) -> None:
        self.region = region
        self._making = Lock()
        self._clients: dict[tuple[str, Config], Any] = {}

    @property
    def _autoscaling(self) -> AutoScalingClient:
        client: AutoScalingClient = self._client("autoscaling")
        return client

    @property
    def _ec2(self) -> EC2Client:
        client: EC2Client = self._client("ec2")
        return client

    @property
    def _ec2_once(self) -> EC2Client:
        client: EC2Client = self._client("ec2", ONE_TRY)
        return client

    @property
    def _elbv2(self) -> ElasticLoadBalancingv2Client:
        client: ElasticLoadBalancingv2Client = self._client("elbv2")
        return client

    @property
    def _cloudwatch(self) -> Any:
        return self._client("cloudwatch")

    @property
    def _ssm(self) -> Any:
        return self._client("ssm")

    def _client(
        self, service: Literal["autoscaling", "cloudwatch", "ec2", "elbv2", "ssm"], config: Config = CLIENT_CONFIG
    ) -> Any:
        with self._making:  # clients may be shared by threads, but not made by several at once
            if (service, config) not in self._clients:
                self._clients[service, config] = boto3.client(service, region_name=self.region, config=config)
            return self._clients[service, config]
