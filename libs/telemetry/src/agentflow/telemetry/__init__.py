"""Logs, traces, metrics and health for every service. Imports no other room."""
