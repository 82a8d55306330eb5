"""`kubectl algorithm init`: a starter project that passes unchanged."""
