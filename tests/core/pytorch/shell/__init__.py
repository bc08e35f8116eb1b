"""Tests of following shell programs."""
