"""Builds on several machines: dask.distributed runs them, the ledger knows them."""
