"""Makes the spoken digits that Ranvier brings; see README.md beside this file."""
