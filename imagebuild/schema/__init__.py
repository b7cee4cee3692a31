"""Types that recipes and operations share: texts with their places, sections, fields, findings."""
