"""``python -m ranvier``."""

from ranvier.cli import main

raise SystemExit(main())
