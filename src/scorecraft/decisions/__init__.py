"""Acting on scores: budgets of samples, allocation online, mechanisms that pay for effort, games of known value."""
