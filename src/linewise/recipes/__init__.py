"""Recipes: one paper per file, each a function that returns a whole, frozen `Recipe`."""
