"""PDF: the promise of a renderer, and the one that ships."""
