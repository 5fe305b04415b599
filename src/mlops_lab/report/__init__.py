"""The only place that formats: progress and pages for people, JSON for programs."""
