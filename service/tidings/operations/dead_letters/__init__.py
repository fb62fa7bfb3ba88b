"""Dead letters: found, shown, closed, edited and sent on their way again.

query       which of them an operation is about
views       what is shown of them, and what is masked
looks       listed, counted in groups, one in full
remedies    what can work for this very one
discards    closed for good
body        a body edited, checked, compared
edits       one or many superseded by edited ones
replays     a replay chosen, rehearsed and run
replayer    waves, batches and their outcomes
"""
