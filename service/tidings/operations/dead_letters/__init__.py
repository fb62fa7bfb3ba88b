"""Dead letters: found, shown, discarded, edited and replayed.

query       which of them an operation is about
views       what is shown of them, and what is masked
lookup      listed, counted in groups, one in full
remedies    what can work for this very one
owners      who takes care of a group
others      who was faster with one
discards    closed for good
edits       one or many superseded by edited ones; body edits, checks and compares
replays     a replay chosen, previewed and watched; `tidings.operations.jobs` runs it
plan        the notation of how fast, in which waves, when it stops
dry_run     what a replay would do
outcomes    what became of replayed ones
"""
