"""The console: one file a page, and what the pages share. The only Streamlit importers besides app.py."""
