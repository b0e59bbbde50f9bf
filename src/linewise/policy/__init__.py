"""Policies: what continues a prompt. Importing this package imports no torch.

    names            resolve_policy: a name, a folder or a hub id -> what `from_pretrained` takes
    embedded         smollm2-135m, fetched from a wheel
    token_bytes      which bytes, and so which characters, each token writes
    batches          sequences of similar length together
    scripted         answers written by hand, for tests
    small            small models and code tokenisers to be pretrained from nothing (torch)
    tiny             random transformers of a few hundred thousand parameters, for tests
    classifier       token classifiers on causal backbones, which judge programs (torch)
    huggingface*     sampling from, loading of and log-probabilities under Hugging Face models (torch)

Shape legend: B batch, P padded prompt length, T response tokens, N selected positions, V vocabulary, R live rows.
"""

from linewise.policy.names import resolve_policy
from linewise.policy.scripted import ScriptedPolicy
from linewise.policy.token_bytes import TokenBytes

__all__ = ["ScriptedPolicy", "TokenBytes", "resolve_policy"]
