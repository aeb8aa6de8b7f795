"""The page's HTML skeleton and style sheet."""
