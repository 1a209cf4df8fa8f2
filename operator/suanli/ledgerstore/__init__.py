"""Durable records in SQL."""
