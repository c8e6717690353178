"""``audit``: what a bundle leans on, what upsets it, and whom it fails; see docs/audit.md."""
