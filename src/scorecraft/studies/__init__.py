"""Every paper's claim, re-run against its own baseline."""
