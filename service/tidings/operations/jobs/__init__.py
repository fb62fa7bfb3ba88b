"""Jobs: one action on many dead letters or notifications, whoever started it and wherever it runs.

control           looked at, started, paused, resumed, cancelled, listed
choosing          items chosen, in the background if there are many
views             what is shown of a job and of its items
results           all items as CSV
runner            sends batches and waves, watches them, stops when too many fail
shared_templates  templates that are gone
tally             counts what became of replayed items
hosting           runs jobs in a scheduler, or in the process that waits for one
watching          a job watched to its end
"""
