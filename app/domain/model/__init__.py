"""Rows, inputs, events and the words they are made of."""
