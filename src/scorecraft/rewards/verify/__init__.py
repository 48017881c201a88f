"""Is the answer right: verifiers that are fast where the case is plain, and bounded in time and memory where not.

`verify(completion, truth)` finds the answer in a completion, compares it with the true one, and says why it ruled as
it did. Ordinary answers are decided without a computer algebra system; the rest goes to math-verify in worker
processes. Nothing is ever evaluated as code, but for kind "code", which must be asked for.
"""

from scorecraft.rewards.verify.front import verify, verify_many
from scorecraft.rewards.verify.options import KINDS, Kind, Options
from scorecraft.rewards.verify.pool import stop_workers
from scorecraft.rewards.verify.verification import Ruling, Verification

__all__ = ["KINDS", "Kind", "Options", "Ruling", "Verification", "stop_workers", "verify", "verify_many"]
