"""What people look at: tables, pictures, the page, exports, comparisons."""
