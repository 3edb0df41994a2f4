"""Reports of a run: what was checked, how it went over time, in text and as one HTML page.

`report.py` says what a report holds, `text.py` and `page.py` show it. Leaves finding out to others.
"""
