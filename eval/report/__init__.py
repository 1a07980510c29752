"""Reports of a sweep: tables, plots, the HTML page, exports and comparisons."""
