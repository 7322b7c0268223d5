"""The target of dlt's entry point; deliberately empty.

dlt imports it whenever a pipeline is made in this environment, only to learn that destinations may
be found in `xtremepush_dlt.destinations`. It must stay light and unable to fail.
"""
