"""Tests of the frozen network."""
