"""From other people's tables to chunks and commits."""
