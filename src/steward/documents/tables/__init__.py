"""Tables of reports: what a cell says, how wide a column is, and the same rows as CSV and XLSX."""
