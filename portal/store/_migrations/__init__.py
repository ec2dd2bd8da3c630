"""The steps from one schema to the next, a file each, applied by Alembic in one transaction."""
