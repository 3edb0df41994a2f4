"""The bench file: which sites, devices, links and copies there are.

Nothing is imported here, because models are slow to import and most callers want one thing:
`loader.load_bench` for a file, `schema.bench_schema` for editors.
"""
