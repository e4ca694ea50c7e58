"""Tests of each flow module over the real store on SQLite, at the moments between two await points."""
