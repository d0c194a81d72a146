"""The dashboards, as tables of panels."""
