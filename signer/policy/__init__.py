"""Decides on calls: from a call, a policy and facts to a decision. Only the loader reads files; the rest is pure."""

from signer.policy.load import load_policies, load_policy
from signer.policy.policy import Policy
from signer.policy.rules import decide

__all__ = ["Policy", "decide", "load_policies", "load_policy"]
