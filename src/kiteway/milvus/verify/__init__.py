"""The guide's verification of a Milvus behind a balancer, with PyMilvus."""

from kiteway.milvus.verify.report import CallSeen, Failure, FailureReason, Step, VerifyReport, Versions
from kiteway.milvus.verify.run import DEFAULT_TIMEOUT, OnStep, verify
from kiteway.milvus.verify.sdk import SdkMissingError
from kiteway.milvus.verify.target import Target

__all__ = [
    "DEFAULT_TIMEOUT",
    "CallSeen",
    "Failure",
    "FailureReason",
    "OnStep",
    "SdkMissingError",
    "Step",
    "Target",
    "VerifyReport",
    "Versions",
    "verify",
]
