"""Arrays in, plotly figures out: pure functions, every colour from `theme`."""
