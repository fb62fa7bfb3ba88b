"""Counts outcomes in the statement that records them: a few rows a batch, which the scheduler folds into rollups.

Only ever appended: a shared row for each count would make all workers wait for one another.
"""

from typing import Final

from tidings.delivery.outcome import UNTRIED
from tidings.delivery.sink import SINK

RETRY_LATER: Final = "retry_later"
"""The outcome of an attempt that is followed by another one."""
NO_TIME: Final = -1
"""The bucket of what has no time to delivery."""

_PROVIDER: Final = f"CASE WHEN test THEN '{SINK}' ELSE coalesce(provider, '') END"
"""Of a test always the sink, so that statistics tell tests from the rest by this column alone."""

TO_COUNT: Final = """n.tenant, n.test, n.channel, n.category, n.epoch, n.attempt, n.state,
              greatest(n.accepted_at, n.scheduled_at) AS wanted_since,
              coalesce(n.reason, CASE n.state WHEN 'retrying' THEN 'retry_later' ELSE n.state END) AS outcome"""
"""What an `UPDATE notifications n` that ends an attempt returns for `COUNT_ATTEMPTS`."""

COUNT_ATTEMPTS: Final = f"""
    INSERT INTO outcome_deltas (minute, tenant, channel, category, outcome, provider, kind, bucket, count, attempts, first_attempts)
    SELECT date_trunc('minute', now()), tenant, channel, category, outcome, {_PROVIDER}, coalesce(kind, ''),
           CASE WHEN state = 'sent' AND epoch = 0 THEN tidings_bucket(date_part('epoch', now() - wanted_since)) ELSE {NO_TIME} END,
           count(*), count(*) FILTER (WHERE kind IS DISTINCT FROM '{UNTRIED}'),
           count(*) FILTER (WHERE attempt = 1 AND kind IS DISTINCT FROM '{UNTRIED}')
      FROM moved GROUP BY 2, 3, 4, 5, 6, 7, 8
"""
"""Counts the attempts of a CTE `moved`: those that ended, with `TO_COUNT`, `provider` and `kind`. What was replayed has
no time to delivery, for it waited for a person."""

COUNT_ENDS: Final = f"""
    INSERT INTO outcome_deltas (minute, tenant, channel, category, outcome, provider, kind, bucket, count, attempts, first_attempts)
    SELECT date_trunc('minute', now()), tenant, channel, category, outcome, {_PROVIDER}, coalesce(kind, ''), {NO_TIME}, count(*), 0, 0
      FROM {{ended}} GROUP BY 2, 3, 4, 5, 6, 7
"""
"""Counts what ended without an attempt, likewise: `ended` has `tenant`, `test`, `channel`, `category`, `outcome`, `provider`, `kind`."""
