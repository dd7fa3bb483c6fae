"""Recipes: functions with typed settings that return a complete plan (data, draft, networks, metrics chosen).

``recipes.settings`` holds the typed settings and imports nothing heavy; the functions live in ``toy`` and ``images``.
"""
