"""Walks workflows: takes commands, dispatches node tasks, folds events, ends executions."""
