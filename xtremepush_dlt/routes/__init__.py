"""The wire: how calls reach Xtremepush and what its answers mean."""
