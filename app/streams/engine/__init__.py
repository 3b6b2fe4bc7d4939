"""All that is peculiar to Faust, and nothing of what flows through it.

Faust gives group membership, assignment, tables with changelogs, and the moment of recovery. This package gives what
Faust lacks: slices in place of events, the cycle that makes a fold safe under kill -9, the commit book, the lease,
recovery in bulk, and loud ends.
"""
