"""Files that survive kill -9 and a power cut: framed append-only files, the journal, atomic replacement."""
