"""Texts, numbers and media, without any knowledge of messages."""
