"""Recipes: functions with typed settings that return a complete plan (data, draft, networks, metrics chosen).

``recipes.settings`` holds the typed settings, a file a kind of data, and imports nothing heavy; the functions live beside it.
"""
