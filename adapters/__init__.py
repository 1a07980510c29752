"""One file per engine, each imported by name: importing this package loads no engine."""
