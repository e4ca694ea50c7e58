"""Tests of the agent without a model."""
