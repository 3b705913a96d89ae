"""Templates become documents: HTML, tables, spreadsheets, and PDF."""
