"""Policies: from a call, a policy and facts to a decision. Pure."""
