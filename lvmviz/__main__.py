"""`python -m lvmviz`: runs from the shell."""

from lvmviz.shell import main

if __name__ == "__main__":  # the engine's workers import what started them, and must not start it again
    raise SystemExit(main())
