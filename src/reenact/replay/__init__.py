"""Run again from the record: plan, closed world, sandbox, judgement."""
