"""Tables for spreadsheets and BI tools: one star of dimensions and facts, the same columns for every run.

schema      every table: its grain, its columns, their units; docs/tables.md is made of it
dimensions  what facts are about: run, date, component, channel, model
facts       what was measured, one fact a row
writing     CSV and Parquet of both
reference   the schema as Markdown
"""
