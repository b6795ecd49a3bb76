"""From rows to tables, plots and a page."""
